"""Exact search by Hamming distance over packed codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from dmzrep._base._validation import check_int
from dmzrep.codes._checks import check_codes
from dmzrep.codes._packing import pack
from dmzrep.retrieval._faiss import load_faiss

#: From so many queries on, and up to so many bits and neighbours, table look-ups beat counting bits.
LOOKUP_QUERIES, LOOKUP_BITS, LOOKUP_NEIGHBORS = 32, 240, 1024
#: Codes and queries that look-ups take at a time; a block of codes is copied into FAISS's layout.
BLOCK_CODES, BLOCK_QUERIES = 1 << 19, 1 << 13
#: Queries that go through the codes together, as FAISS writes it: four times two. The accumulators of
#: two fit the registers of AVX2; FAISS's own choice of three took a quarter longer.
QUERY_GROUPS = 0x2222
#: Bits of a sort key that hold the row number; the distance stands above them.
ROW_BITS = 40


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
        Rows of `bits`. Equal distances are in the order of rows; which of them make the cut at the
        k-th place is left open.

    Raises
    ------
    ValueError
        The codes are not zeros and ones, differ in width, or are fewer than k.

    See Also
    --------
    FaissNeighbors : Builds an index once and searches it many times.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.retrieval import hamming_neighbors
    >>> bits = np.array([[0, 0, 0], [1, 1, 0], [1, 1, 1]])
    >>> hamming_neighbors(bits[:1], bits, 3)[0].tolist()
    [[0, 2, 3]]
    """
    queries, bits = check_codes(queries, "queries", "bits"), check_codes(bits, "bits", "bits")
    if queries.shape[1] != bits.shape[1]:
        raise ValueError(f"queries have {queries.shape[1]} bits, but bits have {bits.shape[1]}.")
    k = check_int(k, "k", 1, len(bits), ", the number of codes")
    return nearest_packed(pack(bits), pack(queries), k)


def nearest_packed(codes: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the k nearest packed codes of each packed query.

    Parameters
    ----------
    codes : ndarray of shape (n, n_bytes), uint8
        In C order.
    queries : ndarray of shape (n_queries, n_bytes), uint8
        In C order.
    k : int
        From 1 to n.

    Returns
    -------
    distances : ndarray of shape (n_queries, k), int32
    rows : ndarray of shape (n_queries, k), int64
        Sorted by distance, then by row.
    """
    n_queries, n_bytes = queries.shape
    if n_queries >= LOOKUP_QUERIES and 8 * n_bytes <= LOOKUP_BITS and k <= LOOKUP_NEIGHBORS:
        keys = np.concatenate(
            [
                _nearest_by_lookup(codes, queries[i : i + BLOCK_QUERIES], k)
                for i in range(0, n_queries, BLOCK_QUERIES)
            ]
        )
    else:
        distances, rows = load_faiss().knn_hamming(queries, codes, k)
        keys = _keys(distances, rows)
    keys.sort(axis=1)
    return (keys >> ROW_BITS).astype(np.int32), keys & ((1 << ROW_BITS) - 1)


def _nearest_by_lookup(codes: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """Give the k smallest keys of each query, by FAISS's 4-bit product quantiser.

    Quarters of a byte pair are its sub-codes and the 16 corners of a cube their centroids, so the
    squared distance of a pair is its Hamming distance, and SIMD shuffles look 32 of them up at once.
    FAISS rounds the five possible values 0 to 4 of a table to multiples of 1/63.75, at most 0.5/63.75
    off. Below 64 tables the errors of a sum stay under one half, so neither the order of different
    distances nor a rounded distance can be wrong.
    """
    faiss = load_faiss()
    n_tables = 2 * codes.shape[1]
    corners = np.unpackbits(np.arange(16, dtype=np.uint8)[:, None], axis=1, bitorder="little")[:, :4]
    centroids = np.tile(corners.astype(np.float32), (n_tables, 1)).ravel()
    # The low half of a byte is its first sub-code, and the lowest bit that half's first.
    vectors = np.unpackbits(queries, axis=1, bitorder="little").astype(np.float32)
    best = np.empty((len(queries), 0), dtype=np.int64)
    for start in range(0, len(codes), BLOCK_CODES):
        block = codes[start : start + BLOCK_CODES]
        quantizer = faiss.IndexPQ(4 * n_tables, n_tables, 4)
        faiss.copy_array_to_vector(centroids, quantizer.pq.centroids)
        quantizer.is_trained = True
        quantizer.add_sa_codes(block)
        scan = faiss.IndexPQFastScan(quantizer)
        scan.qbs = QUERY_GROUPS
        distances, rows = scan.search(vectors, min(k, len(block)))
        best = np.concatenate([best, _keys(np.rint(distances), rows + start)], axis=1)
        if best.shape[1] > k:
            best = np.partition(best, k - 1, axis=1)[:, :k]
    return best


def _keys(distances: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Join distances and rows into integers that sort by distance, then by row."""
    return (distances.astype(np.int64) << ROW_BITS) | rows
