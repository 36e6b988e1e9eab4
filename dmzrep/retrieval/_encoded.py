"""From images to what a search takes, through any encoder."""

from __future__ import annotations

from typing import Any

import numpy as np

from dmzrep._base._validation import as_numbers
from dmzrep.codes._protocol import check_codec, code_probabilities


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
    if metric not in ("hamming", "asymmetric"):
        check_codec(encoder, needed=("transform",))
        return as_numbers(encoder.transform(images), "encoder.transform(images)")
    try:
        codes = code_probabilities(encoder, images)
    except ValueError as error:
        error.add_note(
            f"metric={metric!r} needs bits or probabilities; use FaissNeighbors(metric='l2') for other "
            "numbers."
        )
        raise
    return codes > 0.5 if metric == "hamming" else codes
