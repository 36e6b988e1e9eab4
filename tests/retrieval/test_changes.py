"""Samples added and removed: the index equals one built from the remaining samples."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dmzrep.retrieval import FaissNeighbors

KINDS = [("hamming", k) for k in ("flat", "hnsw", "ivf")] + [("l2", k) for k in ("flat", "hnsw", "ivf", "pq")]
BITS = np.random.default_rng(0).integers(0, 2, (20, 16))


@pytest.mark.parametrize(("metric", "index"), KINDS)
def test_search_after_adding_and_removing_samples(metric, index, clustered, clustered_bits):
    X, queries = clustered_bits if metric == "hamming" else clustered
    # With these settings approximate indexes search all samples.
    params = {"metric": metric, "index": index, "n_probes": 1000, "ef_search": 1000, "n_jobs": 1}
    neighbors = FaissNeighbors(6, random_state=0, **params).fit(X[:1000])
    neighbors.add(X[1000:1500])
    removed = np.random.default_rng(0).choice(1500, 600, replace=False)
    neighbors.remove(removed)
    neighbors.add(X[1500:1700])
    left = np.setdiff1d(np.arange(1700), removed)
    assert neighbors.n_samples_fit_ == len(left)
    assert_array_equal(neighbors.ids_, left)

    distances, ids = neighbors.kneighbors(queries)
    if index == "pq":
        vectors = neighbors.index_.vectors()  # Compressed ones.
        centred = queries - neighbors._samples.offset
        exact = np.sqrt(((centred[:, None] - vectors[None]) ** 2).sum(axis=2))
        assert_allclose(distances, np.sort(exact, axis=1)[:, :6], rtol=1e-4)
    else:
        expected, indices = FaissNeighbors(6, metric=metric).fit(X[left]).kneighbors(queries)
        assert_allclose(distances, expected, rtol=1e-4)
        if metric == "l2":
            assert_array_equal(ids, left[indices])
    assert np.isin(ids, left).all()


def test_ids_of_removed_samples_are_not_reused():
    bits = np.eye(16, dtype=np.uint8)
    neighbors = FaissNeighbors(1).fit(bits[:4]).remove([2, 3]).add(bits[4:6])
    assert neighbors.ids_.tolist() == [0, 1, 4, 5]
    assert neighbors.remove([5]).add(bits[6:7]).ids_.tolist() == [0, 1, 4, 6]
    assert neighbors.kneighbors(bits[6:7])[1].tolist() == [[6]]


@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_empty_index_raises_is_restored_and_can_be_filled_again(index, tmp_path):
    bits = np.eye(16, dtype=np.uint8)
    neighbors = FaissNeighbors(1, index=index).fit(bits).remove(np.arange(16))
    for search in (neighbors.kneighbors, neighbors.radius_neighbors, neighbors.transform):
        with pytest.raises(ValueError, match=r"The index is empty.*Add samples first"):
            search(bits)
    neighbors.save(tmp_path / "index")
    for empty in (neighbors, FaissNeighbors.load(tmp_path / "index")):
        assert empty.n_samples_fit_ == 0
        assert empty.add(bits[:5]).kneighbors(bits[:5])[1].ravel().tolist() == [16, 17, 18, 19, 20]


@pytest.mark.parametrize(
    ("X", "ids", "message"),
    [
        (BITS, np.arange(20), "the index already has 10, 11, 12 and 7 more"),
        (BITS, None, "so add needs ids"),
        (BITS[:, :8], np.arange(100, 120), "8 features.*expecting 16"),
        (BITS * 0.2, np.arange(100, 120), "zeros and ones"),
    ],
)
@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_failed_add_changes_nothing(index, X, ids, message):
    neighbors = FaissNeighbors(3, index=index).fit(BITS, ids=np.arange(10, 30))
    content = pickle.dumps(neighbors.index_)
    with pytest.raises(ValueError, match=message):
        neighbors.add(X, ids)
    assert pickle.dumps(neighbors.index_) == content
    assert_array_equal(neighbors.ids_, np.arange(10, 30))


def test_failed_remove_and_fit_change_nothing():
    neighbors = FaissNeighbors(3).fit(BITS)
    with pytest.raises(ValueError, match="ids must be ids of samples in the index; 77, -1 are not in it"):
        neighbors.remove([3, 77, -1])
    with pytest.raises(ValueError, match="occur more than once"):
        neighbors.fit(BITS[:, :8], ids=np.zeros(20, int))
    assert neighbors.n_samples_fit_ == 20 and neighbors.n_features_in_ == 16
    assert neighbors.kneighbors(BITS)[0].max() <= 16
