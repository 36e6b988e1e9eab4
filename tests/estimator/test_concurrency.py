"""Threads, worker processes and forks give what one thread alone gives."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed

from dmzrep import FaissNeighbors, forking
from dmzrep._base._random import seeded_torch
from dmzrep.retrieval._faiss import faiss_threads
from tests.encoders import make_encoder

THREADS = 8


@pytest.fixture(scope="module")
def bits(encoder, digits):
    return encoder.transform(digits) > 0.5


@pytest.fixture(scope="module", params=["flat", "hnsw", "ivf"])
def neighbors(request, bits):
    return FaissNeighbors(3, index=request.param).fit(bits)


def in_threads(work, arguments):
    """Results of calls that begin together, in the order of the arguments."""
    barrier = threading.Barrier(THREADS)

    def begin(argument):
        barrier.wait()
        return work(argument)

    assert len(arguments) == THREADS
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, arguments))


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_threads_encode_as_one_does(encoder, digits):
    parts = [digits[i : i + 50] for i in range(THREADS)]
    assert_same(in_threads(encoder.transform, parts), [encoder.transform(part) for part in parts])


def test_threads_draw_as_one_does(encoder):
    def draw(seed):
        return encoder.sample(2, n_steps=3, random_state=seed)

    assert_same(in_threads(draw, list(range(THREADS))), [draw(seed) for seed in range(THREADS)])


def test_threads_search_as_one_does(neighbors, bits):
    parts = [bits[i : i + 100] for i in range(THREADS)]
    for found, part in zip(in_threads(neighbors.kneighbors, parts), parts, strict=True):
        assert_same(found, neighbors.kneighbors(part))


@pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_threads_learn_what_one_does(dropout, digits):
    def learned(seed):
        params = {"width": (8, 16), "encoder_width": 8, "max_iter": 1, "init": "random"}
        encoder = make_encoder(8, dropout=dropout, prior="uniform", random_state=seed, **params)
        return encoder.fit(digits[:64]).transform(digits[:9])

    seeds = [0, 1] * (THREADS // 2)
    alone = [learned(0), learned(1)]
    assert (alone[0] != alone[1]).any()
    assert_same(in_threads(learned, seeds), alone * (THREADS // 2))


def test_seeds_of_torchs_own_generator_do_not_meet():
    def draw(seed):
        with seeded_torch(seed):
            return torch.cat([torch.randn(50) for _ in range(20)]).numpy()

    before = torch.get_rng_state()
    assert_same(in_threads(draw, list(range(THREADS))), [draw(seed) for seed in range(THREADS)])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_joblibs_workers_give_what_one_process_gives(backend, encoder, digits, bits):
    parts = [digits[:100], digits[100:150]]
    index = FaissNeighbors(3).fit(bits)
    with Parallel(2, backend=backend) as parallel:
        codes = parallel(delayed(encoder.transform)(part) for part in parts)
        assert_same(codes, [encoder.transform(part) for part in parts])
        drawn = parallel(delayed(encoder.sample)(2, n_steps=3, random_state=i) for i in range(2))
        assert_same(drawn, [encoder.sample(2, n_steps=3, random_state=i) for i in range(2)])
        found = parallel(delayed(index.kneighbors)(part) for part in (bits[:9], bits[9:40]))
        for one, part in zip(found, (bits[:9], bits[9:40]), strict=True):
            assert_same(one, index.kneighbors(part))


#: OpenMP's threads must have run in the parent, so on two threads, or nothing could hang.
FORK = """
import multiprocessing, os, sys
import numpy as np
import torch
from dmzrep import DMZEncoder, FaissNeighbors

encoder, digits = DMZEncoder.load("encoder.safetensors"), np.load("digits.npy")


def work():
    codes = encoder.transform(digits)
    rows = encoder.sample(2, n_steps=3, random_state=0)
    distances = [index.set_params(n_jobs=n).kneighbors(codes > 0.5)[0] for n in (None, 2)]
    return codes, rows, *distances


index = FaissNeighbors(3).fit(encoder.transform(digits) > 0.5)
expected = work()
print("threads of the parent:", torch.get_num_threads())


def check():
    for one, other in zip(work(), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    print("threads of the child:", torch.get_num_threads(), flush=True)


child = os.fork()
if child == 0:
    check()
    os._exit(0)
print("fork:", os.waitpid(child, 0)[1])
process = multiprocessing.get_context("fork").Process(target=check)
process.start()
process.join()
print("multiprocessing:", process.exitcode)
for one, other in zip(work(), expected, strict=True):
    np.testing.assert_array_equal(one, other)
print("threads of the parent:", torch.get_num_threads())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
@pytest.mark.skipif(sys.platform == "darwin", reason="Apple's frameworks cannot be used after a fork")
def test_forked_processes_do_not_wait_for_threads_that_are_not_there(encoder, digits, tmp_path):
    encoder.save(tmp_path / "encoder.safetensors")
    np.save(tmp_path / "digits.npy", digits)
    done = subprocess.run(
        [sys.executable, "-u", "-c", FORK],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "threads of the parent: 2",
        "threads of the child: 1",
        "fork: 0",
        "threads of the child: 1",
        "multiprocessing: 0",
        "threads of the parent: 2",
    ]


def test_faiss_gets_one_thread_in_forked_processes_whatever_is_asked(monkeypatch):
    with faiss_threads(2) as faiss:
        assert faiss.omp_get_max_threads() == 2
    monkeypatch.setitem(forking._STATE, "forked", True)
    with faiss_threads(2) as faiss:
        assert faiss.omp_get_max_threads() == 1
