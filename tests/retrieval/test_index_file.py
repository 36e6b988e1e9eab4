"""save, load, pickle and joblib of FaissNeighbors; see tests/files for crafted files."""

import copy
import pickle

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from dmzrep.errors import PersistenceError
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
def test_what_comes_back_answers_the_same(way, metric, index, clustered, clustered_bits, tmp_path):
    rows, queries = clustered if metric in ("l2", "cosine") else clustered_bits
    neighbors = FaissNeighbors(4, metric=metric, index=index, n_jobs=1).fit(
        rows, ids=3 * np.arange(len(rows)) - 50
    )
    neighbors.remove([-50, -44])
    back = WAYS[way](neighbors, tmp_path)
    assert back.get_params() == neighbors.get_params()
    for mine, other in zip(back.kneighbors(queries), neighbors.kneighbors(queries), strict=True):
        assert_array_equal(mine, other)
    back.add(rows[:3], ids=[-101, -102, -103])
    assert back.n_samples_fit_ == neighbors.n_samples_fit_ + 3


def test_counting_goes_on_after_loading(tmp_path):
    neighbors = FaissNeighbors(1).fit(np.eye(8)).remove([7])
    back = through_file(neighbors, tmp_path).add(np.ones((1, 8)))
    assert back.ids_.tolist() == [0, 1, 2, 3, 4, 5, 6, 8]


def test_an_encoders_file_is_no_index(encoder, tmp_path):
    encoder.save(tmp_path / "encoder.safetensors")
    with pytest.raises(PersistenceError, match="holds a DMZEncoder, not a FaissNeighbors"):
        FaissNeighbors.load(tmp_path / "encoder.safetensors")


@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_an_index_without_samples_comes_back(index, tmp_path):
    neighbors = FaissNeighbors(1, index=index, n_lists=1).fit(np.eye(8)).remove(range(8))
    back = through_file(neighbors, tmp_path)
    assert back.n_samples_fit_ == 0
    assert back.add(np.eye(8)).kneighbors(np.eye(8))[1].ravel().tolist() == list(range(8, 16))
