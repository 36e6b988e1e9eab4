"""FaissNeighbors.load(mmap=True): an index that is searched in its file."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dmzrep.errors import PersistenceError
from dmzrep.retrieval import FaissNeighbors, ITQTransformer, _mapped

MIB = 2**20
KINDS = [("hamming", "flat"), ("hamming", "ivf"), ("asymmetric", "ivf"), ("l2", "flat"), ("cosine", "ivf")]


@pytest.fixture
def mapped(clustered, clustered_bits, tmp_path, monkeypatch):
    """Return an index, the same one mapped, in several blocks, and queries."""
    monkeypatch.setattr(_mapped, "_BLOCK_BYTES", 1 << 12)

    def make(metric, index, **params):
        X, queries = clustered if metric in ("l2", "cosine") else clustered_bits
        params = {
            "n_probes": 3,
            "radius": {"hamming": 12, "l2": 5.0}.get(metric, 0.5),
            "random_state": 0,
        } | params
        neighbors = FaissNeighbors(4, metric=metric, index=index, **params)
        neighbors.fit(X, ids=3 * np.arange(len(X)) - 50).remove([-50, -44]).save(tmp_path / "index")
        return neighbors, FaissNeighbors.load(tmp_path / "index", mmap=True), queries

    return make


@pytest.mark.parametrize(("metric", "index"), KINDS)
def test_a_mapped_index_returns_the_same_results(metric, index, mapped):
    neighbors, loaded, queries = mapped(metric, index)
    assert_array_equal(loaded.ids_, neighbors.ids_)
    among = neighbors.ids_[::9]
    for X, k, options in (
        (queries, 4, {}),
        (queries[:1], 1, {}),
        (queries[:2], 1500, {}),  # More than the probed lists hold.
        (None, 3, {}),
        (queries, 4, {"among": among}),
    ):
        if metric == "asymmetric" and k == 4 and not options:
            continue  # Which of several candidates at the same distance are in the shortlist is unspecified.
        (distances, ids), (expected, others) = (n.kneighbors(X, k, **options) for n in (loaded, neighbors))
        assert_allclose(distances, expected, rtol=1e-6, atol=1e-6)
        if metric in ("l2", "cosine"):
            assert_array_equal(ids, others)
    if metric != "asymmetric":
        for found, wanted in zip(
            loaded.radius_neighbors(queries), neighbors.radius_neighbors(queries), strict=True
        ):
            assert sum(map(len, wanted)) > 0
            for one, other in zip(found, wanted, strict=True):
                assert_array_equal(one, other)


@pytest.mark.parametrize(("metric", "index"), [("hamming", "flat"), ("l2", "ivf")])
def test_a_mapped_index_is_read_only(metric, index, mapped, tmp_path):
    neighbors, loaded, queries = mapped(metric, index)
    content = (tmp_path / "index").read_bytes()
    for change in (
        lambda: loaded.add(queries, ids=np.arange(len(queries)) + 10**6),
        lambda: loaded.remove(loaded.ids_[:1]),
        lambda: loaded.save(tmp_path / "index"),
        lambda: pickle.dumps(loaded),
    ):
        with pytest.raises(ValueError, match=r"mmap=True is read-only. Load it without mmap=True"):
            change()
    assert (tmp_path / "index").read_bytes() == content
    assert_array_equal(loaded.kneighbors(queries)[0], neighbors.kneighbors(queries)[0])
    assert loaded.fit(queries).add(queries).n_samples_fit_ == 2 * len(queries)


@pytest.mark.parametrize("index", ["hnsw", "pq"])
def test_graphs_and_compressed_vectors_are_not_mapped(index, mapped):
    with pytest.raises(ValueError, match=f"mmap=True is for index='flat' and 'ivf', but .* holds '{index}'"):
        mapped("l2", index)


def test_candidates_of_a_mapped_index_are_rescored(clustered, tmp_path):
    X, queries = clustered
    itq = ITQTransformer(24, output="packed", random_state=0).fit(X)
    neighbors = FaissNeighbors(5, packed=True, rescore="l2", oversample=400).fit(itq.transform(X), vectors=X)
    neighbors.save(tmp_path / "index")
    loaded = FaissNeighbors.load(tmp_path / "index", vectors=X, mmap=True)
    found = loaded.kneighbors(itq.transform(queries), vectors=queries)
    assert_array_equal(found[1], FaissNeighbors(5, metric="l2").fit(X).kneighbors(queries)[1])


def test_a_damaged_file_is_refused(mapped, tmp_path):
    mapped("l2", "flat")
    content = bytearray((tmp_path / "index").read_bytes())
    content[-1] ^= 1
    (tmp_path / "index").write_bytes(content)
    with pytest.raises(PersistenceError, match="checksum"):
        FaissNeighbors.load(tmp_path / "index", mmap=True)
    (tmp_path / "index").write_bytes(content[:-8])
    with pytest.raises(PersistenceError, match="not a complete dmzrep file"):
        FaissNeighbors.load(tmp_path / "index", mmap=True)


FILE_MIB, ROOM_MIB = 96, 56

#: `RLIMIT_DATA` counts private writable memory, not memory maps of files; what is reserved before is added.
CHILD = f"""
import resource, sys
import numpy as np
from dmzrep.retrieval import FaissNeighbors

metric, queries = sys.argv[1], np.load("queries.npy")
FaissNeighbors(2, metric=metric, packed=metric == "hamming").fit(queries).kneighbors()  # Imports modules.
reserved = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData"))
limit = reserved * 1024 + {ROOM_MIB * MIB}
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    np.ones({FILE_MIB * MIB}, np.uint8)
except MemoryError:
    print("no room for a copy")
neighbors = FaissNeighbors.load("index", mmap=True)
print(neighbors.kneighbors(queries, 1, return_distance=False).ravel().tolist())
print([ids.tolist() for ids in neighbors.radius_neighbors(queries, 1e-3, return_distance=False)])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts all private memory on Linux")
@pytest.mark.parametrize("index", ["flat", "ivf"])
@pytest.mark.parametrize("metric", ["hamming", "l2"])
def test_an_index_larger_than_the_free_memory_is_searched(metric, index, tmp_path):
    random = np.random.default_rng(0)
    if metric == "hamming":
        X = random.integers(0, 256, (FILE_MIB * MIB // 128, 128), dtype=np.uint8)
    else:
        X = random.normal(size=(FILE_MIB * MIB // 512, 128)).astype(np.float32)
    rows = np.array([5, len(X) // 2, len(X) - 1])
    np.save(tmp_path / "queries.npy", X[rows])
    params = {"metric": metric, "packed": metric == "hamming", "n_lists": 16, "random_state": 0}
    neighbors = FaissNeighbors(index=index, **params)
    neighbors.fit(X).save(tmp_path / "index")
    done = subprocess.run([sys.executable, "-c", CHILD, metric], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    nearest, within = f"{rows.tolist()}", f"{[[row] for row in rows.tolist()]}"
    assert done.stdout.splitlines() == ["no room for a copy", nearest, within]
