"""Containers of arrays and JSON values: restored exactly, damage detected, written atomically."""

import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import safetensors.numpy

from dmzrep.files import _container as container
from dmzrep.files._container import read_file, write_file

VALUES = {
    "zeta": 'é " \\ \n',
    "list": [1, 1.5, 2**60, None, True, float("inf"), [2.0, "x"], {}],
    "alpha": 0,
}


def draw_arrays(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "floats": rng.normal(size=(3, 4)).astype(np.float32),
        "doubles": rng.normal(size=5),
        "bytes": rng.integers(0, 256, (2, 2, 2), dtype=np.uint8),
        "bits": rng.random(4) < 0.5,
        "single": np.array(7, dtype=np.int64),
        "empty": np.zeros((0, 3)),
        "transposed": rng.normal(size=(3, 4)).T,
        "strided": np.array([np.nan, 1.0, 2.0])[::2],
    }


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "model.safetensors"
    write_file(path, VALUES, draw_arrays())
    return path


def test_values_and_arrays_are_restored(written):
    values, arrays = read_file(written)
    assert values == VALUES and list(values) == list(VALUES)
    expected = draw_arrays()
    assert set(arrays) == set(expected)
    for name, array in expected.items():
        assert arrays[name].dtype == array.dtype and arrays[name].shape == array.shape, name
        np.testing.assert_array_equal(arrays[name], array)


@pytest.mark.parametrize("order", ["<", ">"])
def test_safetensors_reads_every_dtype(order, tmp_path):
    array = np.arange(6).reshape(2, 3)
    arrays = {name: array.astype(np.dtype(name).newbyteorder(order)) for name in container._DTYPES}
    write_file(tmp_path / "file", {}, arrays)
    for read in (safetensors.numpy.load_file, lambda path: read_file(path)[1]):
        found = read(tmp_path / "file")
        assert found.keys() == arrays.keys()
        for key, value in arrays.items():
            np.testing.assert_array_equal(found[key], value)
            assert found[key].dtype.name == value.dtype.name and found[key].shape == value.shape


def test_writing_copies_no_arrays_and_reading_holds_them_once(tmp_path):
    arrays, n_bytes = {str(i): np.zeros((512, 1024)) for i in range(8)}, 512 * 1024 * 8
    path = tmp_path / "file"
    for act, limit in ((lambda: write_file(path, {}, arrays), 1), (lambda: read_file(path), 8.5)):
        tracemalloc.start()
        try:
            act()
            assert tracemalloc.get_traced_memory()[1] < limit * n_bytes
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    ("values", "arrays", "error"),
    [
        ({"good": 1, "bad": {1, 2}}, {}, TypeError),
        ({"many": [0] * 1_100_000}, {}, ValueError),
        ({}, {"wave": np.zeros(2, complex)}, TypeError),
    ],
)
def test_values_that_cannot_be_written_leave_the_old_file(written, values, arrays, error):
    before = written.read_bytes()
    with pytest.raises(error):
        write_file(written, values, arrays)
    assert written.read_bytes() == before
    assert os.listdir(written.parent) == [written.name]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_file(written, monkeypatch, step):
    def fail(*args):
        raise OSError("No space left on device")

    before = written.read_bytes()
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        write_file(written, {"new": 1}, draw_arrays(1))
    monkeypatch.undo()
    assert written.read_bytes() == before
    assert os.listdir(written.parent) == [written.name]
    written.with_name("other").touch()
    assert written.stat().st_mode == written.with_name("other").stat().st_mode


def test_concurrent_writers_of_one_path_leave_one_complete_file(tmp_path):
    path = tmp_path / "model"

    def write(number):
        for _ in range(20):
            write_file(path, {"number": number}, {"x": np.full(10_000, number)})

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, number) for number in range(4)]
        while not all(writer.done() for writer in writers):
            if path.exists():
                values, arrays = read_file(path)
                assert (arrays["x"] == values["number"]).all()
    assert [writer.result() for writer in writers] == [None] * 4
    assert os.listdir(tmp_path) == ["model"]
