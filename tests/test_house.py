"""The architecture: imports go down, and heavy packages are imported on use."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dmzrep

PACKAGE = Path(dmzrep.__file__).parent

#: Rooms by floor. A room may import rooms of lower floors, and its own files.
FLOORS = [
    {"arguments", "errors", "version"},
    {"random", "batching", "forking", "image_column"},
    {"codec", "device", "images", "persistence", "rows"},
    {"networks", "diffusion"},
    {"training", "priors"},
    {"inference", "parameters", "own_denoiser"},
    {
        "inputs",
        "sampling_options",
        "configuration",
        "fitted_state",
        "fitted_attributes",
        "fit_callbacks",
        "model_card",
        "onnx_export",
    },
    {"fitting"},
    {"encoder"},
    # Beside the rooms above it in the design, which may import it.
    {"metrics"},
    {
        "attribution",
        "authors_checkpoint",
        "datasets",
        "domain_transfer",
        "editing",
        "interpolation",
        "inversion",
        "probing",
        "retrieval",
    },
    {"model_selection"},
    {"plotting"},
]


def room_of(path):
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported_rooms(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "dmzrep":
            parts = node.module.split(".")
            names = [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [a.name.split(".")[1] for a in node.names if a.name.startswith("dmzrep.")]
        yield from names


FILES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down_the_house(path):
    floor = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
    room = room_of(path)
    assert room in floor, f"{room} has no floor in this test"
    for other in imported_rooms(path):
        if other == room or other == "DMZEncoder":
            continue
        assert other in floor, f"{path} imports {other}, which has no floor"
        assert floor[other] < floor[room], f"{path} imports {other}, on the same floor or above"


def test_every_floor_names_rooms_that_exist():
    present = {room_of(path) for path in FILES}
    assert set().union(*FLOORS) == present


#: Packages that are imported when something needs them.
HEAVY = (
    "matplotlib",
    "captum",
    "faiss",
    "diffusers",
    "accelerate",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "datasets",
    "PIL",
)


def test_import_leaves_heavy_packages_alone():
    code = f"import sys, dmzrep, dmzrep.datasets\nprint([m for m in {HEAVY} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("name", dmzrep.__all__)
def test_public_names_are_where_the_package_says(name):
    assert getattr(dmzrep, name) is not None
    assert name in dir(dmzrep)


def test_other_names_are_missing_as_usual():
    with pytest.raises(AttributeError, match="module 'dmzrep' has no attribute 'Encoder'"):
        dmzrep.Encoder  # noqa: B018


def test_every_promise_names_tests_that_exist():
    root = PACKAGE.parent
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", (root / "docs" / "promises.md").read_text())
    assert len(named) > 20
    for path, name in named:
        assert f"def {name}(" in (root / path).read_text(), f"{path}::{name}"
