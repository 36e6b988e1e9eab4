"""Input that FaissNeighbors refuses, and its error messages."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from dmzrep.retrieval import FaissNeighbors

BITS = np.random.default_rng(0).integers(0, 2, (30, 16))
PACKED = np.packbits(BITS, axis=1)


@pytest.mark.parametrize(
    ("params", "X", "message"),
    [
        ({}, BITS * 0.3, r"X must be zeros and ones; threshold probabilities with Z > 0\.5"),
        ({}, PACKED, r"packed by numpy\.packbits.*packed=True"),
        ({}, np.where(BITS > 0, np.nan, 0.0), "contains NaN"),
        ({"packed": True}, BITS, "must be uint8 bytes"),
        ({"packed": True, "metric": "l2"}, BITS, "packed=True is for metric='hamming', got metric='l2'"),
        ({"metric": "asymmetric"}, BITS * 7.0, r"in \[0, 1\].*expit"),
        ({"index": "pq"}, BITS, "index='pq' compresses vectors"),
        ({"index": "pq", "metric": "l2"}, BITS, "needs at least as many samples, got 30"),
        ({"index": "pq", "metric": "l2", "pq_bytes": 17}, BITS, "pq_bytes must be at most .* 16, got 17"),
        ({"index": "ivf", "n_lists": 31}, BITS, "n_lists must be at most the number of samples, 30, got 31"),
        ({"metric": "l2"}, BITS * 1e30, "too large for float32"),
        ({"metric": "haming"}, BITS, "'metric' parameter of FaissNeighbors must be"),
        ({}, BITS[:0], r"0 sample\(s\)"),
        ({}, BITS[0], "Expected 2D array"),
    ],
)
def test_fit_refuses_invalid_samples_and_parameters(params, X, message):
    with pytest.raises(ValueError, match=message):
        FaissNeighbors(**params).fit(X)


@pytest.mark.parametrize(
    ("X", "k", "message"),
    [
        (BITS[:, :9], 3, "9 features.*expecting 16"),
        (BITS * 0.5, 3, "zeros and ones"),
        (PACKED, 3, r"2 columns.*codes of 16 bits.*numpy\.unpackbits\(X, axis=1, count=16\)"),
        (BITS, 31, "n_neighbors must be from 1 to 30, the number of samples in the index, got 31"),
        (None, 30, "from 1 to 29, the number of samples in the index, less the query itself, got 30"),
        (BITS, 2.5, "n_neighbors must be an integer, got 2.5"),
    ],
)
def test_kneighbors_refuses_invalid_queries(X, k, message):
    with pytest.raises((ValueError, TypeError), match=message):
        FaissNeighbors().fit(BITS).kneighbors(X, k)


@pytest.mark.parametrize(
    ("params", "X", "search", "message"),
    [
        ({"packed": True}, PACKED, lambda n: n.kneighbors(BITS.astype(np.uint8)), "packed codes of 2 bytes"),
        ({}, BITS, lambda n: n.radius_neighbors(BITS, -1), "radius must be a float in the range"),
        ({}, BITS, lambda n: n.radius_neighbors(BITS, np.nan), "radius must be a float in the range"),
        ({}, BITS, lambda n: n.kneighbors_graph(BITS, mode="distances"), "Did you mean 'distance'"),
        ({"metric": "asymmetric"}, BITS, lambda n: n.radius_neighbors(BITS), "no radius search"),
    ],
)
def test_invalid_searches_are_refused(params, X, search, message):
    with pytest.raises(ValueError, match=message):
        search(FaissNeighbors(**params).fit(X))


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.zeros(30, int), "ids must be distinct, but 0 occur more than once"),
        (np.arange(29), "got 29 for 30 samples"),
        (np.arange(30) / 2, "ids must be integers"),
        (list("abcdefghijklmnopqrstuvwxyzABCD"), "Keep names in a column of metadata"),
        (np.full(30, 2**63, np.uint64), "must fit a signed 64-bit"),
    ],
)
def test_invalid_ids_are_refused(ids, message):
    with pytest.raises(ValueError, match=message):
        FaissNeighbors().fit(BITS, ids=ids)


@pytest.mark.parametrize(
    ("X", "among", "message"),
    [
        (BITS, [], "among is empty"),
        (BITS, [1], "from 1 to 1, the number of samples in among, got 2"),
        (BITS, [1, 99], "among must be ids of samples in the index, which has no 99"),
        (None, [1, 2], "among needs queries"),
    ],
)
def test_invalid_among_is_refused(X, among, message):
    with pytest.raises(ValueError, match=message):
        FaissNeighbors(2).fit(BITS).kneighbors(X, among=among)


@pytest.mark.parametrize("method", ["kneighbors", "radius_neighbors", "transform", "add", "remove"])
def test_unfitted_index_is_refused(method):
    with pytest.raises(NotFittedError):
        getattr(FaissNeighbors(), method)(BITS)
