import json
import os
import random
import struct
import threading
import tracemalloc

import numpy as np
import pytest
import safetensors.numpy

from dmzrep.errors import DmzError, PersistenceError
from dmzrep.files import _container as persistence
from dmzrep.files._container import read_file, write_file

VALUES = {
    "text": 'é " \\ \n',
    "number": 1.5,
    "whole": 2**60,
    "nothing": None,
    "list": [1, [2.0, "x"], {}],
    "infinity": float("inf"),
    "yes": True,
}


def draw_arrays(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "floats": rng.normal(size=(3, 4)).astype(np.float32),
        "doubles": rng.normal(size=5),
        "bytes": rng.integers(0, 256, (2, 2, 2), dtype=np.uint8),
        "wholes": rng.integers(-9, 9, 3),
        "bits": rng.random(4) < 0.5,
        "single": np.array(7, dtype=np.int64),
        "empty": np.zeros((0, 3)),
    }


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "model.safetensors"
    write_file(path, VALUES, draw_arrays())
    return path


def test_values_and_arrays_come_back_as_they_were(written):
    values, arrays = read_file(written)
    assert values == VALUES
    expected = draw_arrays()
    assert set(arrays) == set(expected)
    for name, array in expected.items():
        assert arrays[name].dtype == array.dtype and arrays[name].shape == array.shape, name
        np.testing.assert_array_equal(arrays[name], array)


def test_paths_may_be_strings_and_arrays_of_any_order(tmp_path):
    rows = np.arange(24.0).reshape(4, 6)
    write_file(str(tmp_path / "model"), {}, {"turned": rows.T, "every_other": rows[:, ::2]})
    values, arrays = read_file(str(tmp_path / "model"))
    assert values == {}
    np.testing.assert_array_equal(arrays["turned"], rows.T)
    np.testing.assert_array_equal(arrays["every_other"], rows[:, ::2])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", sorted(persistence._DTYPES))
def test_safetensors_reads_every_kind_of_number(name, order, tmp_path):
    array = np.arange(6).reshape(2, 3).astype(np.dtype(name).newbyteorder(order))
    arrays = {"array": array, "bytes": np.arange(3, dtype=np.uint8), "none": array[:0], "one": array[1, 2]}
    write_file(tmp_path / "file", {}, arrays)
    for read in (safetensors.numpy.load_file, lambda path: read_file(path)[1]):
        found = read(tmp_path / "file")
        assert found.keys() == arrays.keys()
        for key, value in arrays.items():
            np.testing.assert_array_equal(found[key], value)
            assert found[key].dtype.name == value.dtype.name and found[key].shape == value.shape


def test_numbers_that_a_file_cannot_hold_are_named(tmp_path):
    with pytest.raises(TypeError, match="wave is an array of complex128"):
        write_file(tmp_path / "file", {}, {"wave": np.zeros(2, complex)})
    assert list(tmp_path.iterdir()) == []


def test_reading_takes_the_memory_of_the_arrays_once(tmp_path):
    arrays = {str(i): np.zeros((512, 1024)) for i in range(8)}
    write_file(tmp_path / "file", {}, arrays)
    for act in (lambda: write_file(tmp_path / "file", {}, arrays), lambda: read_file(tmp_path / "file")):
        tracemalloc.start()
        try:
            act()
            assert tracemalloc.get_traced_memory()[1] < 1.2 * 8 * arrays["0"].nbytes
        finally:
            tracemalloc.stop()


def test_values_that_are_not_numbers_come_back(tmp_path):
    write_file(tmp_path / "model", {"nan": float("nan")}, {"nan": np.array([np.nan, 1.0])})
    values, arrays = read_file(tmp_path / "model")
    assert np.isnan(values["nan"]) and np.isnan(arrays["nan"][0])


def test_values_keep_their_order(tmp_path):
    table = {"zeta": [1], "alpha": [2], "mu": [3]}
    write_file(tmp_path / "model", {"table": table}, {})
    assert list(read_file(tmp_path / "model")[0]["table"]) == list(table)


@pytest.mark.parametrize("seed", range(5))
def test_a_flipped_bit_anywhere_is_noticed(written, seed):
    content = written.read_bytes()
    for place in random.Random(seed).sample(range(8 * len(content)), 50):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        written.write_bytes(damaged)
        with pytest.raises(PersistenceError):
            read_file(written)
            pytest.fail(f"bit {place} of {8 * len(content)} was flipped unnoticed")


@pytest.mark.parametrize("seed", range(2))
def test_a_file_cut_off_anywhere_is_noticed(written, seed):
    content = written.read_bytes()
    for length in [0, len(content) - 1, *random.Random(seed).sample(range(len(content)), 50)]:
        written.write_bytes(content[:length])
        with pytest.raises(PersistenceError, match="not a complete dmzrep file"):
            read_file(written)


def test_bytes_behind_the_end_are_noticed(written):
    written.write_bytes(written.read_bytes() + b"\0")
    with pytest.raises(PersistenceError):
        read_file(written)


def test_an_exchanged_array_is_noticed(written):
    _, arrays = read_file(written)
    header = json.loads(written.read_bytes()[8 : 8 + struct.unpack("<Q", written.read_bytes()[:8])[0]])
    arrays["doubles"] = arrays["doubles"] + 1e-9
    written.write_bytes(safetensors.numpy.save(arrays, header["__metadata__"]))
    with pytest.raises(PersistenceError, match="checksum does not match"):
        read_file(written)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "nothing")


def test_persistence_errors_are_the_packages_own_and_value_errors():
    assert issubclass(PersistenceError, DmzError) and issubclass(PersistenceError, ValueError)


@pytest.mark.parametrize(
    "value", [{1, 2}, object(), np.float32(1.0), b"bytes"], ids=lambda v: type(v).__name__
)
def test_a_value_that_json_cannot_hold_raises_and_leaves_the_old_file(written, value):
    before = written.read_bytes()
    with pytest.raises(TypeError):
        write_file(written, {"good": 1, "bad": value}, {})
    assert written.read_bytes() == before
    assert os.listdir(written.parent) == [written.name]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fails_raises_and_leaves_the_old_file_alone(written, monkeypatch, step):
    def fail(*args):
        raise OSError("No space left on device")

    before = written.read_bytes()
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        write_file(written, {"new": 1}, draw_arrays(1))
    monkeypatch.undo()
    assert written.read_bytes() == before
    assert os.listdir(written.parent) == [written.name]


def test_a_new_file_replaces_the_old_one_and_leaves_nothing_beside_it(written):
    write_file(written, {"new": 1}, {"x": np.ones(2)})
    values, arrays = read_file(written)
    assert values == {"new": 1} and list(arrays) == ["x"]
    assert os.listdir(written.parent) == [written.name]


def test_a_folder_that_does_not_exist_raises(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_file(tmp_path / "no" / "model", {}, {})


def test_many_writers_of_one_path_leave_one_whole_file(tmp_path):
    path, errors = tmp_path / "model", []

    def write(number):
        try:
            for _ in range(20):
                write_file(path, {"number": number}, {"x": np.full(10_000, number)})
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            values, arrays = read_file(path)
            assert (arrays["x"] == values["number"]).all()
    assert errors == [] and os.listdir(tmp_path) == ["model"]


def test_a_new_file_has_the_permissions_of_new_files(written):
    other = written.with_name("other")
    other.touch()
    assert written.stat().st_mode == other.stat().st_mode


def test_too_many_values_are_refused_before_the_file_is_touched(written):
    before = written.read_bytes()
    with pytest.raises(ValueError, match="values and 0 arrays are too many"):
        write_file(written, {"numbers": [0] * 1_100_000}, {})
    assert written.read_bytes() == before
