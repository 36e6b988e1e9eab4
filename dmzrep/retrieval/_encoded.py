"""From images to what a search takes, through any encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from dmzrep._base._validation import as_numbers
from dmzrep.codes._protocol import check_codec


def encoded(encoder: Any, images: Any, metric: str) -> np.ndarray:
    """Encode images for a metric.

    Parameters
    ----------
    encoder : object with `transform`
        Fitted. Where its `output` is "logits", values are read as such; otherwise values in [0, 1]
        are probabilities of a one.
    images : array-like
        As `encoder.transform` takes them.
    metric : {"hamming", "asymmetric", "l2", "cosine"}
        "hamming" gets bits, "asymmetric" probabilities, the others what the encoder gives.

    Returns
    -------
    ndarray of shape (n, latent_dim)
    """
    check_codec(encoder, needed=("transform",))
    codes = as_numbers(encoder.transform(images), "The encoder's codes")
    if codes.ndim != 2:
        raise ValueError(f"The encoder must give codes of shape (n, latent_dim), got {codes.shape}.")
    if metric not in ("hamming", "asymmetric"):
        return codes
    if getattr(encoder, "output", None) == "logits":
        return codes > 0 if metric == "hamming" else expit(codes)
    if codes.size and not (codes.min() >= 0 and codes.max() <= 1):
        raise ValueError(
            f"metric={metric!r} needs bits or probabilities, but {type(encoder).__name__}.transform gives "
            f"values from {codes.min():g} to {codes.max():g}. Use FaissNeighbors(metric='l2') or "
            "metric='cosine' with this encoder."
        )
    return codes > 0.5 if metric == "hamming" else codes.astype(np.float64)
