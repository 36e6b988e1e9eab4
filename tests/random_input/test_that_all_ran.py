"""What the other files of this folder promise together: every public callable, and so many cases.

It comes last by its name, as pytest takes files in the order of their names.
"""

import importlib
import inspect
from pathlib import Path

import pytest
from random_calls import CALLED, FULL, PLANNED, RAN

FEWEST_CASES = 10_000
PLACES = (
    "dmzrep", "dmzrep.attribution", "dmzrep.datasets", "dmzrep.domain_transfer", "dmzrep.editing",
    "dmzrep.metrics", "dmzrep.plotting", "dmzrep.priors", "dmzrep.probing", "dmzrep.retrieval",
)  # fmt: skip

#: Public callables that get no random input here, and why.
ELSEWHERE = {
    "save": "files have tests of their own: test_saved_encoders.py, test_index_file.py, test_persistence.py",
    "load": "as save",
    "export_encoder": "as save: test_paths",
    "fetch_mnist": "it downloads, and has no input",
    "DiffusersBackbone": "it needs a package that is optional; test_diffusers_backbone.py",
    "paper_backbone": "as DiffusersBackbone",
    "load_authors_checkpoint": "it reads files; test_authors_checkpoint.py",
    "InceptionFeatures": "its weights are downloaded; test_extractors.py",
    "state": "it has no input",
    "restore": "it takes what `state` gives, and files are checked before",
    "to_dict": "it has no input",
    "value": "it has no input",
    "plot": "from_estimator and its like call it with what they made",
    "from_data": "LatentDimDisplay trains; latent_dim_report is called",
}


def public_callables():
    """Qualified names of functions, and of methods that are the package's own."""
    for place in PLACES:
        module = importlib.import_module(place)
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isfunction(value):
                yield value.__qualname__
            elif inspect.isclass(value) and value.__name__ not in ELSEWHERE and not is_container(value):
                for kind in value.__mro__:
                    if kind.__module__.startswith("dmzrep"):
                        yield from (
                            f"{kind.__qualname__}.{method}"
                            for method in vars(kind)
                            if not method.startswith("_") and is_own(getattr(kind, method))
                        )


def is_own(method):
    """Whether a method was written here; scikit-learn gives estimators some more."""
    return callable(method) and str(getattr(inspect.unwrap(method), "__module__", "")).startswith("dmzrep")


def is_container(value):
    """Whether a class only holds what a function gives."""
    return hasattr(value, "__dataclass_fields__")


@pytest.fixture
def whole_folder(request):
    """Skip where only a part of the folder was asked for."""
    ran = {
        Path(item.path).name
        for item in request.session.items
        if Path(item.path).parent == Path(__file__).parent
    }
    names = {
        f"{Path(item.path).stem}::{getattr(item, 'originalname', item.name)}"
        for item in request.session.items
    }
    if ran != {path.name for path in Path(__file__).parent.glob("test_*.py")} or not set(PLANNED) <= names:
        pytest.skip("only a part of the folder runs")


def test_every_public_callable_gets_random_input(whole_folder):
    if not FULL:
        pytest.skip("a few cases need not call everything")
    wanted = {name for name in public_callables() if name.rpartition(".")[2] not in ELSEWHERE}
    assert sorted(wanted - CALLED) == []


def test_so_many_random_cases_ran(whole_folder):
    """A test may run fewer cases where there are no more, such as of a yes and a no."""
    assert sum(PLANNED.values()) >= FEWEST_CASES
    assert all(RAN[name] for name in PLANNED)
    if FULL:
        assert RAN.total() >= FEWEST_CASES, RAN
