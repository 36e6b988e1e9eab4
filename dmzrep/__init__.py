"""Binary codes from diffusion autoencoders, with a scikit-learn-style API."""

from __future__ import annotations

import importlib
from typing import Any

from dmzrep.encoder import DMZEncoder
from dmzrep.forking import compute_on_one_thread_after_forks
from dmzrep.version import __version__

#: Tools around codes and where they live. They are imported on first use, so that `import dmzrep`
#: brings no FAISS, captum or pandas machinery that is not needed.
_HOMES = {
    "AttributeEditor": "editing",
    "DiffusersBackbone": "networks.diffusers_backbone",
    "DomainTransfer": "domain_transfer",
    "FaissNeighbors": "retrieval",
    "ImageRetriever": "retrieval",
    "LinearProbe": "probing",
    "attribute_bits": "attribution",
    "bit_effects": "attribution",
    "bit_table": "attribution",
    "edit_summary": "editing",
    "hamming_neighbors": "retrieval",
    "interpolate": "interpolation",
    "inversion_error": "inversion",
    "label_efficiency": "probing",
    "latent_dim_report": "model_selection",
    "load_authors_checkpoint": "authors_checkpoint",
    "paper_backbone": "networks.paper_backbone",
    "probe_report": "probing",
}

__all__ = ["DMZEncoder", "__version__", *_HOMES]


compute_on_one_thread_after_forks()


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
