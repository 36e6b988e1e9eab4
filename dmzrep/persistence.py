"""Files: tensors and plain values in one safetensors file; no pickle anywhere."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as dump_tensors

from dmzrep.errors import PersistenceError

FORMAT = "dmzrep"
FORMAT_VERSION = 1


def write_file(path: str | os.PathLike, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write plain values and arrays to one file, atomically.

    Parameters
    ----------
    path : path-like
        The file; its folder must exist. Replaced only once the new one is complete.
    values : dict
        JSON values; anything else raises rather than being dropped.
    arrays : dict of str to ndarray
        Arrays by name.

    Raises
    ------
    TypeError
        A value that JSON cannot hold.
    OSError
        The file cannot be written.
    """
    path = Path(path)
    header = json.dumps(values, allow_nan=True)
    tensors = {name: _plain(array) for name, array in arrays.items()}
    metadata = {
        "format": FORMAT,
        "version": str(FORMAT_VERSION),
        "values": header,
        "checksum": _checksum(header, tensors),
    }
    replace_file(path, dump_tensors(tensors, metadata))


def replace_file(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all: a file of that name is replaced once the new one is complete."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def read_file(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `write_file` wrote.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    values : dict
    arrays : dict of str to ndarray

    Raises
    ------
    PersistenceError
        The file is foreign, damaged, cut off, or of an unknown version.
    FileNotFoundError
        There is no such file.
    """
    path = Path(path)
    content = path.read_bytes()
    try:
        arrays = load_tensors(content)
        metadata = _metadata(content)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise PersistenceError(
            f"{path} is not a whole dmzrep file: {error}. It is damaged, cut off, or not written by save()."
        ) from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise PersistenceError(f"{path} is a safetensors file, but was not written by save().")
    if metadata.get("version") != str(FORMAT_VERSION):
        raise PersistenceError(
            f"{path} has format version {metadata.get('version')}; "
            f"this dmzrep reads version {FORMAT_VERSION}. "
            "Install the version that wrote it."
        )
    header = metadata.get("values", "")
    if metadata.get("checksum") != _checksum(header, arrays):
        raise PersistenceError(f"{path} is damaged: its checksum does not match its content. Restore a copy.")
    return json.loads(header), arrays


def _plain(array: np.ndarray) -> np.ndarray:
    """Give an array in C order and this machine's byte order, as safetensors expects."""
    array = np.asarray(array, order="C")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _metadata(content: bytes) -> dict[str, str]:
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size])["__metadata__"]


def _checksum(header: str, arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(header.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
