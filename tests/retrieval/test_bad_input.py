"""What FaissNeighbors refuses, and in which words."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from dmzrep.retrieval import FaissNeighbors

BITS = np.random.default_rng(0).integers(0, 2, (30, 16))


@pytest.mark.parametrize(
    ("params", "X", "message"),
    [
        ({}, BITS * 0.3, r"X must be zeros and ones; threshold probabilities with Z > 0\.5"),
        ({}, BITS - 1.0, "X must be zeros and ones"),
        ({}, np.packbits(BITS, axis=1), r"packed by numpy\.packbits.*packed=True"),
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
        ({"index": "tree"}, BITS, "'index' parameter of FaissNeighbors must be"),
        ({}, BITS[:0], r"0 sample\(s\)"),
        ({}, BITS[0], "Expected 2D array"),
    ],
)
def test_samples_that_cannot_be_indexed(params, X, message):
    with pytest.raises(ValueError, match=message):
        FaissNeighbors(**params).fit(X)


@pytest.mark.parametrize(
    ("X", "k", "error", "message"),
    [
        (BITS[:, :9], 3, ValueError, "9 features.*expecting 16"),
        (BITS * 0.5, 3, ValueError, "zeros and ones"),
        (
            np.packbits(BITS, axis=1),
            3,
            ValueError,
            r"2 columns.*codes of 16 bits.*numpy\.unpackbits\(X, axis=1, count=16\)",
        ),
        (
            BITS,
            31,
            ValueError,
            "n_neighbors must be from 1 to 30, the number of samples in the index, got 31",
        ),
        (
            None,
            30,
            ValueError,
            "from 1 to 29, the number of samples in the index, less the query itself, got 30",
        ),
        (BITS, 0, ValueError, "got 0"),
        (BITS, 2.5, TypeError, "n_neighbors must be an integer, got 2.5"),
        (BITS, True, TypeError, "n_neighbors must be an integer"),
    ],
)
def test_queries_that_cannot_be_answered(X, k, error, message):
    with pytest.raises(error, match=message):
        FaissNeighbors().fit(BITS).kneighbors(X, k)


def test_unpacked_queries_of_a_packed_index():
    neighbors = FaissNeighbors(packed=True).fit(np.packbits(BITS, axis=1))
    with pytest.raises(ValueError, match=r"16 columns, but the index holds packed codes of 2 bytes"):
        neighbors.kneighbors(BITS.astype(np.uint8))


@pytest.mark.parametrize("radius", [-1, np.nan, np.inf, "far"])
def test_radius(radius):
    with pytest.raises(ValueError, match="radius must be a float in the range"):
        FaissNeighbors().fit(BITS).radius_neighbors(BITS, radius)


def test_asymmetric_has_no_radius():
    with pytest.raises(ValueError, match="no radius search; use kneighbors"):
        FaissNeighbors(metric="asymmetric").fit(BITS).radius_neighbors(BITS)


def test_modes():
    with pytest.raises(ValueError, match="Did you mean 'distance'"):
        FaissNeighbors().fit(BITS).kneighbors_graph(BITS, mode="distances")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.zeros(30, int), "ids must be distinct, but 0 occur more than once"),
        (np.arange(29), "got 29 for 30 samples"),
        (np.arange(30) / 2, "ids must be integers"),
        (np.arange(30).reshape(5, 6), "in one dimension"),
        (list("abcdefghijklmnopqrstuvwxyzABCD"), "Keep names in a column of metadata"),
        (np.full(30, 2**63, np.uint64), "must fit a signed 64-bit"),
    ],
)
def test_ids(ids, message):
    with pytest.raises(ValueError, match=message):
        FaissNeighbors().fit(BITS, ids=ids)


def test_among():
    neighbors = FaissNeighbors(2).fit(BITS)
    for among, message in [
        ([], "among is empty"),
        ([1], "from 1 to 1, the number of samples in among, got 2"),
        ([1, 99], "among must be ids of samples in the index, which has no 99"),
    ]:
        with pytest.raises(ValueError, match=message):
            neighbors.kneighbors(BITS, among=among)
    with pytest.raises(ValueError, match="among needs queries"):
        neighbors.kneighbors(among=[1, 2])


@pytest.mark.parametrize("method", ["kneighbors", "radius_neighbors", "transform", "add", "remove"])
def test_an_unfitted_index(method):
    with pytest.raises(NotFittedError):
        getattr(FaissNeighbors(), method)(BITS)
