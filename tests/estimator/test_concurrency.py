"""Threads and worker processes return what a single thread returns."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from joblib import Parallel, delayed

from dmzrep import FaissNeighbors
from tests.encoders import make_encoder

N_THREADS = 8


@pytest.fixture(scope="module")
def bits(encoder, digits):
    return encoder.transform(digits) > 0.5


def in_threads(function, arguments):
    """Return the results of calls that begin together, in the order of the arguments."""
    barrier = threading.Barrier(N_THREADS)

    def begin(argument):
        barrier.wait()
        return function(argument)

    assert len(arguments) == N_THREADS
    with ThreadPoolExecutor(N_THREADS) as pool:
        return list(pool.map(begin, arguments))


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_threads_encode_as_a_single_thread(encoder, digits):
    parts = [digits[i : i + 50] for i in range(N_THREADS)]
    assert_same(in_threads(encoder.transform, parts), [encoder.transform(part) for part in parts])


def test_threads_sample_as_a_single_thread(encoder):
    def draw(seed):
        return encoder.sample(2, n_steps=3, random_state=seed)

    assert_same(in_threads(draw, list(range(N_THREADS))), [draw(seed) for seed in range(N_THREADS)])


@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_threads_search_as_a_single_thread(index, bits):
    neighbors = FaissNeighbors(3, index=index).fit(bits)
    parts = [bits[i : i + 100] for i in range(N_THREADS)]
    for found, part in zip(in_threads(neighbors.kneighbors, parts), parts, strict=True):
        assert_same(found, neighbors.kneighbors(part))


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_threads_fit_as_a_single_thread(dropout, digits):
    def learned(seed):
        params = {"width": (8,), "encoder_width": 8, "max_iter": 1, "init": "random", "prior": "uniform"}
        encoder = make_encoder(8, dropout=dropout, random_state=seed, **params)
        return encoder.fit(digits[:64]).transform(digits[:9])

    alone = [learned(0), learned(1)]
    assert (alone[0] != alone[1]).any()
    assert_same(in_threads(learned, [0, 1] * (N_THREADS // 2)), alone * (N_THREADS // 2))


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblib_workers_return_what_one_process_returns(backend, encoder, digits, bits):
    parts = [digits[:100], digits[100:150]]
    index = FaissNeighbors(3).fit(bits)
    with Parallel(2, backend=backend) as parallel:
        codes = parallel(delayed(encoder.transform)(part) for part in parts)
        drawn = parallel(delayed(encoder.sample)(2, n_steps=3, random_state=i) for i in range(2))
        found = parallel(delayed(index.kneighbors)(bits[start : start + 9]) for start in (0, 9))
    assert_same(codes, [encoder.transform(part) for part in parts])
    assert_same(drawn, [encoder.sample(2, n_steps=3, random_state=i) for i in range(2)])
    for one, start in zip(found, (0, 9), strict=True):
        assert_same(one, index.kneighbors(bits[start : start + 9]))
