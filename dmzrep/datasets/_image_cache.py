"""Pictures of a folder in one array file, written in parallel and once for all processes."""

import contextlib
import glob
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from tqdm.auto import tqdm

from dmzrep._base._batching import batches
from dmzrep.datasets._pictures import Rendering, quiet_pillow, read_picture

#: Pictures that a worker reads at a time.
CHUNK = 64
#: Bytes of array files in the default cache folder; beyond them the least recently used are removed.
CACHE_BYTES = 20 * 2**30
_DAY = 24 * 60 * 60


def default_cache_dir() -> Path:
    """Return this package's folder in the user's cache folder of the platform."""
    if sys.platform == "win32":
        home = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        home = "~/Library/Caches"
    else:
        home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "dmzrep"


class ImageCache:
    """An array file of pictures, with a JSON file of those that could not be read.

    Both have a hash of the picture files in their names and never change once they are in place, so that any
    number of processes can read them; the first process writes them. `files` are the pictures of the folder,
    in the order of samples, with their sizes and times of modification.
    """

    def __init__(
        self, cache_dir: Path, folder: Path, files: dict[str, tuple[int, int]], rendering: Rendering
    ):
        self.folder, self.names, self.rendering = folder, list(files), rendering
        place = folder.resolve()
        height, width = rendering.size
        self.series = (
            f"{place.name[:80]}-{_hash(str(place))[:8]}-{height}x{width}-{rendering.mode}-{rendering.resize}-"
        )
        stem = self.series + _hash(json.dumps([list(files.items()), rendering.background]))[:16]
        self.array, self.report = cache_dir / f"{stem}.npy", cache_dir / f"{stem}.json"

    def read(self) -> tuple[np.ndarray, dict[str, str]] | None:
        """Return the pictures and the unreadable files with reasons, or None where they are not there."""
        try:
            unreadable = json.loads(self.report.read_text())
            images = np.load(self.array, mmap_mode="r")
        except (OSError, ValueError, EOFError):
            return None
        if images.shape != (len(self.names) - len(unreadable), *self.rendering.shape):
            return None
        with contextlib.suppress(OSError):
            os.utime(self.report)  # The least recently used are removed first.
        return images, unreadable

    def make(self, n_jobs: int | None, progress: bool) -> tuple[np.ndarray, dict[str, str]]:
        """Read all pictures and put both files in place."""
        folder = self.array.parent
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"{self.series}lock"):
            if (found := self.read()) is not None:  # Another process has made it.
                return found
            with tempfile.TemporaryDirectory(".part", self.series, folder) as aside:
                array, report = Path(aside, "images.npy"), Path(aside, "report.json")
                unreadable = self._write(array, n_jobs, progress)
                if unreadable:
                    array = self._leave_out(array, unreadable)
                report.write_text(json.dumps(unreadable))
                os.replace(report, self.report)
                os.replace(array, self.array)
            self._remove_older()
            found = self.read()
        if found is None:
            raise OSError(f"{self.array} cannot be read back.")
        return found

    def _write(self, array: Path, n_jobs: int | None, progress: bool) -> dict[str, str]:
        """Write all pictures into an array file; return the unreadable ones, with reasons."""
        shape = (len(self.names), *self.rendering.shape)
        np.lib.format.open_memmap(array, mode="w+", dtype=np.uint8, shape=shape).flush()
        if hasattr(os, "posix_fallocate"):
            # A full disk is an error here; under a memory map it would end the process.
            with open(array, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, array.stat().st_size)
        work = (
            delayed(_read_chunk)(array, chunk, self.folder, self.names, self.rendering)
            for chunk in batches(len(self.names), CHUNK)
        )
        unreadable: dict[str, str] = {}
        with tqdm(total=len(self.names), unit="image", disable=not progress) as bar, quiet_pillow():
            # Threads run in parallel while pictures are decoded and resized; the first begin at once.
            results = Parallel(n_jobs, prefer="threads", return_as="generator_unordered")(work)
            for n_images, found in results:
                unreadable |= found
                bar.update(n_images)
        return unreadable

    def _leave_out(self, array: Path, unreadable: dict[str, str]) -> Path:
        """Copy the readable pictures to another array file."""
        kept = np.array([i for i, name in enumerate(self.names) if name not in unreadable], dtype=np.int64)
        images, path = np.load(array, mmap_mode="r"), array.with_name("readable.npy")
        shape = (len(kept), *self.rendering.shape)
        readable = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        for chunk in batches(len(kept), CHUNK):
            readable[chunk] = images[kept[chunk]]
        readable.flush()
        return path

    def _remove_older(self) -> None:
        """Remove files of earlier contents of the folder, and the oldest files of a large cache."""
        folder = self.array.parent
        for path in folder.glob(f"{glob.escape(self.series)}*"):
            if path.suffix == ".part" and _age(path) > _DAY:  # Left by a process that was killed.
                shutil.rmtree(path, ignore_errors=True)
            elif path.suffix in (".npy", ".json") and path.stem != self.array.stem:
                _remove(path)
        if folder != default_cache_dir():
            return
        arrays = sorted(folder.glob("*.npy"), key=lambda path: -_age(path.with_suffix(".json")))
        total = sum(path.stat().st_size for path in arrays)
        for path in arrays:
            if total <= CACHE_BYTES:
                break
            if path != self.array:
                total -= path.stat().st_size
                _remove(path)
                _remove(path.with_suffix(".json"))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait until no other process is in this context; without file locks, work may be done twice."""
    with open(path, "w") as file:
        with contextlib.suppress(ImportError, OSError):  # Windows, and file systems without locks.
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # Others may have it open, or have removed it.
        path.unlink()


def _read_chunk(
    array: Path, chunk: slice, folder: Path, names: list[str], rendering: Rendering
) -> tuple[int, dict[str, str]]:
    """Write some pictures into the array file; return their number and the unreadable ones, with reasons."""
    images, unreadable = np.load(array, mmap_mode="r+"), {}
    for i in range(chunk.start, chunk.stop):
        try:
            images[i] = read_picture(folder / names[i], rendering)
        except Exception as error:  # Decoders raise various errors for damaged files.
            unreadable[names[i]] = f"{type(error).__name__}: {error}"
    images.flush()
    return chunk.stop - chunk.start, unreadable
