"""Atomic writing of files."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from dmzrep._base._validation import as_path


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield the path of a new file that atomically replaces `path` once it is complete and on disk.

    Its name is random, so that threads, processes or containers can write to one path concurrently. Raise
    OSError if it cannot be written; an existing file is then unchanged.
    """
    path = as_path(path, "path")
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"{path} cannot be written: there is no folder {path.parent}. Create it first."
        )
    if path.is_dir():
        raise IsADirectoryError(f"{path} cannot be written: it is a folder. Choose another path.")
    # A folder, since the writer may create further temporary files.
    part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.part")
    try:
        part.mkdir()
        new = part / "new"
        new.touch()
        mode = new.stat().st_mode
        yield new
        with open(new, "rb+") as file:
            os.fsync(file.fileno())
        new.chmod(mode)  # The default permissions of new files.
        os.replace(new, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    _sync_folder(path.parent)


def replace_file(path: str | os.PathLike, *parts: bytes) -> None:
    """Write bytes to a file atomically; see `replacing`."""
    with replacing(path) as part, open(part, "wb") as file:
        file.writelines(parts)


def _sync_folder(folder: Path) -> None:
    """Make sure that a renamed file survives a power failure."""
    if os.name == "nt":
        return  # Windows cannot open folders.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems do not support this.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
