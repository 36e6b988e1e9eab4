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
        ({"metric": "asymmetric"}, BITS * 7.0, r"in \[0, 1\].*expit"),
        ({"index": "pq"}, BITS, "index='pq' compresses vectors"),
        ({"index": "pq", "metric": "l2"}, BITS, "needs at least as many samples, got 30"),
        ({"metric": "l2"}, BITS * 1e30, "too large for float32"),
    ],
)
def test_fit_refuses_invalid_samples_and_parameters(params, X, message):
    with pytest.raises(ValueError, match=message):
        FaissNeighbors(**params).fit(X)


@pytest.mark.parametrize(
    ("X", "k", "message"),
    [
        (PACKED, 3, r"2 columns.*codes of 16 bits.*numpy\.unpackbits\(X, axis=1, count=16\)"),
        (BITS, 31, "n_neighbors must be from 1 to 30, the number of samples in the index, got 31"),
        (None, 30, "from 1 to 29, the number of samples in the index, less the query itself, got 30"),
    ],
)
def test_kneighbors_refuses_invalid_queries(X, k, message):
    with pytest.raises((ValueError, TypeError), match=message):
        FaissNeighbors().fit(BITS).kneighbors(X, k)


@pytest.mark.parametrize(
    ("params", "X", "search", "message"),
    [
        ({"packed": True}, PACKED, lambda n: n.kneighbors(BITS.astype(np.uint8)), "packed codes of 2 bytes"),
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
        (list("abcdefghijklmnopqrstuvwxyzABCD"), "Keep names in a column of metadata"),
    ],
)
def test_invalid_ids_are_refused(ids, message):
    with pytest.raises(ValueError, match=message):
        FaissNeighbors().fit(BITS, ids=ids)


@pytest.mark.parametrize(
    ("X", "among", "message"),
    [
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
