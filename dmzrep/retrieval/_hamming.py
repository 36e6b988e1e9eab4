"""Hamming distance over packed codes: exact search, and the distance expected of uncertain queries."""

from typing import Any

import numpy as np

from dmzrep._base._batching import batches
from dmzrep._base._validation import check_int
from dmzrep.codes._checks import check_codes, pack
from dmzrep.retrieval._faiss import load_faiss

#: From this many queries, and up to this many bits and neighbours, table look-ups beat counting bits.
LOOKUP_QUERIES, LOOKUP_BITS, LOOKUP_NEIGHBORS = 32, 240, 1024
#: Codes and queries of a block of look-ups; a block of codes is copied into FAISS's layout.
BLOCK_CODES, BLOCK_QUERIES = 1 << 19, 1 << 13
#: Queries per pass over the codes in FAISS's notation: four times two, whose accumulators fit the registers
#: of AVX2. FAISS's own choice of three took a quarter longer.
QUERY_GROUPS = 0x2222
#: Low bits of a sort key that hold the index; the distance is above them.
INDEX_BITS = 40
#: Number of bits that are unpacked at a time.
_BLOCK_BITS = 1 << 22


def hamming_neighbors(queries: Any, bits: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the k codes that differ from each query in the fewest bits, by exact search.

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
        Indices into `bits`. Equal distances are sorted by index; which of them are among the k nearest is
        unspecified.

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
    """Find the k nearest packed codes of each packed query, sorted by distance, then by index."""
    n_queries, n_bytes = queries.shape
    if n_queries >= LOOKUP_QUERIES and 8 * n_bytes <= LOOKUP_BITS and k <= LOOKUP_NEIGHBORS:
        parts = batches(n_queries, BLOCK_QUERIES)
        keys = np.concatenate([_nearest_by_lookup(codes, queries[part], k) for part in parts])
    else:
        distances, indices = load_faiss().knn_hamming(queries, codes, k)
        keys = _keys(distances, indices)
    keys.sort(axis=1)
    return (keys >> INDEX_BITS).astype(np.int32), keys & ((1 << INDEX_BITS) - 1)


def _nearest_by_lookup(codes: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """Return the k smallest keys of each query, by FAISS's 4-bit product quantiser.

    Half a byte is a sub-code and the 16 corners of a cube are its centroids, so that a squared distance is
    a Hamming distance, and SIMD shuffles look up 32 of them at once. FAISS rounds the values 0 to 4 of a
    table to multiples of 1/63.75, at most 0.5/63.75 off. Below 64 tables the error of a sum stays under one
    half, so that neither the order of different distances nor a rounded distance can be wrong.
    """
    faiss = load_faiss()
    n_tables = 2 * codes.shape[1]
    corners = np.unpackbits(np.arange(16, dtype=np.uint8)[:, None], axis=1, bitorder="little")[:, :4]
    centroids = np.tile(corners.astype(np.float32), (n_tables, 1)).ravel()
    # The low half of a byte is its first sub-code, and the lowest bit that half's first.
    vectors = np.unpackbits(queries, axis=1, bitorder="little").astype(np.float32)
    best = np.empty((len(queries), 0), dtype=np.int64)
    for part in batches(len(codes), BLOCK_CODES):
        block = codes[part]
        quantizer = faiss.IndexPQ(4 * n_tables, n_tables, 4)
        faiss.copy_array_to_vector(centroids, quantizer.pq.centroids)
        quantizer.is_trained = True
        quantizer.add_sa_codes(block)
        scan = faiss.IndexPQFastScan(quantizer)
        scan.qbs = QUERY_GROUPS
        distances, indices = scan.search(vectors, min(k, len(block)))
        best = np.concatenate([best, _keys(np.rint(distances), indices + part.start)], axis=1)
        if best.shape[1] > k:
            best = np.partition(best, k - 1, axis=1)[:, :k]
    return best


def _keys(distances: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Join distances and indices into integers that sort by distance, then by index."""
    return (distances.astype(np.int64) << INDEX_BITS) | indices


def expected_hamming(candidates: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the expected Hamming distance between packed candidates and the code of their query.

    Candidates have shape (n_queries, n_candidates, n_bytes). The query's bits are independent with the given
    probabilities of a one, so that it is the sum of ``|p - b|`` over bits.
    """
    (n_queries, n_candidates, _), n_bits = candidates.shape, probabilities.shape[1]
    result = np.empty((n_queries, n_candidates))
    for part in batches(n_queries, max(1, _BLOCK_BITS // (n_candidates * n_bits))):
        p = np.asarray(probabilities[part], dtype=np.float64)
        bits = np.unpackbits(candidates[part], axis=2, count=n_bits).astype(np.float64)
        # |p - b| = p + b (1 - 2 p)
        result[part] = p.sum(axis=1, keepdims=True) + (bits @ (1.0 - 2.0 * p)[:, :, None])[:, :, 0]
    return result
