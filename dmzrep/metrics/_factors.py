"""Codes and generating factors, and the information between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from dmzrep.codes._labels import Target, read_labels
from dmzrep.metrics._inputs import read_matrix


def read_codes_and_factors(
    Z: Any, factors: Any, argument: str = "factors"
) -> tuple[np.ndarray, list[Target]]:
    """Return codes as float64, at least two columns, and their factors: all known, none constant.

    Integers, text and categories are classes, other numbers are values.
    """
    codes = read_matrix(Z, "Z")
    if codes.shape[1] < 2:
        raise ValueError(
            f"Z must have at least two columns to compare with each other, got {codes.shape[1]}."
        )
    targets = read_labels(factors, len(codes), argument=argument).targets
    for target in targets:
        label = f"{argument} {target.name!r}"
        if not target.known.all():
            raise ValueError(f"{label} has missing values; drop these samples, and their codes.")
        if len(np.unique(target.values)) < 2:
            raise ValueError(f"{label} has the same value in all samples. Drop it.")
    return codes, targets


def discretise(values: np.ndarray, n_bins: int) -> np.ndarray:
    """Return positions of distinct values; of bins of equal width for more than `n_bins` fractions."""
    distinct, positions = np.unique(values, return_inverse=True)
    if len(distinct) <= n_bins or np.array_equal(values, np.round(values)):
        return positions
    edges = np.linspace(values.min(), values.max(), n_bins + 1)
    return np.searchsorted(edges[1:-1], values, side="right")


def entropy_bits(positions: np.ndarray) -> float:
    """Return the entropy of the observed frequencies of a discrete variable, in bits."""
    return float(entropy(np.bincount(positions), base=2))


def mutual_information_bits(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mutual information of the observed frequencies of two discrete variables, in bits."""
    counts = contingency_matrix(one, other, sparse=True)
    return float(mutual_info_score(None, None, contingency=counts) / np.log(2.0))
