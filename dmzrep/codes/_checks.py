"""Validation of codes (bits, probabilities, packed bits, or any numbers), and packing of bits into bytes."""

from typing import Any

import numpy as np

from dmzrep._base._validation import as_array, as_numbers, check_choice, check_magnitude, short_repr
from dmzrep.codes._prefixes import prefix_lengths

KINDS = ("probabilities", "bits", "packed", "numbers")
#: Distance from [0, 1] that counts as a rounding error.
ROUNDING = 1e-6


def check_codes(
    Z: Any,
    name: str = "Z",
    kind: str = "probabilities",
    *,
    n_bits: int | None = None,
    n_samples: int | None = None,
    ordered: bool = False,
) -> np.ndarray:
    """Return codes of shape (n, n_bits); raise unless they are of the given kind.

    "probabilities" (or bits) are in [0, 1], or clipped to it from within 1e-6; "numbers" are any finite
    values. Both are returned as float32 if passed as such, else as float64. "bits" are zeros and ones of any
    dtype, returned as bool, or as uint8 if passed as such; "packed" are bytes from `pack`, in C order. With
    `ordered`, prefixes of codes are also accepted.
    """
    check_choice("kind", kind, KINDS)
    codes = as_numbers(Z, name)
    columns = "n_features" if kind == "numbers" else "latent_dim"
    _check_shape(codes, name, columns, n_bits, n_samples, ordered)
    if kind == "packed":
        if codes.dtype != np.uint8:
            raise ValueError(
                f"{name} must be uint8 bytes from numpy.packbits, got dtype {codes.dtype}. Pack bits with "
                "numpy.packbits(bits, axis=1), or set packed=False."
            )
        return np.ascontiguousarray(codes)
    if kind == "bits":
        return _as_bits(codes, name)
    codes = codes if codes.dtype == np.float32 else codes.astype(np.float64)
    finite = np.isfinite(codes).all(axis=1)
    if not finite.all():
        raise ValueError(f"{name} contains NaN or infinity, first in sample {int(finite.argmin())}.")
    if kind == "numbers":
        check_magnitude(codes, name)
        return codes
    low, high = codes.min(), codes.max()
    if low < -ROUNDING or high > 1.0 + ROUNDING:
        raise ValueError(
            f"{name} must lie in [0, 1] (probabilities or bits), got values from {low:g} to {high:g}. Turn "
            "logits into probabilities with scipy.special.expit first."
        )
    return np.clip(codes, 0.0, 1.0) if low < 0.0 or high > 1.0 else codes


def _check_shape(
    codes: np.ndarray, name: str, columns: str, n_bits: int | None, n_samples: int | None, ordered: bool
) -> None:
    if codes.ndim != 2 or 0 in codes.shape:
        hint = " Flatten images with X.reshape(len(X), -1)." if codes.ndim > 2 else ""
        if codes.ndim == 1 and name.isidentifier():
            hint = f" Pass a single one as {name}[None]."
        shape = f"(n, {n_bits or columns})"
        raise ValueError(f"{name} must be a non-empty array of shape {shape}, got {codes.shape}.{hint}")
    width = codes.shape[1]
    if n_bits is not None and width != n_bits:
        shortest = prefix_lengths(n_bits)[0]
        if not (ordered and shortest <= width < n_bits):
            prefix = f", or (n, k) with the first k bits of codes, k >= {shortest}" if ordered else ""
            fewer = width < n_bits and not ordered and name == "Z"
            hint = " Only models fitted with ordered=True decode the first bits of codes." if fewer else ""
            raise ValueError(
                f"{name} must have shape (n, {n_bits}), one column for each bit{prefix}, got {codes.shape}."
                + hint
            )
    if n_samples is not None and len(codes) != n_samples:
        raise ValueError(
            f"{name} has {len(codes)} samples, but there are {n_samples} codes; pass the same samples in the "
            "same order."
        )


def _as_bits(codes: np.ndarray, name: str) -> np.ndarray:
    if codes.dtype == bool:
        return codes
    if codes.dtype == np.uint8:
        if (largest := codes.max()) > 1:
            raise ValueError(
                f"{name} must be zeros and ones, got {largest}. If these are codes packed by numpy.packbits, "
                "unpack them with numpy.unpackbits, or search with FaissNeighbors(packed=True)."
            )
        return codes
    other = (codes != 0) & (codes != 1)
    if other.any():
        raise ValueError(
            f"{name} must be zeros and ones; threshold probabilities with Z > 0.5 first "
            f"(DMZEncoder(output='bits') returns bits). Got {codes[other][0]}."
        )
    return codes.astype(bool)


def check_integers(
    values: Any, name: str, least: int, most: int | None = None, *, distinct: bool = True
) -> np.ndarray:
    """Return one or more integers in a range, such as indices of bits, as an array."""
    array = np.atleast_1d(as_array(values, name))
    if (
        array.ndim != 1
        or not len(array)
        or array.dtype.kind not in "iu"
        or array.min() < least
        or (most is not None and array.max() > most)
    ):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be one or more integers {limits}, got {short_repr(values)}.")
    if distinct and len(np.unique(array)) < len(array):
        raise ValueError(f"{name} must be distinct, got {short_repr(values)}.")
    return array


def pack(bits: np.ndarray) -> np.ndarray:
    """Return zeros and ones as bytes, 8 bits per byte; the last byte is padded with zeros."""
    return np.ascontiguousarray(np.packbits(bits, axis=1))  # FAISS refuses Fortran order.


def unpack(packed: np.ndarray, n_bits: int) -> np.ndarray:
    """Return the bits of packed codes, shape (n, n_bits), uint8."""
    return np.unpackbits(packed, axis=1, count=n_bits)
