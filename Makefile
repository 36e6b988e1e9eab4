# make demo and make test need Python >= 3.11 and make, and nothing else.
#
#   PYTHON       interpreter that makes the virtual environment
#   TORCH_INDEX  package index with torch builds; https://download.pytorch.org/whl/cpu has them without CUDA

PYTHON ?= python3
TORCH_INDEX ?=

VENV := .venv
RUN := $(VENV)/bin/python -m
INSTALL := $(RUN) pip install --disable-pip-version-check -c constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
PACKAGING := pyproject.toml setup.py constraints.txt

# Stamps: what is installed already is not installed again until the packaging changes.
MADE := $(VENV)/.made
PLOT := $(VENV)/.installed-plot
DEV := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint format clean

help:
	@echo "make demo      train on handwritten digits, print a table, save pictures into out/ (two minutes)"
	@echo "make test      ruff, mypy and all tests but the slow ones"
	@echo "make test-all  ruff, mypy and all tests"
	@echo "make lint      ruff and mypy"
	@echo "make format    rewrite the code in ruff's format, with its safe fixes"
	@echo "make clean     remove the virtual environment, caches and built files"

demo: $(PLOT)
	$(VENV)/bin/python examples/quickstart.py

test: lint
	$(RUN) pytest -m "not slow"

test-all: lint
	$(RUN) pytest

lint: $(DEV)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

format: $(DEV)
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and \
	"dmzrep needs Python 3.11 or later; $(PYTHON) is %d.%d. Name another: make PYTHON=python3.12 ..." % v[:2])'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(PLOT): $(PACKAGING) | $(MADE)
	$(INSTALL) -e ".[plot]"
	@touch $@

$(DEV): $(PACKAGING) | $(MADE)
	$(INSTALL) -e ".[dev]"
	@touch $@
