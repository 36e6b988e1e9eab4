"""Arrays and JSON values in one safetensors file; no pickle."""

import hashlib
import json
import os
import platform
import stat
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import sklearn
import torch
from safetensors.numpy import save_file

from dmzrep._base._validation import as_path
from dmzrep.errors import PersistenceError
from dmzrep.files._atomic import replacing
from dmzrep.version import __version__

FORMAT = "dmzrep"
FORMAT_VERSION = 4

#: Limits that keep small files cheap to load: bytes of the header, number of arrays, and number of lists,
#: objects and items in the JSON values. Large values belong in arrays.
MAX_HEADER_BYTES, MAX_ARRAYS, MAX_JSON_ITEMS = 4 * 2**20, 20_000, 200_000
#: Largest number of header bytes for an array, without its name.
_ENTRY_BYTES = 120

#: NumPy dtypes that safetensors supports.
_DTYPES = {"bool", "float16", "float32", "float64"}
_DTYPES |= {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}


def library_versions() -> dict[str, str]:
    """Return the versions of this package, its numerical dependencies and Python."""
    return {
        "dmzrep": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "safetensors": safetensors.__version__,
        "python": platform.python_version(),
    }


def write_file(path: str | os.PathLike, values: Any, arrays: dict[str, np.ndarray]) -> None:
    """Write JSON values and arrays to one file, atomically, with a checksum of all the content.

    Raise TypeError for unsupported values or arrays, ValueError for too many, and OSError if the file cannot
    be written; an existing file is then unchanged.
    """
    arrays = {name: _plain(name, array) for name, array in arrays.items()}
    metadata = {
        "format": FORMAT,
        "version": str(FORMAT_VERSION),
        "libraries": json.dumps(library_versions()),
        "values": json.dumps(values),
    }
    n_items = _n_items(metadata["values"])
    # Quotation marks in the values are escaped twice.
    length = len(json.dumps(metadata)) + sum(len(json.dumps(name)) + _ENTRY_BYTES for name in arrays)
    if n_items > MAX_JSON_ITEMS or len(arrays) > MAX_ARRAYS or length > MAX_HEADER_BYTES:
        raise ValueError(
            f"{path} cannot be written: {n_items} values and {len(arrays)} arrays are too many for one file."
        )
    metadata["checksum"] = _checksum(metadata, arrays)
    with replacing(path) as part:
        save_file(arrays, part, metadata)


def read_file(path: str | os.PathLike, mapped: bool = False) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the JSON values and the arrays that `write_file` wrote; with `mapped`, these are read-only maps.

    Only the header is read until the file is known to be from this package, and no more memory is allocated
    than the size of the file. Raise PersistenceError for other, damaged or unsupported files.
    """
    path = as_path(path, "path")
    _check_header_length(path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            _check_metadata(path, metadata)
            names = file.keys()
            if len(names) > MAX_ARRAYS or _n_items(metadata["values"]) > MAX_JSON_ITEMS:
                raise _incomplete(path, "its header holds too much")
            arrays = _map(path) if mapped else {name: file.get_tensor(name) for name in names}
        if metadata.get("checksum") != _checksum(metadata, arrays):
            raise PersistenceError(
                f"{path} is damaged: its checksum does not match its content. Restore a copy."
            )
        values = json.loads(metadata["values"])
        if not isinstance(values, dict):
            raise _incomplete(path, "its values are not a dictionary")
    except (PersistenceError, OSError):
        raise
    except Exception as error:  # safetensors, NumPy and JSON raise various exceptions.
        raise _incomplete(path, error) from error
    return values, arrays


def _map(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file that safetensors has opened, as parts of a memory map."""
    content = np.asarray(np.memmap(path, np.uint8, "r"))
    start = 8 + int.from_bytes(content[:8].tobytes(), "little")
    header = json.loads(content[8:start].tobytes())
    arrays = {}
    for name in header.keys() - {"__metadata__"}:
        entry, code = header[name], header[name]["dtype"]
        begin, end = entry["data_offsets"]
        dtype = "bool" if code == "BOOL" else f"{code[0].lower()}{int(code[1:]) // 8}"  # Such as "F32".
        arrays[name] = content[start + begin : start + end].view(dtype).reshape(entry["shape"])
    return arrays


def _check_header_length(path: Path) -> None:
    """Raise unless a path is a regular file with a complete header of legal length."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} cannot be read: it is a folder. Pass the file that save() wrote.")
    # Opening a pipe must not block.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise PersistenceError(f"{path} is not a regular file.")
        start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8:
        raise _incomplete(path, "it ends too early")
    if length > min(status.st_size - 8, MAX_HEADER_BYTES):
        raise _incomplete(path, f"its header claims {length} bytes of {status.st_size}")


def _check_metadata(path: Path, metadata: dict[str, str]) -> None:
    if metadata.get("format") != FORMAT:
        raise PersistenceError(f"{path} is a safetensors file, but was not written by save().")
    version = metadata.get("version", "none")
    if version != str(FORMAT_VERSION):
        raise PersistenceError(
            f"{path} has format version {version[:20]}; this dmzrep reads version {FORMAT_VERSION}. "
            "Install the version that wrote it."
        )


def _incomplete(path: Path, reason: object) -> PersistenceError:
    return PersistenceError(
        f"{path} is not a complete dmzrep file: {str(reason)[:200]}. It is damaged, truncated, or not "
        "written by save()."
    )


def _plain(name: str, array: np.ndarray) -> np.ndarray:
    """Return an array in C order and native byte order."""
    array = np.asarray(array, order="C")
    if array.dtype.name not in _DTYPES:
        raise TypeError(f"{name} is an array of {array.dtype}, which a safetensors file cannot hold.")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _n_items(text: str) -> int:
    """Return an upper bound of the number of lists, objects and items in a JSON text."""
    return text.count(",") + text.count("[") + text.count("{")


def _checksum(metadata: dict[str, str], arrays: dict[str, np.ndarray]) -> str:
    """Return the SHA-256 of the metadata and of the arrays with their names and dtypes."""
    digest = hashlib.sha256()
    for key in sorted(metadata.keys() - {"checksum"}):
        digest.update(f"{key}\0{metadata[key]}\0".encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}\0{array.dtype.name}\0{array.shape}\0".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
