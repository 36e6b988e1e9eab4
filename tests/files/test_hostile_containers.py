"""Foreign and damaged containers and excessive claims: rejected without allocating much memory."""

import json
import os
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

from dmzrep.estimator._state import CLASSES
from dmzrep.files import _container as container
from dmzrep.files._state import read_state, write_state


def header_of(path):
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def with_header(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def changed_array(valid_files, **changes):
    header, data = header_of(valid_files / "encoder")
    name = next(name for name in header if name.startswith("weights.") and len(header[name]["shape"]) > 1)
    header[name] |= changes
    return with_header(header, data)


def other_metadata(valid_files, **changes):
    """A file of other metadata and a valid checksum."""
    metadata = header_of(valid_files / "encoder")[0]["__metadata__"] | changes
    return safetensors.numpy.save({}, metadata | {"checksum": container._checksum(metadata, {})})


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("the file's code was run",)


CONTAINERS = {
    "empty": lambda files: b"",
    "pickle": lambda files: pickle.dumps(Bomb()),
    "list as header": lambda files: with_header(b"[]", b""),
    "deep header": lambda files: with_header(b"[" * 200_000, b""),
    "largest header": lambda files: struct.pack("<Q", 2**64 - 1) + bytes(100),
    "wide header": lambda files: with_header(
        b'{"__metadata__":{"format":"dmzrep"},"a":[' + b"{}," * 5_000_000 + b"0]}", b""
    ),
    "no metadata": lambda files: safetensors.numpy.save({"weight": np.zeros(3)}),
    "huge shape": lambda files: changed_array(files, shape=[2**40, 2**40]),
    "shape beyond the bytes": lambda files: changed_array(files, shape=[2**30]),
    "overlapping offsets": lambda files: changed_array(files, data_offsets=[0, 16]),
    "unknown dtype": lambda files: changed_array(files, dtype="F128"),
    "later version": lambda files: other_metadata(files, version=str(container.FORMAT_VERSION + 1)),
    "version of text": lambda files: other_metadata(files, version="x" * 10**6),
    "values of no JSON": lambda files: other_metadata(files, values="{"),
    "deep values": lambda files: other_metadata(files, values="[" * 100_000 + "]" * 100_000),
    "many lists": lambda files: other_metadata(files, values="[" + "[]," * 1_000_000 + "0]"),
    "many arrays": lambda files: with_header(
        header_of(files / "encoder")[0]
        | {f"a{i}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(50_000)},
        header_of(files / "encoder")[1],
    ),
    "values of a list": lambda files: other_metadata(files, values="[1]"),
    "other checksum": lambda files: safetensors.numpy.save(
        {}, header_of(files / "encoder")[0]["__metadata__"]
    ),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_invalid_containers_are_rejected(valid_files, check_rejected, tmp_path, name):
    path = tmp_path / "crafted"
    path.write_bytes(CONTAINERS[name](valid_files))
    check_rejected("encoder", path)


def test_sparse_files_are_rejected(check_rejected, tmp_path):
    with open(tmp_path / "crafted", "wb") as file:
        file.write(struct.pack("<Q", (2 << 30) - 8))
        file.truncate(2 << 30)
    check_rejected("encoder", tmp_path / "crafted")


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
def test_files_that_claim_much_take_little_memory(valid_files, tmp_path):
    for name in ("wide header", "deep values", "many lists", "many arrays", "huge shape", "largest header"):
        (tmp_path / name).write_bytes(CONTAINERS[name](valid_files))
    claims = {"widths": (2**20,), "encoder_width": 2**24, "encoder_depth": 10**5, "latent_dim": 2**30}
    for name, claim in claims.items():
        state = read_state(valid_files / "encoder", "DMZEncoder", CLASSES)
        state["network"][name] = claim
        if name in state["params"]:
            state["params"][name] = claim
        write_state(tmp_path / name, "DMZEncoder", state, CLASSES)
    command = [sys.executable, "-c", LOAD_ALL, str(valid_files / "encoder"), str(tmp_path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(printed) < 200 * 1024


@pytest.mark.parametrize("kind", ["encoder", "flat", "classifier"])
def test_pipes_and_folders_are_rejected(loaders, check_rejected, tmp_path, kind):
    os.mkfifo(tmp_path / "pipe")
    check_rejected(kind, tmp_path / "pipe", "not a regular file")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match="folder cannot be read: it is a folder"):
        loaders[kind].load(tmp_path / "folder")
    with pytest.raises(FileNotFoundError):
        loaders[kind].load(tmp_path / "nowhere")
