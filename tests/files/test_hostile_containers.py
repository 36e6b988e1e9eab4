"""Files that are no container of ours, or claim what they do not have: refused at little cost."""

import json
import os
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

from dmzrep.errors import PersistenceError
from dmzrep.estimator._state import CLASSES
from dmzrep.files import _container as container
from dmzrep.files._state import read_state, write_state

pytestmark = pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")


def header_of(path):
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def with_header(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def changed_array(honest, **changes):
    header, data = header_of(honest / "encoder")
    name = next(name for name in header if name.startswith("weights.") and len(header[name]["shape"]) > 1)
    header[name] |= changes
    return with_header(header, data)


def checked_again(metadata, arrays=None):
    """A file whose metadata are others, under a checksum that holds."""
    arrays = arrays or {}
    metadata["checksum"] = container._checksum(metadata, arrays)
    return safetensors.numpy.save(arrays, metadata)


def other_metadata(honest, **changes):
    header, _ = header_of(honest / "encoder")
    return checked_again(header["__metadata__"] | changes)


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("the file's code was run",)


CONTAINERS = {
    "empty": lambda honest: b"",
    "pickle": lambda honest: pickle.dumps(Bomb()),
    "zip": lambda honest: b"PK\x03\x04" + bytes(100),
    "zeros": lambda honest: bytes(1000),
    "text": lambda honest: b"hello " * 100,
    "list as header": lambda honest: with_header(b"[]", b""),
    "deep header": lambda honest: with_header(b"[" * 200_000, b""),
    "header beyond the end": lambda honest: struct.pack("<Q", 10**9) + bytes(100),
    "largest header": lambda honest: struct.pack("<Q", 2**64 - 1) + bytes(100),
    "wide header": lambda honest: with_header(
        b'{"__metadata__":{"format":"dmzrep"},"a":[' + b"{}," * 5_000_000 + b"0]}", b""
    ),
    "format of others": lambda honest: safetensors.numpy.save({"weight": np.zeros(3)}, {"format": "pt"}),
    "no metadata": lambda honest: safetensors.numpy.save({"weight": np.zeros(3)}),
    "huge shape": lambda honest: changed_array(honest, shape=[2**40, 2**40]),
    "shape beyond the bytes": lambda honest: changed_array(honest, shape=[2**30]),
    "overlapping offsets": lambda honest: changed_array(honest, data_offsets=[0, 16]),
    "offsets backwards": lambda honest: changed_array(honest, data_offsets=[64, 0]),
    "unknown dtype": lambda honest: changed_array(honest, dtype="F128"),
    "dtype without NumPy": lambda honest: changed_array(honest, dtype="BF16"),
    "later version": lambda honest: other_metadata(honest, version=str(container.FORMAT_VERSION + 1)),
    "earlier version": lambda honest: other_metadata(honest, version="2"),
    "version of text": lambda honest: other_metadata(honest, version="x" * 10**6),
    "values of no JSON": lambda honest: other_metadata(honest, values="{"),
    "deep values": lambda honest: other_metadata(honest, values="[" * 100_000 + "]" * 100_000),
    "many lists": lambda honest: other_metadata(honest, values="[" + "[]," * 1_000_000 + "0]"),
    "many arrays": lambda honest: with_header(
        header_of(honest / "encoder")[0]
        | {f"a{i}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(50_000)},
        header_of(honest / "encoder")[1],
    ),
    "values of a list": lambda honest: other_metadata(honest, values="[1]"),
    "other checksum": lambda honest: safetensors.numpy.save(
        {}, header_of(honest / "encoder")[0]["__metadata__"]
    ),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_that_are_none_are_refused_at_little_cost(honest, refused, tmp_path, name):
    path = tmp_path / "crafted"
    path.write_bytes(CONTAINERS[name](honest))
    refused("encoder", path)


def test_a_sparse_file_costs_nothing(refused, tmp_path):
    with open(tmp_path / "crafted", "wb") as file:
        file.write(struct.pack("<Q", (2 << 30) - 8))
        file.truncate(2 << 30)
    refused("encoder", tmp_path / "crafted")


LOAD_ALL = """
import resource, sys
from pathlib import Path
from dmzrep import DMZEncoder
DMZEncoder.load(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sorted(Path(sys.argv[2]).iterdir()):
    try:
        DMZEncoder.load(path)
    except ValueError:
        pass
    else:
        sys.exit(f"{path} was loaded")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in other units")
def test_files_that_claim_much_take_little_memory(honest, tmp_path):
    for name in (
        "wide header",
        "deep values",
        "many lists",
        "many arrays",
        "huge shape",
        "header beyond the end",
    ):
        (tmp_path / name).write_bytes(CONTAINERS[name](honest))
    claims = {"widths": (2**20,), "encoder_width": 2**24, "encoder_depth": 10**5, "latent_dim": 2**30}
    for name, claim in claims.items():
        state = read_state(honest / "encoder", "DMZEncoder", CLASSES)
        state["network"][name] = claim
        if name in state["params"]:
            state["params"][name] = claim
        write_state(tmp_path / name, "DMZEncoder", state, CLASSES)
    command = [sys.executable, "-c", LOAD_ALL, str(honest / "encoder"), str(tmp_path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(printed) < 200 * 1024


# -- paths -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["encoder", "flat", "retriever", "transfer", "classifier", "statistics"])
def test_pipes_folders_and_devices_are_refused(loaders, refused, tmp_path, kind):
    os.mkfifo(tmp_path / "pipe")
    refused(kind, tmp_path / "pipe", "not a regular file")
    (tmp_path / "folder").mkdir()
    with pytest.raises((PersistenceError, IsADirectoryError)):
        loaders[kind][0](tmp_path / "folder")
    with pytest.raises(FileNotFoundError):
        loaders[kind][0](tmp_path / "nowhere")
