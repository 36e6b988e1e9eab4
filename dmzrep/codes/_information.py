"""How much codes tell of rows, in closed form: posteriors whose bits are independent make it a sum."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.special import entr

from dmzrep._base._validation import as_numbers

#: Rows that the lower bound compares with all rows, at most.
COMPARED_ROWS = 128


def check_probabilities(probabilities: Any) -> np.ndarray:
    """Give probabilities of bits as a float64 array; raise unless they are a table of numbers in [0, 1]."""
    p = as_numbers(probabilities, "probabilities")
    if p.ndim != 2 or 0 in p.shape:
        raise ValueError(f"probabilities must have shape (n, latent_dim), neither 0, got {p.shape}.")
    p = p.astype(np.float64)
    if not (p.min() >= 0.0 and p.max() <= 1.0):
        raise ValueError(
            f"probabilities must lie in [0, 1], got values from {p.min():g} to {p.max():g}. "
            "Turn logits into probabilities with scipy.special.expit first."
        )
    return p


def binary_entropy(p: np.ndarray) -> np.ndarray:
    """Entropy of bits that are one with probability p, in bits."""
    return (entr(p) + entr(1.0 - p)) / math.log(2.0)


def bit_information(p: np.ndarray) -> np.ndarray:
    """Mutual information I(x; z_i) of each bit and the row, x one of the n rows.

    Entropy of the mean probability less the mean entropy of the probabilities; exact.

    Parameters
    ----------
    p : ndarray of shape (n, latent_dim)
        Probabilities of ones given each row.

    Returns
    -------
    ndarray of shape (latent_dim,)
        In bits, in [0, 1].
    """
    return np.maximum(binary_entropy(p.mean(axis=0)) - binary_entropy(p).mean(axis=0), 0.0)


def information_bounds(probabilities: np.ndarray) -> tuple[float, float]:
    """Bounds on the mutual information I(x; z) of rows and whole codes.

    Given its row, a code's bits are independent, so I(x; z) = H(z) - sum of mean H(z_i | x), and only H(z)
    needs a bound. At most it is the entropy of a tree-shaped distribution with the same pairs (Chow and
    Liu); which makes the upper bound the sum of I(x; z_i) less the mutual information of the pairs of bits
    along the tree. At least, for the mixture of the n rows' posteriors, I(x; z) is minus the mean over
    rows of the logarithm of a row's mean Bhattacharyya coefficient with all rows (Kolchinsky and Tracey).

    Parameters
    ----------
    probabilities : array-like of shape (n, latent_dim)
        Probabilities of ones given each row.

    Returns
    -------
    lower, upper : float
        In bits. Both hold for x drawn from the n rows; as estimates for the distribution that rows come
        from, the lower bound is cautious, for it cannot exceed log2(n). Up to 128 rows it is exact, beyond
        that the outer mean is over 128 rows.

    References
    ----------
    Chow, Liu, "Approximating Discrete Probability Distributions with Dependence Trees", 1968; Kolchinsky,
    Tracey, "Estimating Mixture Entropy with Pairwise Distances", 2017, equation 19 with alpha = 1/2.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.codes import information_bounds
    >>> same = np.array([[1.0, 1.0], [0.0, 0.0]])  # Two bits that say the same: one bit in all.
    >>> [round(bound, 6) for bound in information_bounds(same)]
    [1.0, 1.0]
    """
    p = check_probabilities(probabilities)
    upper = max(float(bit_information(p).sum()) - _tree_information(p), 0.0)
    return min(_mixture_information(p), upper), upper


def _tree_information(p: np.ndarray) -> float:
    """Largest sum of mutual information, in bits, of pairs of bits that form a tree."""
    n_rows, n_bits = p.shape
    mean = p.mean(axis=0)
    both = p.T @ p / n_rows
    joint = np.stack([both, mean[:, None] - both, mean[None, :] - both, 1.0 - mean[:, None] - mean + both])
    entropy = binary_entropy(mean)
    together = entr(np.maximum(joint, 0.0)).sum(axis=0) / math.log(2.0)
    information = np.maximum(entropy[:, None] + entropy[None, :] - together, 0.0)
    # The solver reads zeros as missing edges, so every edge gets a weight below zero.
    weights = -(information + 1.0)
    np.fill_diagonal(weights, 0.0)
    return max(-float(minimum_spanning_tree(weights).sum()) - (n_bits - 1), 0.0)


def _mixture_information(p: np.ndarray) -> float:
    """Lower bound on I(x; z), in bits, from Bhattacharyya coefficients of posteriors."""
    # Bits before rows, so that products over bits run along rows.
    one, zero = (np.ascontiguousarray(np.sqrt(q.T), dtype=np.float32) for q in (p, 1.0 - p))
    chosen = np.unique(np.linspace(0, len(p) - 1, min(len(p), COMPARED_ROWS)).astype(np.int64))
    logarithms = [
        np.log2(np.prod(one * one[:, [row]] + zero * zero[:, [row]], axis=0).mean(dtype=np.float64))
        for row in chosen
    ]
    return max(-float(np.mean(logarithms)), 0.0)
