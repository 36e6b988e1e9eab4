"""Input that FaissNeighbors refuses, and its error messages."""

import numpy as np
import pytest

from dmzrep.retrieval import FaissNeighbors

BITS = np.random.default_rng(0).integers(0, 2, (30, 16))
PACKED = np.packbits(BITS, axis=1)


@pytest.mark.parametrize(
    ("params", "X", "message"),
    [
        ({}, PACKED, r"packed by numpy\.packbits.*packed=True"),
        ({"index": "pq"}, BITS, "index='pq' compresses vectors"),
        ({"index": "pq", "metric": "l2"}, BITS, "needs at least as many samples, got 30"),
        ({"metric": "l2"}, BITS * 1e30, "too large for float32"),
    ],
)
def test_fit_refuses_invalid_samples_and_parameters(params, X, message):
    with pytest.raises(ValueError, match=message):
        FaissNeighbors(**params).fit(X)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.zeros(30, int), "ids must be distinct, but 0 occur more than once"),
        (np.arange(29), "got 29 for 30 samples"),
        (list("abcdefghijklmnopqrstuvwxyzABCD"), "Keep names in a column of metadata"),
    ],
)
def test_fit_refuses_invalid_ids(ids, message):
    with pytest.raises(ValueError, match=message):
        FaissNeighbors().fit(BITS, ids=ids)


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (
            lambda n: n.kneighbors(PACKED),
            r"2 columns.*codes of 16 bits.*numpy\.unpackbits\(X, axis=1, count=16\)",
        ),
        (
            lambda n: n.kneighbors(BITS, 31),
            "n_neighbors must be from 1 to 30, the number of samples in the index",
        ),
        (lambda n: n.kneighbors(None, 30), "from 1 to 29, .* excluding the query itself, got 30"),
        (lambda n: n.kneighbors_graph(BITS, mode="distances"), "Did you mean 'distance'"),
        (lambda n: n.set_params(metric="asymmetric").fit(BITS).radius_neighbors(BITS), "no radius search"),
        (
            lambda n: n.kneighbors(BITS, among=[1, 99]),
            "among must be ids of samples in the index; 99 are not in it",
        ),
    ],
)
def test_invalid_searches_are_refused(search, message):
    with pytest.raises(ValueError, match=message):
        search(FaissNeighbors(2).fit(BITS))
