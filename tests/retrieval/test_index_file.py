"""FaissNeighbors after save and load, pickle and joblib; tests/files has crafted files."""

import copy
import pickle

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from dmzrep.retrieval import FaissNeighbors

KINDS = [
    ("hamming", "flat"),
    ("hamming", "hnsw"),
    ("hamming", "ivf"),
    ("asymmetric", "flat"),
    ("l2", "flat"),
    ("l2", "pq"),
    ("cosine", "hnsw"),
    ("cosine", "ivf"),
]


def through_file(neighbors, folder):
    neighbors.save(folder / "index.safetensors")
    return FaissNeighbors.load(folder / "index.safetensors")


def through_joblib(neighbors, folder):
    joblib.dump(neighbors, folder / "index.joblib")
    return joblib.load(folder / "index.joblib")


WAYS = {
    "file": through_file,
    "joblib": through_joblib,
    "pickle": lambda neighbors, folder: pickle.loads(pickle.dumps(neighbors)),
    "deepcopy": lambda neighbors, folder: copy.deepcopy(neighbors),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("metric", "index"), KINDS)
def test_restored_index_returns_the_same_results(metric, index, way, clustered, clustered_bits, tmp_path):
    X, queries = clustered if metric in ("l2", "cosine") else clustered_bits
    neighbors = FaissNeighbors(4, metric=metric, index=index, radius=0.5, n_jobs=1)
    neighbors.fit(X, ids=3 * np.arange(len(X)) - 50).remove([-50, -44])
    restored = WAYS[way](neighbors, tmp_path)
    assert restored.get_params() == neighbors.get_params()
    for found, expected in zip(restored.kneighbors(queries), neighbors.kneighbors(queries), strict=True):
        assert_array_equal(found, expected)
    if metric != "asymmetric":
        expected = neighbors.radius_neighbors(queries, return_distance=False)
        for found, wanted in zip(restored.radius_neighbors(queries)[1], expected, strict=True):
            assert_array_equal(found, wanted)
    restored.add(X[:3], ids=[-101, -102, -103])
    assert restored.n_samples_fit_ == neighbors.n_samples_fit_ + 3


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("step", [1.0, 0.1])
def test_restored_index_keeps_the_boundary_of_a_radius(way, step, tmp_path):
    X = np.arange(40.0)[:, None] * step
    neighbors = FaissNeighbors(metric="l2", radius=3 * step).fit(X)
    restored = WAYS[way](neighbors, tmp_path)
    assert restored._samples.exact == neighbors._samples.exact == (step == 1.0)
    found = [len(ids) for ids in restored.radius_neighbors(X, return_distance=False)]
    assert found == (np.abs(np.arange(40)[:, None] - np.arange(40)) <= 3).sum(axis=1).tolist()


def test_ids_continue_after_loading(tmp_path):
    neighbors = FaissNeighbors(1).fit(np.eye(8)).remove([7])
    restored = through_file(neighbors, tmp_path).add(np.ones((1, 8)))
    assert restored.ids_.tolist() == [0, 1, 2, 3, 4, 5, 6, 8]
