"""Binary codes from diffusion autoencoders, with a scikit-learn-style API."""

import importlib
from typing import Any

from dmzrep.estimator import DMZEncoder
from dmzrep.version import __version__

#: Public names and the packages that hold them, imported on first use: `import dmzrep` loads no FAISS,
#: captum or Matplotlib.
_PACKAGES = {
    "AttributeEditor": "editing",
    "DiffusersBackbone": "networks",
    "DomainTransfer": "transfer",
    "FaissNeighbors": "retrieval",
    "ImageCollection": "collection",
    "ImageReader": "datasets",
    "ITQTransformer": "retrieval",
    "ImageRetriever": "retrieval",
    "LinearProbe": "probing",
    "Network": "networks",
    "RandomViews": "training",
    "Sampling": "inference",
    "Training": "training",
    "attribute_bits": "attribution",
    "bit_effects": "attribution",
    "bit_table": "attribution",
    "edit_summary": "editing",
    "hamming_neighbors": "retrieval",
    "interpolate": "editing",
    "inversion_error": "metrics",
    "label_efficiency": "probing",
    "latent_dim_report": "model_selection",
    "load_authors_checkpoint": "estimator",
    "paper_backbone": "networks",
    "probe_report": "probing",
}
#: Public packages, likewise.
_SUBPACKAGES = (
    "app",
    "attribution",
    "collection",
    "datasets",
    "editing",
    "errors",
    "metrics",
    "model_selection",
    "plotting",
    "priors",
    "probing",
    "retrieval",
    "transfer",
)

__all__ = ["DMZEncoder", "__version__", *_PACKAGES]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return getattr(importlib.import_module(f"{__name__}.{_PACKAGES[name]}"), name)
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBPACKAGES})
