"""The one check of codes: bits, probabilities, packed bits, or any numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from dmzrep._base._validation import as_numbers, check_choice, check_magnitude
from dmzrep.codes._prefixes import prefix_lengths

KINDS = ("probabilities", "bits", "packed", "numbers")


def check_codes(
    Z: Any,
    name: str = "Z",
    kind: str = "probabilities",
    *,
    n_bits: int | None = None,
    n_samples: int | None = None,
    ordered: bool = False,
) -> np.ndarray:
    """Return codes as an array; raise unless they are what a tool needs.

    Parameters
    ----------
    Z : array-like of shape (n, n_bits)
        Codes.
    name : str, default="Z"
        Name of the argument in errors.
    kind : {"probabilities", "bits", "packed", "numbers"}
        "probabilities" lie in [0, 1], which bits do too; "bits" are zeros and ones of any dtype; "packed"
        are bytes from `pack`; "numbers" are finite, such as logits or other representations.
    n_bits : int, optional
        Number of columns that is needed.
    n_samples : int, optional
        Number of codes that is needed.
    ordered : bool, default=False
        Accept the first bits of ordered codes too, from the shortest prefix on.

    Returns
    -------
    ndarray of shape (n, n_bits)
        "probabilities" and "numbers": float32 if they came as such, else float64. "bits": bool, or uint8 if
        they came as such. "packed": uint8, in C order.

    Examples
    --------
    >>> from dmzrep.codes._checks import check_codes
    >>> check_codes([[0, 1]], kind="bits").tolist()
    [[False, True]]
    >>> check_codes([[0.0, 3.5]])
    Traceback (most recent call last):
    ValueError: Z must lie in [0, 1] (probabilities or bits), got values from 0 to 3.5. Turn logits into ...
    """
    check_choice("kind", kind, KINDS)
    codes = as_numbers(Z, name)
    _check_shape(codes, name, n_bits, n_samples, ordered)
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
    elif codes.min() < 0.0 or codes.max() > 1.0:
        raise ValueError(
            f"{name} must lie in [0, 1] (probabilities or bits), got values from {codes.min():g} to "
            f"{codes.max():g}. Turn logits into probabilities with scipy.special.expit first."
        )
    return codes


def _check_shape(
    codes: np.ndarray, name: str, n_bits: int | None, n_samples: int | None, ordered: bool
) -> None:
    if codes.ndim != 2 or 0 in codes.shape:
        images = " Flatten images with X.reshape(len(X), -1)." if codes.ndim > 2 else ""
        raise ValueError(
            f"{name} must be a non-empty array of shape (n, {n_bits or 'latent_dim'}), got {codes.shape}."
            + images
        )
    width = codes.shape[1]
    if n_bits is not None and width != n_bits:
        shortest = prefix_lengths(n_bits)[0]
        if not ordered:
            hint = " The first bits of codes can be used after a fit with ordered=True."
            raise ValueError(
                f"{name} must have shape (n, {n_bits}), one column for each bit, got {codes.shape}."
                + (hint if width < n_bits else "")
            )
        if not shortest <= width < n_bits:
            raise ValueError(
                f"{name} must have shape (n, {n_bits}), one column for each bit, or (n, k) with the first k "
                f"bits of codes, k from {shortest} on, got {codes.shape}."
            )
    if n_samples is not None and len(codes) != n_samples:
        raise ValueError(
            f"{name} has {len(codes)} samples, but there are {n_samples} codes; the same samples in the same "
            "order are needed."
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
