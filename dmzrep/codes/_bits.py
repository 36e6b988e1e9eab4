"""Codes as a search takes them: checked, thresholded, packed."""

from __future__ import annotations

from typing import Any

import numpy as np

from dmzrep._base._validation import as_numbers


def check_bits(codes: Any, name: str) -> np.ndarray:
    """Give codes as they are, or booleans; raise unless they are zeros and ones.

    Parameters
    ----------
    codes : array-like of shape (n, latent_dim)
        Zeros and ones of any type.
    name : str
        What the errors call them.

    Returns
    -------
    ndarray of shape (n, latent_dim), bool or uint8
    """
    codes = as_numbers(codes, name)
    if codes.ndim != 2 or 0 in codes.shape:
        raise ValueError(f"{name} must be a non-empty array of shape (n, latent_dim), got {codes.shape}.")
    if codes.dtype == bool:
        return codes
    if codes.dtype == np.uint8:
        if (largest := codes.max()) > 1:
            raise ValueError(
                f"{name} must be zeros and ones, got {largest}. If these are codes packed by numpy.packbits, "
                "unpack them with numpy.unpackbits, or search with FaissNeighbors(packed=True)."
            )
        return codes
    odd = (codes != 0) & (codes != 1)
    if odd.any():
        raise ValueError(
            f"{name} must be zeros and ones; threshold probabilities with Z > 0.5 first "
            f"(DMZEncoder(output='bits') gives bits). Got {codes[odd][0]}."
        )
    return codes.astype(bool)


def check_probabilities(codes: np.ndarray, name: str) -> np.ndarray:
    """Give codes as they are; raise unless they lie in [0, 1]."""
    low, high = codes.min(), codes.max()
    if low < 0.0 or high > 1.0:
        raise ValueError(
            f"{name} must be probabilities or bits in [0, 1] for metric='asymmetric', got values from "
            f"{low:g} to {high:g}. Turn logits into probabilities with scipy.special.expit first."
        )
    return codes


def pack(bits: np.ndarray) -> np.ndarray:
    """Pack zeros and ones, 8 a byte, the last byte filled with zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.codes._bits import pack
    >>> pack(np.array([[1, 0, 0, 0, 0, 0, 0, 1, 1]], dtype=bool)).tolist()
    [[129, 128]]
    """
    return np.ascontiguousarray(np.packbits(bits, axis=1))  # FAISS takes no columns one after another.
