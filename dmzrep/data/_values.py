"""Blockwise checks of the values of arrays."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from dmzrep._base._batching import batches

#: Number of bytes per block when values are checked.
_SCAN_BYTES = 2**26
#: Tolerance for values outside a range, relative to its width.
_ROUNDING = 1e-6


def blocks(X: Any) -> Iterator[slice]:
    """Return slices of samples of at most `_SCAN_BYTES`, unless a single sample has more."""
    sample_bytes = math.prod(X.shape[1:]) * np.dtype(X.dtype).itemsize
    return batches(len(X), max(1, _SCAN_BYTES // max(1, sample_bytes)))


def check_numeric(X: Any) -> None:
    """Raise unless X has a numeric dtype."""
    dtype = np.dtype(X.dtype)
    if dtype.kind not in "buif":
        raise ValueError(
            f"Images must be uint8 or floating-point arrays, got dtype {dtype}. "
            "Convert them, for instance with numpy.asarray(X, dtype='uint8')."
        )


def value_limits(X: Any, indices: np.ndarray | None = None) -> tuple[float, float]:
    """Return the smallest and largest value, computed blockwise; raise if a value is non-finite.

    `indices` are sample numbers for the error; 0, 1, ... by default.
    """
    low, high = math.inf, -math.inf
    for part in blocks(X):
        block = np.asarray(X[part])
        block_low, block_high = float(block.min()), float(block.max())
        if not (math.isfinite(block_low) and math.isfinite(block_high)):
            kind = "NaN" if np.isnan(block).any() else "infinity"
            first = _first_sample(~np.isfinite(block), part.start, indices)
            raise ValueError(
                f"Input X contains {kind} (first in sample {first}). "
                "DMZEncoder needs finite values: drop or repair those samples."
            )
        low, high = min(low, block_low), max(high, block_high)
    return low, high


def is_outside(found: tuple[float, float], low: float, high: float) -> bool:
    """Whether a (smallest, largest) pair lies outside a range by more than rounding."""
    slack = _ROUNDING * (high - low)
    return found[0] < low - slack or found[1] > high + slack


def first_outside(X: Any, low: float, high: float, indices: np.ndarray | None) -> int:
    """Return the number of the first sample with a value outside a range."""
    slack = _ROUNDING * (high - low)
    for part in blocks(X):
        block = np.asarray(X[part])
        outside = (block < low - slack) | (block > high + slack)
        if outside.any():
            return _first_sample(outside, part.start, indices)
    raise AssertionError("All values lie in the range.")


def _first_sample(bad: np.ndarray, start: int, indices: np.ndarray | None) -> int:
    position = start + int(np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))[0])
    return position if indices is None else int(indices[position])
