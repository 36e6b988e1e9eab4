"""The contract of neighbour transformers as in sklearn-ann, and the oldest FAISS that is allowed."""

import sys
from importlib.metadata import requires

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from packaging.requirements import Requirement
from packaging.version import Version

from dmzrep.retrieval import FaissNeighbors

KINDS = [("hamming", kind) for kind in ("flat", "hnsw", "ivf")]
KINDS += [(metric, kind) for metric in ("l2", "cosine") for kind in ("flat", "hnsw", "ivf")]


def samples(metric, n, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 2, (n, 32)) if metric == "hamming" else random.normal(size=(n, 32))


@pytest.mark.parametrize("mode", ["distance", "connectivity"])
@pytest.mark.parametrize(("metric", "index"), KINDS)
def test_graphs_of_training_samples(metric, index, mode):
    X = samples(metric, 300)
    transformer = FaissNeighbors(5, metric=metric, index=index, mode=mode)
    graph = transformer.fit_transform(X)
    stored = 5 + (mode == "distance")
    assert graph.shape == (300, 300) and graph.format == "csr"
    assert (np.diff(graph.indptr) == stored).all()
    neighbours, values = graph.indices.reshape(300, stored), graph.data.reshape(300, stored)
    assert all(len(set(row)) == stored for row in neighbours)
    if mode == "distance":
        assert (np.diff(values, axis=1) >= 0).all()
        assert_array_equal(graph.diagonal(), 0.0)
        assert_array_equal(neighbours[:, 0], np.arange(300))
    else:
        assert (values == 1.0).all()
    others = transformer.transform(samples(metric, 20, seed=1))
    assert others.shape == (20, 300) and others.nnz == 20 * stored


@pytest.mark.parametrize(("metric", "index"), KINDS)
def test_equal_samples(metric, index):
    X = np.repeat(samples(metric, 1), 40, axis=0)
    graph = FaissNeighbors(
        5, metric=metric, index=index, n_lists=1 if index == "ivf" else "auto"
    ).fit_transform(X)
    assert graph.nnz == 40 * 6
    assert_array_equal(graph.data, 0.0)
    assert all(len(set(row)) == 6 for row in graph.indices.reshape(40, 6))


def search_every_index():
    """Search, change and search again; what FAISS before 1.10 lacks, and before 1.15 has wrong."""
    for seed in range(4):
        bits = np.random.default_rng(seed).integers(0, 2, (500 + 37 * seed, 16)).astype(np.uint8)
        exact = FaissNeighbors(3).fit(bits)
        lists = FaissNeighbors(3, index="ivf", n_probes=1000).fit(bits)
        assert_array_equal(lists.index_.vectors(), np.packbits(bits, axis=1))
        for neighbors in (exact, lists):
            neighbors.remove([1, 2]).add(bits[:2])
        assert_array_equal(lists.kneighbors()[0], exact.kneighbors()[0])


def test_codes_of_lists_are_read_without_reconstruct_n(monkeypatch):
    import faiss

    def refuse(*args):
        raise AssertionError("reconstruct_n of binary lists corrupts the heap before FAISS 1.15")

    monkeypatch.setattr(faiss.IndexBinaryIVF, "reconstruct_n", refuse)
    search_every_index()


def test_the_oldest_faiss_searches():
    import faiss

    needed = next(r for r in map(Requirement, requires("dmzrep") or []) if r.name == "faiss-cpu")
    oldest = Version(next(s.version for s in needed.specifier if s.operator == ">="))
    if Version(faiss.__version__).release[:2] != oldest.release[:2]:
        pytest.skip(f"FAISS {faiss.__version__} is newer than {oldest}")
    search_every_index()


@pytest.mark.parametrize(
    ("module", "message"),
    [(None, "Search needs FAISS.*pip install faiss-cpu"), ("broken", "is installed but.*libgomp.*Reinstall")],
)
def test_faiss_that_cannot_be_imported(module, message, monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "faiss", raising=False)
    if module is None:
        monkeypatch.setitem(sys.modules, "faiss", None)
    else:
        (tmp_path / "faiss.py").write_text(
            "raise ImportError('libgomp.so.1: cannot open shared object file')"
        )
        monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=message):
        FaissNeighbors().fit(np.eye(8))
