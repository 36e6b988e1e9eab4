"""What users may call: functions, classes and the methods that are the package's own."""

import importlib
import inspect

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


def public_values():
    """What the public modules export."""
    for place in PLACES:
        module = importlib.import_module(place)
        yield from (getattr(module, name) for name in module.__all__)


def public_classes():
    """Classes that do something: containers of results are left out, and those of `ELSEWHERE`."""
    for value in public_values():
        if inspect.isclass(value) and value.__name__ not in ELSEWHERE and not is_container(value):
            yield value


def public_callables():
    """Functions, and methods that are the package's own, by their qualified names."""
    found = {value.__qualname__: value for value in public_values() if inspect.isfunction(value)}
    for value in public_classes():
        for kind in value.__mro__:
            if kind.__module__.startswith("dmzrep"):
                found |= {
                    f"{kind.__qualname__}.{name}": getattr(kind, name)
                    for name in vars(kind)
                    if not name.startswith("_") and is_own(getattr(kind, name))
                }
    return found


def is_own(method):
    """Whether a method was written here; scikit-learn gives estimators some more."""
    return callable(method) and str(getattr(inspect.unwrap(method), "__module__", "")).startswith("dmzrep")


def is_container(value):
    """Whether a class only holds what a function gives."""
    return hasattr(value, "__dataclass_fields__")
