# make demo and make test need Python >= 3.11 and make, and nothing else.
#
#   PYTHON       interpreter that makes the virtual environment
#   TORCH_INDEX  package index with torch builds; https://download.pytorch.org/whl/cpu has them without CUDA

PYTHON ?= python3
TORCH_INDEX ?=

VENV := .venv
RUN := $(VENV)/bin/python -m
# One worker per core, each on one thread.
IN_PARALLEL := -n auto --dist loadfile
PYTEST := OMP_NUM_THREADS=1 $(RUN) pytest $(IN_PARALLEL)
TORCH_SOURCE := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
INSTALL := $(RUN) pip install --disable-pip-version-check -c constraints.txt $(TORCH_SOURCE)
PACKAGING := pyproject.toml setup.py constraints.txt

# Stamps: what is installed already is not installed again until the packaging changes.
MADE := $(VENV)/.made
PLOT := $(VENV)/.installed-plot
DEV := $(VENV)/.installed-dev
DOCS := $(VENV)/.installed-docs

# What Sphinx and the scripts of the gallery write.
SITE := docs/_build docs/auto_examples docs/reference/generated examples/avatars.safetensors

# The lower bounds of pyproject.toml, in an environment of their own. torch is the exception: PyPI's older builds for
# Linux come with gigabytes of CUDA. LOWEST_TORCH=2.6.0 with TORCH_INDEX set tests its bound too.
LOWEST := .venv-lowest
LOWEST_TORCH ?= $(shell sed -n 's/^torch==//p' constraints.txt)
LOWEST_DEV := $(LOWEST)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-lowest lint format docs docs-quick clean

help:
	@echo "make demo      train on cartoon faces, print a table, save pictures into out/ (two minutes)"
	@echo "make test      lint, and all tests but the slow ones"
	@echo "make test-all  lint, and all tests"
	@echo "make test-lowest  all tests but the slow ones, with the lowest versions that pyproject.toml admits"
	@echo "make lint      ruff, mypy and numpydoc"
	@echo "make format    rewrite the code in ruff's format, with its safe fixes"
	@echo "make docs      build the site of the documentation into docs/_build/html, and run its gallery"
	@echo "make docs-quick  the same without running the gallery (a minute)"
	@echo "make clean     remove the virtual environments, caches and built files"

# On busy cores threads wait for each other: one trains faster than two, and on idle ones a quarter slower.
demo: $(PLOT)
	OMP_NUM_THREADS=1 $(VENV)/bin/python examples/quickstart.py

test: lint
	$(PYTEST) -m "not slow"

test-all: lint
	$(PYTEST)

test-lowest: $(LOWEST_DEV)
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest $(IN_PARALLEL) -m "not slow"

lint: $(DEV)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) pytest -q tests/test_docstrings.py

format: $(DEV)
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

# A warning or a reference that does not resolve is an error.
SPHINX := OMP_NUM_THREADS=1 $(RUN) sphinx -W --keep-going -n -q

docs: $(DOCS)
	$(SPHINX) docs docs/_build/html

docs-quick: $(DOCS)
	$(SPHINX) -D plot_gallery=0 docs docs/_build/html

clean:
	rm -rf $(VENV) $(LOWEST) $(SITE) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and \
	"dmzrep needs Python 3.11 or later; $(PYTHON) is %d.%d. Name another: make PYTHON=python3.12 ..." % v[:2])'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade pip
	@touch $@

$(PLOT): $(PACKAGING) | $(MADE)
	$(INSTALL) -e ".[plot]"
	@touch $@

$(DEV): $(PACKAGING) | $(MADE)
	$(INSTALL) -e ".[all]" --group dev
	@touch $@

$(DOCS): $(PACKAGING) | $(MADE)
	$(INSTALL) -e ".[docs]"
	@touch $@

$(LOWEST_DEV): $(PACKAGING)
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install --disable-pip-version-check -c constraints.txt --upgrade pip uv
	echo "torch==$(LOWEST_TORCH)" > $(LOWEST)/torch.txt
	$(LOWEST)/bin/uv pip compile --quiet --resolution lowest-direct --python $(LOWEST)/bin/python \
		--override $(LOWEST)/torch.txt --extra all --group pyproject.toml:test \
		--output-file $(LOWEST)/constraints.txt pyproject.toml
	$(LOWEST)/bin/python -m pip install -c $(LOWEST)/constraints.txt $(TORCH_SOURCE) -e ".[all]" --group test
	@touch $@
