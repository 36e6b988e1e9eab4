"""save, load, pickle and joblib of FaissNeighbors, and files that are not whole."""

import copy
import pickle

import joblib
import numpy as np
import pytest
import safetensors.numpy
from numpy.testing import assert_array_equal

from dmzrep.errors import PersistenceError
from dmzrep.files._container import write_file
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


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "index.safetensors"
    FaissNeighbors(2).fit(np.eye(16, dtype=np.uint8), ids=np.arange(5, 21)).save(path)
    return path


def test_counting_goes_on_after_loading(tmp_path):
    neighbors = FaissNeighbors(1).fit(np.eye(8)).remove([7])
    back = through_file(neighbors, tmp_path).add(np.ones((1, 8)))
    assert back.ids_.tolist() == [0, 1, 2, 3, 4, 5, 6, 8]


def test_any_changed_byte_is_noticed(saved):
    content = saved.read_bytes()
    for place in np.linspace(0, len(content) - 1, 60).astype(int):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        saved.write_bytes(damaged)
        with pytest.raises(PersistenceError):
            FaissNeighbors.load(saved)


@pytest.mark.parametrize("size", [0, 5, 100, -1])
def test_a_file_that_was_cut_off(saved, size):
    saved.write_bytes(saved.read_bytes()[:size])
    with pytest.raises(PersistenceError, match="damaged, cut off, or not written by save"):
        FaissNeighbors.load(saved)


def test_foreign_files(saved):
    saved.write_text("not an index\n" * 30)
    with pytest.raises(PersistenceError, match="is not a whole dmzrep file"):
        FaissNeighbors.load(saved)
    safetensors.numpy.save_file({"index": np.zeros(3)}, saved)
    with pytest.raises(PersistenceError, match="not"):
        FaissNeighbors.load(saved)
    with pytest.raises(FileNotFoundError):
        FaissNeighbors.load(saved.with_name("nowhere"))


def test_an_encoders_file_is_no_index(encoder, tmp_path):
    encoder.save(tmp_path / "encoder.safetensors")
    with pytest.raises(PersistenceError, match="holds a DMZEncoder, not a FaissNeighbors"):
        FaissNeighbors.load(tmp_path / "encoder.safetensors")


def test_an_index_that_does_not_fit_its_header(saved):
    from dmzrep.files._container import read_file

    values, arrays = read_file(saved)
    for changed in (
        {"n_samples": 15},
        {"samples": values["samples"] | {"n_features": 99}},
        {"params": {"x": 1}},
    ):
        write_file(saved, values | changed, arrays)
        with pytest.raises(PersistenceError, match="does not hold a whole FaissNeighbors"):
            FaissNeighbors.load(saved)
    write_file(saved, values, arrays | {"index": arrays["index"][:-7]})
    with pytest.raises(PersistenceError, match="does not hold a whole FaissNeighbors"):
        FaissNeighbors.load(saved)
