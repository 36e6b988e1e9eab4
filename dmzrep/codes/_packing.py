"""Bits as bytes."""

from __future__ import annotations

import numpy as np


def pack(bits: np.ndarray) -> np.ndarray:
    """Return zeros and ones as bytes, 8 bits per byte; the last byte is padded with zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.codes import pack, unpack
    >>> pack(np.array([[1, 0, 0, 0, 0, 0, 0, 1, 1]])).tolist()
    [[129, 128]]
    >>> unpack(np.array([[129, 128]], dtype=np.uint8), 9).tolist()
    [[1, 0, 0, 0, 0, 0, 0, 1, 1]]
    """
    return np.ascontiguousarray(np.packbits(bits, axis=1))  # FAISS refuses Fortran order.


def unpack(packed: np.ndarray, n_bits: int) -> np.ndarray:
    """Return the bits that `pack` packed, shape (n, n_bits), uint8."""
    return np.unpackbits(packed, axis=1, count=n_bits)
