"""Distances between bits in an index and probabilities in a query."""

from __future__ import annotations

import numpy as np

#: Bit j of byte b, the highest first, as `numpy.packbits` orders them.
_BYTE_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32)
#: Distances computed at a time.
_BLOCK = 1 << 22


def expected_hamming(candidates: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Give the Hamming distance that is expected between each candidate and the query's code.

    The query's bits are independent with the given probabilities of a one, so it is the sum of
    ``|p - b|`` over bits. With certain bits it is the Hamming distance.

    Parameters
    ----------
    candidates : ndarray of shape (n_queries, n_candidates, n_bytes), uint8
        Packed codes for each query.
    probabilities : ndarray of shape (n_queries, latent_dim)
        In [0, 1].

    Returns
    -------
    ndarray of shape (n_queries, n_candidates), float64

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.retrieval._asymmetric import expected_hamming
    >>> candidates = np.packbits([[[1, 1], [1, 0]]], axis=2)
    >>> expected_hamming(candidates, np.array([[1.0, 0.75]])).tolist()
    [[0.25, 0.75]]
    """
    n_queries, n_candidates, n_bytes = candidates.shape
    result = np.empty((n_queries, n_candidates))
    rows = max(1, _BLOCK // (n_candidates + 256 * n_bytes))
    for start in range(0, n_queries, rows):
        part = slice(start, start + rows)
        p = np.asarray(probabilities[part], dtype=np.float64)
        # |p - b| = p + b (1 - 2 p); the zeros that fill the last byte weigh nothing.
        weights = np.zeros((len(p), 8 * n_bytes))
        weights[:, : p.shape[1]] = 1.0 - 2.0 * p
        tables = np.einsum("vj,qbj->qbv", _BYTE_BITS, weights.reshape(len(p), n_bytes, 8))
        total = np.repeat(p.sum(axis=1)[:, None], n_candidates, axis=1)
        for byte in range(n_bytes):
            total += np.take_along_axis(tables[:, byte], candidates[part, :, byte].astype(np.intp), axis=1)
        result[part] = total
    return result
