"""Rank of the right code among all codes, by predicted probabilities."""

from __future__ import annotations

import numpy as np
from scipy.special import logit

from dmzrep._base._batching import in_blocks

METRICS = ("hamming", "log_likelihood")


def right_ranks(probabilities: np.ndarray, bits: np.ndarray, metric: str) -> np.ndarray:
    """Return the rank of code i for prediction i among all codes.

    Both measures are sums over bits that grow with the bit's weight where the bit is one: ``1 - 2 p`` for
    the expected Hamming distance, minus the log-odds for minus the log-likelihood; the rest is the same
    for all codes.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.transfer._ranks import right_ranks
    >>> probabilities = np.array([[0.9, 0.9], [0.9, 0.9]])
    >>> right_ranks(probabilities, np.array([[1, 1], [0, 1]]), "hamming").tolist()
    [1.0, 2.0]
    """
    weights = -logit(probabilities) if metric == "log_likelihood" else 1.0 - 2.0 * probabilities
    # Equal codes must have equal distances to the last bit, so each is compared once.
    codes, places, counts = np.unique(bits, axis=0, return_inverse=True, return_counts=True)
    places = places.reshape(-1)
    distances = in_blocks(lambda block: block @ codes.T.astype(np.float64), weights)
    right = np.take_along_axis(distances, places[:, None], axis=1)
    nearer = ((distances < right) * counts).sum(axis=1)
    tied = ((distances == right) * counts).sum(axis=1) - 1
    return 1.0 + nearer + 0.5 * tied
