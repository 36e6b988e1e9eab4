"""Generating factors beside codes: read once, checked; and how much a code tells of a factor."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dmzrep._base._validation import as_array, as_numbers


@dataclass(frozen=True)
class Factor:
    """One generating factor.

    Parameters
    ----------
    name : hashable
        Its name.
    values : ndarray of shape (n,)
        Position of the class, int64, or the value, float64.
    is_class : bool
        Whether it has classes rather than values.
    """

    name: Hashable
    values: np.ndarray
    is_class: bool


def read_codes(Z: Any) -> np.ndarray:
    """Give codes as float64; raise unless they are finite numbers of shape (n, n_codes)."""
    codes = as_numbers(Z, "Z")
    if codes.ndim != 2 or 0 in codes.shape:
        raise ValueError(
            f"Z must be numbers of shape (n, latent_dim), got shape {codes.shape} and dtype {codes.dtype}."
        )
    codes = codes.astype(np.float64)
    if not np.isfinite(codes).all():
        raise ValueError("Z contains NaN or infinity; repair or drop those rows, and those of the factors.")
    return codes


def read_factors(factors: Any, n_rows: int, argument: str = "factors") -> list[Factor]:
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
    list of Factor

    Raises
    ------
    ValueError
        Rows do not match, values are missing or infinite, or a factor never varies.
    """
    if not isinstance(factors, (pd.DataFrame, pd.Series)):
        factors = as_array(factors, argument)
        if factors.ndim not in (1, 2) or 0 in factors.shape:
            raise ValueError(f"{argument} must have shape (n, n_factors), got {factors.shape}.")
    table = pd.DataFrame(factors)
    if len(table) != n_rows:
        raise ValueError(f"{argument} must have a row for each of the {n_rows} codes, got {len(table)}.")
    return [_read_factor(table.iloc[:, i], argument) for i in range(table.shape[1])]


def _read_factor(column: pd.Series, argument: str) -> Factor:
    label = f"{argument} {column.name!r}"
    if isinstance(column.dtype, np.dtype):  # pandas counts in the machine's own byte order only.
        column = column.astype(column.dtype.newbyteorder("="))
    if column.isna().any():
        raise ValueError(
            f"{label} has rows that are not known (NaN); drop them, and the codes of these rows."
        )
    if column.nunique() < 2:
        raise ValueError(f"{label} has the same value in all rows; there is nothing to tell. Drop it.")
    if pd.api.types.is_float_dtype(column.dtype):
        values = column.to_numpy(dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"{label} contains infinity.")
        if not np.array_equal(values, np.round(values)):
            return Factor(column.name, values, False)
    return Factor(column.name, pd.factorize(column, sort=True)[0].astype(np.int64), True)


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
