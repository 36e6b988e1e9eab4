"""Generating factors beside codes: read once, checked; and how much a code tells of a factor."""

from __future__ import annotations

from typing import Any

import numpy as np

from dmzrep.codes._labels import Target, read_labels


def read_factors(factors: Any, n_rows: int, argument: str = "factors") -> list[Target]:
    """Read factors: whole numbers, text and categories are classes, other numbers are values.

    Parameters
    ----------
    factors : DataFrame, Series, or array-like of shape (n_rows,) or (n_rows, n_factors)
        All values known.
    n_rows : int
        Rows of the codes.
    argument : str, default="factors"
        What to call them in errors.

    Returns
    -------
    list of Target

    Raises
    ------
    ValueError
        Rows do not match, values are missing or infinite, or a factor never varies.
    """
    targets = read_labels(factors, n_rows, argument=argument).targets
    for target in targets:
        if not target.known.all():
            raise ValueError(
                f"{argument} {target.name!r} has unknown values (NaN); drop these samples and their codes."
            )
        if len(np.unique(target.values)) < 2:
            raise ValueError(
                f"{argument} {target.name!r} has the same value in all samples, so nothing can be measured. "
                "Drop it."
            )
    return targets


def discretise(values: np.ndarray, n_bins: int) -> np.ndarray:
    """Give positions of distinct values; of bins of equal width where more than `n_bins` are fractions."""
    distinct, positions = np.unique(values, return_inverse=True)
    if len(distinct) <= n_bins or np.array_equal(values, np.round(values)):
        return positions
    edges = np.linspace(values.min(), values.max(), n_bins + 1)
    return np.searchsorted(edges[1:-1], values, side="right")


def entropy_bits(positions: np.ndarray) -> float:
    """Entropy of a discrete variable's observed shares, in bits."""
    shares = np.bincount(positions) / len(positions)
    shares = shares[shares > 0.0]
    return float(-(shares * np.log2(shares)).sum())


def mutual_information_bits(one: np.ndarray, other: np.ndarray) -> float:
    """Mutual information of two discrete variables, given by positions, of their observed shares, in bits."""
    pair = one * (int(other.max()) + 1) + other
    return max(
        0.0, entropy_bits(one) + entropy_bits(other) - entropy_bits(np.unique(pair, return_inverse=True)[1])
    )
