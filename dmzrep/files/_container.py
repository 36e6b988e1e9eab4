"""Files: tensors and plain values in one safetensors file; no pickle anywhere."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import safetensors
import sklearn
import torch
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from dmzrep.errors import PersistenceError
from dmzrep.version import __version__

FORMAT = "dmzrep"
#: Version 2's checksum is of the whole file; version 1's, which can still be read, was of what it held.
FORMAT_VERSION = 2
_READABLE = ("1", "2")

#: Where the checksum stands; quotation marks within strings are escaped, so nothing else looks like it.
_CHECKSUM = re.compile(rb'"checksum"\s*:\s*"([0-9a-f]{64})"')
_NO_CHECKSUM = "0" * 64

#: What safetensors calls NumPy's types.
_DTYPES = {"bool": "BOOL", "float16": "F16", "float32": "F32", "float64": "F64"}
_DTYPES |= {
    f"{sign}int{8 * size}": f"{'U' if sign else 'I'}{8 * size}" for sign in ("", "u") for size in (1, 2, 4, 8)
}

#: Bytes that are hashed and written at a time.
_PIECE = 4 * 2**20


def library_versions() -> dict[str, str]:
    """Versions of this package, of what it computes with, and of Python."""
    return {
        "dmzrep": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "safetensors": safetensors.__version__,
        "python": platform.python_version(),
    }


def write_file(path: str | os.PathLike, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write plain values and arrays to one file, atomically.

    The header also holds the format's version, `library_versions` and a checksum of the whole file.

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
        The file cannot be written; an earlier one stays as it was.
    """
    metadata = {
        "format": FORMAT,
        "version": str(FORMAT_VERSION),
        "libraries": json.dumps(library_versions()),
        "values": json.dumps(values, allow_nan=True),
        "checksum": _NO_CHECKSUM,
    }
    header, order = _header(metadata, arrays)
    start, _ = _checksum_place(header)
    digest = hashlib.sha256()
    # Piece by piece, from where the arrays are: a checkpoint is large, and training waits for it.
    pieces = (piece for name in order for piece in _pieces(arrays[name]))
    with _replaced(path) as file:
        for piece in itertools.chain((memoryview(header),), pieces):
            file.write(piece)
            digest.update(piece)
        file.seek(start)
        file.write(digest.hexdigest().encode())


def _header(metadata: dict[str, str], arrays: dict[str, np.ndarray]) -> tuple[bytes, list[str]]:
    """Give the start of a safetensors file, up to its first array, and the arrays' order."""
    # Wide numbers first, so that all lie at multiples of their size.
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    entries: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name in order:
        array = arrays[name]
        if array.dtype.name not in _DTYPES:
            raise TypeError(f"{name} is an array of {array.dtype}, which a safetensors file cannot hold.")
        begin, end = end, end + array.nbytes
        kind = _DTYPES[array.dtype.name]
        entries[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, order


def _pieces(array: np.ndarray) -> Iterator[memoryview[int]]:
    """An array's bytes, a few MiB at a time."""
    content = _plain(array).reshape(-1).view(np.uint8).data
    for start in range(0, len(content), _PIECE):
        yield content[start : start + _PIECE]


def replace_file(path: str | os.PathLike, *parts: bytes) -> None:
    """Write a file aside, make sure that it is on the disk, and put it in its place.

    Whatever happens, there is the old file or the whole new one.

    Parameters
    ----------
    path : path-like
        The file; its folder must exist.
    *parts : bytes
        What it is to hold, in order.

    Raises
    ------
    OSError
        The file cannot be written; an earlier one stays as it was.
    """
    with _replaced(path) as file:
        file.writelines(parts)


@contextlib.contextmanager
def _replaced(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """As `replace_file`, with a file to write to."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {path.parent}. Make it first.")
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(aside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
    _keep_name(path.parent)


def _keep_name(folder: Path) -> None:
    """Make sure that a folder's list of names is on the disk too; a power cut may undo a rename otherwise."""
    if os.name == "nt":
        return  # Windows opens no folders.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems do not know how.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


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
    content, metadata = _read_checked(path)
    if metadata.get("version") not in _READABLE:
        raise PersistenceError(
            f"{path} has format version {metadata.get('version')}; "
            f"this dmzrep reads versions {' and '.join(_READABLE)}. "
            "Install the version that wrote it."
        )
    try:
        arrays = load_tensors(content)
        if metadata["version"] == "1":
            whole = metadata["checksum"] == _checksum_version_1(metadata["values"], arrays)
        else:
            whole = _checksum_holds(content)
        values = json.loads(metadata["values"]) if whole else {}
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise _not_whole(path, error) from error
    if not whole:
        raise PersistenceError(f"{path} is damaged: its checksum does not match its content. Restore a copy.")
    return values, arrays


def _read_checked(path: Path) -> tuple[bytes, dict[str, str]]:
    """Read a file and its metadata, the rest only once the header says that it is one of ours."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > size - 8:
            claim = f"its header claims {length} bytes of {size}" if len(start) == 8 else "it ends too early"
            raise _not_whole(path, claim)
        header = file.read(length)
        try:
            metadata = json.loads(header).get("__metadata__")
        except (ValueError, AttributeError, RecursionError) as error:
            raise _not_whole(path, error) from error
        if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
            raise PersistenceError(f"{path} is a safetensors file, but was not written by save().")
        return b"".join((start, header, file.read())), metadata


def _not_whole(path: Path, reason: object) -> PersistenceError:
    return PersistenceError(
        f"{path} is not a whole dmzrep file: {reason}. It is damaged, cut off, or not written by save()."
    )


def _plain(array: np.ndarray) -> np.ndarray:
    """Give an array in C order and with the low byte first, as safetensors files have it."""
    array = np.asarray(array, order="C")
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _checksum_place(content: bytes) -> tuple[int, int]:
    """Where in a file's header its checksum stands; two zeros unless there is exactly one."""
    end_of_header = 8 + int.from_bytes(content[:8], "little")
    places = [match.span(1) for match in _CHECKSUM.finditer(content, 0, end_of_header)]
    return places[0] if len(places) == 1 else (0, 0)


def _checksum_holds(content: bytes) -> bool:
    """Whether the checksum of a file, with zeros in its own place, is the one that stands there."""
    start, end = _checksum_place(content)
    digest = hashlib.sha256(memoryview(content)[:start])
    digest.update(_NO_CHECKSUM.encode())
    digest.update(memoryview(content)[end:])
    return digest.hexdigest().encode() == content[start:end]


def _checksum_version_1(values: str, arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(values.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
