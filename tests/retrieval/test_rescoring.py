"""Rescoring of candidates by exact distances of stored vectors."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from dmzrep.errors import PersistenceError
from dmzrep.retrieval import FaissNeighbors, ITQTransformer

SIGNS = np.random.default_rng(3).normal(size=(24, 48))


def encode(X):
    """Return packed signs of random projections."""
    return np.packbits(X @ SIGNS > 0, axis=1)


def rescored(metric="cosine", **params):
    return FaissNeighbors(6, packed=True, rescore=metric, **params)


@pytest.fixture
def on_disk(clustered, tmp_path):
    """The vectors as a memory map of float16."""
    vectors = np.lib.format.open_memmap(tmp_path / "vectors.npy", "w+", np.float16, clustered[0].shape)
    vectors[:] = clustered[0]
    vectors.flush()
    return np.load(tmp_path / "vectors.npy", mmap_mode="r")


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_with_all_samples_as_candidates_search_is_exact(metric, index, clustered, on_disk):
    X, queries = clustered[0][:400], clustered[1]
    params = {"index": index, "n_probes": 1000, "oversample": 1000}
    neighbors = rescored(metric, **params).fit(encode(X), vectors=on_disk[:400])
    exact = FaissNeighbors(6, metric=metric).fit(on_disk[:400])
    for found, expected in zip(
        neighbors.kneighbors(encode(queries), vectors=queries), exact.kneighbors(queries), strict=True
    ):
        assert_allclose(found, expected, rtol=1e-5)
    own = neighbors.kneighbors()
    for found, expected in zip(own, exact.kneighbors(), strict=True):
        assert_allclose(found, expected, rtol=1e-5)
    assert_array_equal(own[0], neighbors.kneighbors()[0])


def test_candidates_are_ordered_by_exact_distances(clustered, on_disk):
    X, queries = clustered
    codes, asked = encode(X), encode(queries)
    neighbors = rescored(oversample=3).fit(codes, vectors=on_disk)
    distances, ids = neighbors.kneighbors(asked, vectors=queries)
    candidates = FaissNeighbors(18, packed=True).fit(codes).kneighbors(asked, return_distance=False)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (on_disk.astype(float), queries)]
    measured = 1 - np.einsum("ijk,ik->ij", unit[0][candidates], unit[1])
    order = np.argsort(measured, axis=1)[:, :6]
    assert_array_equal(ids, np.take_along_axis(candidates, order, axis=1))
    assert_allclose(distances, np.take_along_axis(measured, order, axis=1), atol=1e-9)
    chosen = neighbors.kneighbors(asked, 6, vectors=queries, among=ids[0])
    assert_array_equal(np.sort(chosen[1], axis=1), np.tile(np.sort(ids[0]), (60, 1)))


def test_compressed_vectors_are_rescored_by_those_passed_to_fit(clustered):
    X, queries = clustered
    params = {"metric": "l2", "index": "pq", "n_probes": 1000, "random_state": 0}
    neighbors = FaissNeighbors(6, rescore="l2", oversample=50, **params).fit(X)
    found, expected = neighbors.kneighbors(queries), FaissNeighbors(6, metric="l2").fit(X).kneighbors(queries)
    assert (found[1] == expected[1]).mean() > 0.95
    assert_allclose(np.median(found[0]), np.median(expected[0]), rtol=0.02)
    assert neighbors.transform(queries).shape == (60, 2000)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8])
def test_vectors_of_any_stored_dtype(dtype, clustered):
    X, queries = (np.rint(part) for part in clustered)
    neighbors = rescored("l2", oversample=1000).fit(encode(X), vectors=X.astype(dtype))
    found = neighbors.kneighbors(encode(queries), vectors=queries.astype(dtype))
    assert_allclose(found[0], FaissNeighbors(6, metric="l2").fit(X).kneighbors(queries)[0], rtol=1e-6)


@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_vectors_follow_samples_that_are_added_and_removed(index, clustered, tmp_path):
    X, queries = clustered
    params = {"index": index, "n_probes": 1000, "oversample": 1000, "random_state": 0}
    neighbors = rescored(**params).fit(encode(X[:1000]), vectors=X[:1000].astype(np.float32))
    neighbors.remove(np.arange(0, 1000, 3)).add(encode(X[1000:]), vectors=X[1000:]).remove([1, 1999])
    left = np.setdiff1d(np.arange(2000), [*range(0, 1000, 3), 1, 1999])
    distances, ids = neighbors.kneighbors(encode(queries), vectors=queries)
    expected, indices = FaissNeighbors(6, metric="cosine").fit(X[left]).kneighbors(queries)
    assert_array_equal(neighbors.ids_, left)
    assert_array_equal(ids, left[indices])
    assert_allclose(distances, expected, rtol=1e-4, atol=1e-7)

    neighbors.save(tmp_path / "index")
    stored = np.concatenate([X[:1000].astype(np.float32), X[1000:]])
    restored = FaissNeighbors.load(tmp_path / "index", vectors=stored)
    for other in (restored, pickle.loads(pickle.dumps(neighbors)), copy.deepcopy(neighbors)):
        assert other.get_params() == neighbors.get_params()
        assert_array_equal(other.kneighbors(encode(queries), vectors=queries)[1], ids)
    restored.add(encode(queries), vectors=queries)
    assert_array_equal(
        restored.kneighbors(encode(queries), 1, vectors=queries)[1].ravel(), 2000 + np.arange(60)
    )


def test_file_holds_no_vectors(clustered, on_disk, tmp_path):
    X, queries = clustered
    neighbors = rescored().fit(encode(X), vectors=on_disk)
    neighbors.save(tmp_path / "index")
    assert (tmp_path / "index").stat().st_size < on_disk.nbytes / 2
    restored = FaissNeighbors.load(tmp_path / "index")
    for use in (
        lambda: restored.kneighbors(encode(queries), vectors=queries),
        lambda: restored.kneighbors(),
        lambda: restored.add(encode(queries), vectors=queries),
        lambda: restored.recall(encode(queries), vectors=queries),
    ):
        with pytest.raises(ValueError, match=r"vectors for rescoring are missing.*load\(path, vectors="):
            use()
    restored.save(tmp_path / "again")  # The checksum is kept.
    plain = restored.set_params(rescore=None).kneighbors(encode(queries))
    assert_array_equal(plain[0], FaissNeighbors(6, packed=True).fit(encode(X)).kneighbors(encode(queries))[0])
    for vectors, message in (
        (on_disk[::-1], "not those that the index was saved with"),
        (on_disk[1:], r"of shape \(2000, 24\), got \(1999, 24\)"),
    ):
        with pytest.raises(ValueError, match=message):
            FaissNeighbors.load(tmp_path / "again", vectors=vectors)
    restored = FaissNeighbors.load(tmp_path / "again", vectors=on_disk)
    found = restored.set_params(rescore="cosine").kneighbors(encode(queries), vectors=queries)[1]
    assert_array_equal(found, neighbors.kneighbors(encode(queries), vectors=queries)[1])


def test_crafted_rows_are_rejected(clustered, monkeypatch, tmp_path):
    neighbors = rescored().fit(encode(clustered[0]), vectors=clustered[0]).remove([5])
    good = neighbors._vectors.state()
    for change in (
        {"rows": good["rows"] + 1},
        {"rows": good["rows"][:-1]},
        {"rows": None},
        {"n_features": -1},
        {"checksum": 3},
        {"more": 1},
    ):
        monkeypatch.setattr(type(neighbors._vectors), "state", lambda self, change=change: good | change)
        neighbors.save(tmp_path / "index")
        with pytest.raises(PersistenceError, match="does not hold a complete FaissNeighbors"):
            FaissNeighbors.load(tmp_path / "index")


def with_row(X, row, value):
    changed = X.copy()
    changed[row] = value
    return changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: None, r"needs the vectors of the samples: fit\(X, vectors="),
        (lambda X: X[:-1], "got 1999 for 2000"),
        (lambda X: X[np.random.default_rng(0).permutation(2000)], "vectors do not belong to the samples"),
        (lambda X: with_row(X, 1234, np.nan), "NaN or infinity, first in sample 1234"),
        (lambda X: with_row(X, 7, np.inf).astype(np.float16), "sample 7. A float16 holds at most 65504"),
        (lambda X: with_row(X, 99, 0.0), "must not be zero for rescore='cosine', but sample 99 is"),
    ],
)
def test_invalid_vectors_of_samples_are_refused_and_nothing_is_lost(change, message, clustered):
    X, queries = clustered
    neighbors = rescored().fit(encode(X), vectors=X)
    expected = neighbors.kneighbors(encode(queries), vectors=queries)
    for use in (neighbors.fit, neighbors.add):
        with pytest.raises(ValueError, match=message):
            use(encode(X), vectors=change(X))
    for found, wanted in zip(neighbors.kneighbors(encode(queries), vectors=queries), expected, strict=True):
        assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (lambda n, C, Q: n.kneighbors(C), r"needs the vectors of the queries: kneighbors\(X, vectors="),
        (lambda n, C, Q: n.transform(C), "kneighbors_graph"),
        (lambda n, C, Q: n.kneighbors(C, vectors=Q[:, :20]), "must have 24 columns.*got 20"),
        (lambda n, C, Q: n.set_params(rescore=None).kneighbors(C, vectors=Q), "vectors are for rescoring"),
        (lambda n, C, Q: n.set_params(rescore=None).fit(C, vectors=Q), "vectors are for rescoring"),
        (lambda n, C, Q: clone(n).set_params(rescore=None).fit(C).add(C, vectors=Q), "rescore=None"),
        (
            lambda n, C, Q: rescored(None).fit(C).set_params(rescore="l2").kneighbors(C, vectors=Q),
            "was fitted with rescore=None and has no vectors",
        ),
    ],
)
def test_invalid_searches_are_refused(search, message, clustered):
    X, queries = clustered
    with pytest.raises(ValueError, match=message):
        search(rescored().fit(encode(X), vectors=X), encode(queries), queries)


@pytest.mark.parametrize("n_bits", [8, 64])
def test_weak_codes_are_not_taken_for_shuffled_ones(n_bits):
    X = np.random.default_rng(0).normal(size=(500, 384))
    codes = ITQTransformer(n_bits, method="random_rotation", random_state=0).fit_transform(X)
    assert FaissNeighbors(5, rescore="l2").fit(codes, vectors=X).n_samples_fit_ == 500
