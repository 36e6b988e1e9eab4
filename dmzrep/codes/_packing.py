"""Packing of bits into bytes."""

import numpy as np


def pack(bits: np.ndarray) -> np.ndarray:
    """Return zeros and ones as bytes, 8 bits per byte; the last byte is padded with zeros."""
    return np.ascontiguousarray(np.packbits(bits, axis=1))  # FAISS refuses Fortran order.


def unpack(packed: np.ndarray, n_bits: int) -> np.ndarray:
    """Return the bits of packed codes, shape (n, n_bits), uint8."""
    return np.unpackbits(packed, axis=1, count=n_bits)
