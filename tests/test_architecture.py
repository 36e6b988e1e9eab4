"""The architecture: modules import lower layers only, and heavy packages are imported on use."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import dmzrep

PACKAGE = Path(dmzrep.__file__).parent

#: The packages by layer, the lowest first. A module imports lower layers and its own package only.
LAYERS = [
    {"_base", "errors", "version"},
    {"codes", "data", "diffusion", "files", "networks", "priors"},
    {"datasets", "inference", "training"},
    {"estimator"},
    {"attribution", "editing", "metrics", "probing", "retrieval", "transfer"},
    {"collection", "model_selection"},
    {"app", "plotting"},
]
LAYER = {package: level for level, packages in enumerate(LAYERS) for package in packages}
#: Packages of one layer that may be imported by others of it; these must not form a cycle.
WITHIN_A_LAYER = {("priors", "codes")}


def package_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_packages(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "dmzrep":
            parts = node.module.split(".")
            names = [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [a.name.split(".")[1] for a in node.names if a.name.startswith("dmzrep.")]
        yield from names


FILES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def test_modules_import_lower_layers_only():
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {other}"
        for path in FILES
        for package in [package_of(path)]
        for other in imported_packages(path)
        if other != package and (package, other) not in WITHIN_A_LAYER and LAYER[other] >= LAYER[package]
    ]
    assert not wrong, "\n".join(wrong)


def test_chains_of_imports_have_at_most_7_packages():
    imports = {}
    for path in FILES:
        found = {name for name in imported_packages(path) if name in LAYER}
        imports.setdefault(package_of(path), set()).update(found - {package_of(path)})

    def length(package):
        return 1 + max(map(length, imports[package]), default=0)

    assert max(map(length, imports)) <= 7


def test_files_are_short():
    longest = {"estimator/_encoder.py": 700}
    lengths = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in FILES}
    assert [name for name, n in lengths.items() if n >= longest.get(name, 400)] == []


def test_every_layer_names_packages_that_exist():
    assert {package_of(path) for path in FILES} == set(LAYER)


def test_internal_modules_begin_with_an_underscore():
    public = {"__init__.py", "version.py"}
    assert [path for path in FILES if not (path.name.startswith("_") or path.name in public)] == []


def test_the_documentation_shows_the_layers():
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text()
    table = page.partition("<!-- layers -->")[2].partition("<!-- /layers -->")[0]
    documented = [set(re.findall(r"`(\w+)`", line)) for line in table.splitlines() if "`" in line]
    assert documented == LAYERS[::-1]


#: Packages that are imported when something needs them.
HEAVY = (
    "matplotlib",
    "captum",
    "faiss",
    "diffusers",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "datasets",
    "PIL",
)


def test_importing_dmzrep_does_not_import_heavy_packages():
    imports = "import sys, dmzrep, dmzrep.datasets, dmzrep.plotting"
    code = f"{imports}\nprint([m for m in {HEAVY} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_importing_dmzrep_under_a_launcher_leaves_the_environment_alone():
    code = "import os; before = dict(os.environ); import dmzrep; print(dict(os.environ) == before)"
    launched = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | launched)
    assert result.stdout.strip() == "True"


def test_public_names_that_are_imported_on_use_are_listed():
    assert set(dmzrep.__all__) <= set(dir(dmzrep))


def test_every_promise_names_tests_that_exist():
    root = PACKAGE.parent
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", (root / "docs" / "promises.md").read_text())
    assert len(named) > 20
    for path, name in named:
        assert f"def {name}(" in (root / path).read_text(), f"{path}::{name}"
