"""Search by Hamming distance over binary codes, with FAISS."""

from __future__ import annotations

from typing import Any

import numpy as np


def hamming_neighbors(queries: Any, bits: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the k codes that differ from each query in the fewest bits.

    Exact. Codes are packed, 8 bits a byte; a width that is no multiple of 8 is filled with zeros,
    which differ in no pair.

    Parameters
    ----------
    queries : array-like of shape (n_queries, latent_dim)
        Zeros and ones, or booleans.
    bits : array-like of shape (n, latent_dim)
        Codes to search in.
    k : int
        Neighbours of each query, from 1 to n.

    Returns
    -------
    distances : ndarray of shape (n_queries, k), int32
        Differing bits, the nearest first.
    indices : ndarray of shape (n_queries, k), int64
        Rows of `bits`.

    Raises
    ------
    ValueError
        The codes are not zeros and ones, differ in width, or are fewer than k.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.retrieval import hamming_neighbors
    >>> bits = np.array([[0, 0, 0], [1, 1, 0], [1, 1, 1]])
    >>> hamming_neighbors(bits[:1], bits, 3)[0].tolist()
    [[0, 2, 3]]
    """
    import faiss  # On use: it brings an OpenMP runtime of its own.

    queries, bits = _check(queries, "queries"), _check(bits, "bits")
    if queries.shape[1] != bits.shape[1]:
        raise ValueError(f"queries have {queries.shape[1]} bits, but bits have {bits.shape[1]}.")
    if not 1 <= k <= len(bits):
        raise ValueError(f"k must be from 1 to the number of codes, {len(bits)}, got {k}.")
    packed = np.packbits(bits, axis=1)
    index = faiss.IndexBinaryFlat(8 * packed.shape[1])
    index.add(packed)
    return index.search(np.packbits(queries, axis=1), int(k))


def _check(codes: Any, name: str) -> np.ndarray:
    codes = np.asarray(codes)
    if codes.ndim != 2 or 0 in codes.shape:
        raise ValueError(f"{name} must be a non-empty array of shape (n, latent_dim), got {codes.shape}.")
    if not np.isin(codes, (0, 1)).all():
        raise ValueError(f"{name} must be zeros and ones; threshold probabilities with Z > 0.5 first.")
    return codes.astype(bool)
