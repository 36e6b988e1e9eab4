import json
import os
import random
import struct
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


@pytest.mark.parametrize(
    "name", ["bool", "float16", "float32", "float64", *map("int{}".format, (8, 16, 32, 64))]
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_safetensors_reads_every_kind_of_number(name, order, tmp_path):
    array = np.arange(6).reshape(2, 3).astype(np.dtype(name).newbyteorder(order))
    arrays = {"array": array, "bytes": np.arange(3, dtype=np.uint8), "none": array[:0], "one": array[1, 2]}
    if name.startswith("int"):
        arrays["unsigned"] = array.astype(f"u{name}")
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


def test_writing_copies_an_array_or_two_at_a_time(tmp_path):
    # Laid out otherwise than in a file, so that each is copied.
    arrays = {str(i): np.zeros((512, 1024)).T for i in range(8)}
    tracemalloc.start()
    try:
        write_file(tmp_path / "file", {}, arrays)
        assert tracemalloc.get_traced_memory()[1] < 2.5 * arrays["0"].nbytes
    finally:
        tracemalloc.stop()
    assert (tmp_path / "file").stat().st_size > 8 * arrays["0"].nbytes


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
        with pytest.raises(PersistenceError, match="not a whole dmzrep file"):
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


@pytest.mark.parametrize("metadata", [{"format": "pt"}, {}, None], ids=["other format", "empty", "none"])
def test_a_foreign_safetensors_file_is_refused(tmp_path, metadata):
    path = tmp_path / "foreign.safetensors"
    safetensors.numpy.save_file({"weight": np.zeros(3)}, path, metadata)
    with pytest.raises(PersistenceError, match=r"not written by (DMZEncoder\.)?save\(\)"):
        read_file(path)


def test_a_foreign_safetensors_file_with_null_metadata_is_refused(tmp_path):
    header = b'{"__metadata__":null}   '
    (tmp_path / "foreign").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(PersistenceError):
        read_file(tmp_path / "foreign")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"a longer text that is no safetensors file\n" * 20, b"\0" * 64]
)
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "text").write_bytes(content)
    with pytest.raises(PersistenceError, match="not a whole dmzrep file"):
        read_file(tmp_path / "text")


def test_a_file_of_another_version_is_refused_with_both_versions(tmp_path, monkeypatch):
    monkeypatch.setattr(persistence, "FORMAT_VERSION", 3)
    write_file(tmp_path / "model", VALUES, draw_arrays())
    monkeypatch.undo()
    with pytest.raises(PersistenceError, match="has format version 3; this dmzrep reads versions 1 and 2"):
        read_file(tmp_path / "model")


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


def test_arrays_of_foreign_byte_order_come_back_or_are_refused_at_once(tmp_path):
    numbers = np.arange(3, dtype=">f4")
    try:
        write_file(tmp_path / "model", {}, {"numbers": numbers})
    except (TypeError, ValueError):
        return
    np.testing.assert_array_equal(read_file(tmp_path / "model")[1]["numbers"], numbers)
