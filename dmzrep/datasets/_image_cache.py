"""Pictures of a folder in one array file, made in parallel and once for all processes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from tqdm.auto import tqdm

from dmzrep._base._batching import batches
from dmzrep.datasets._pictures import Rendering, read_picture

#: Pictures that a worker reads before it reports; what is done is kept chunk by chunk.
CHUNK = 64
#: Bytes of array files in the default cache folder; the least recently used go when there are more.
CACHE_BYTES = 20 * 2**30
_DAY = 24 * 60 * 60
_FINISHED, _PARTIAL = (".npy", ".json"), (".part", ".log", ".kept", ".about")


def default_cache_dir() -> Path:
    """Return the user's folder for caches, as the platform has it, with this package's name."""
    if sys.platform == "win32":
        home = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        home = "~/Library/Caches"
    else:
        home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "dmzrep"


class ImageCache:
    """An array file of pictures, with a JSON file of those that could not be read.

    Both have a hash of the picture files in their names and never change once they are in place, so any
    number of processes can read them. One process at a time writes them; others wait for it. An
    interrupted run is continued.

    Parameters
    ----------
    cache_dir : Path
        Where both are.
    folder : Path
        Where the pictures are.
    files : dict of str to tuple of int
        Files in the folder, in the order of samples, with their sizes and times of change.
    rendering : Rendering
        What pictures become.
    """

    def __init__(
        self, cache_dir: Path, folder: Path, files: dict[str, tuple[int, int]], rendering: Rendering
    ):
        self.folder, self.names, self.rendering = folder, list(files), rendering
        place = folder.resolve()
        height, width = rendering.size
        self.series = (
            f"{place.name}-{_hash(str(place))[:8]}-{height}x{width}-{rendering.mode}-{rendering.resize}-"
        )
        stem = self.series + _hash(json.dumps([list(files.items()), rendering.background, CHUNK]))[:16]
        self.array, self.about = cache_dir / f"{stem}.npy", cache_dir / f"{stem}.json"
        self.part, self.log = cache_dir / f"{stem}.part", cache_dir / f"{stem}.log"

    def read(self) -> tuple[np.ndarray, dict[str, str]] | None:
        """Return the pictures and the unreadable files with reasons, or None where they are not there."""
        try:
            unreadable = json.loads(self.about.read_text())
            images = np.load(self.array, mmap_mode="r")
        except (OSError, ValueError, EOFError):
            return None
        if images.shape != (len(self.names) - len(unreadable), *self.rendering.shape):
            return None
        with contextlib.suppress(OSError):
            os.utime(self.about)  # The least recently used are removed first.
        return images, unreadable

    def make(self, n_jobs: int | None, progress: bool) -> tuple[np.ndarray, dict[str, str]]:
        """Read all pictures, or those that an interrupted run has left, and put them in place."""
        self.array.parent.mkdir(parents=True, exist_ok=True)
        with _locked(self.array.parent / f"{self.series}lock") as alone:
            if (found := self.read()) is not None:  # Another process has made it.
                return found
            if not alone:
                # Without locks, every process writes to files of its own.
                own = uuid.uuid4().hex
                self.part, self.log = (
                    path.with_suffix(f".{own}{path.suffix}") for path in (self.part, self.log)
                )
            try:
                self._put_in_place(self._read_pictures(n_jobs, progress))
            finally:
                if not alone:
                    self.part.unlink(missing_ok=True)
                    self.log.unlink(missing_ok=True)
            self._remove_older()
            found = self.read()
        if found is None:
            raise OSError(f"{self.array} cannot be read back.")
        return found

    def _read_pictures(self, n_jobs: int | None, progress: bool) -> dict[str, str]:
        """Write all pictures into the partial file; return the unreadable ones, with reasons."""
        done = self._begin()
        todo = [chunk for chunk in batches(len(self.names), CHUNK) if chunk.start not in done]
        work = (
            delayed(_read_chunk)(chunk, self.part, self.folder, self.names, self.rendering) for chunk in todo
        )
        # Decoding and resizing let other threads run.
        results = Parallel(n_jobs, prefer="threads", return_as="generator_unordered")(work)
        finished = len(self.names) - sum(chunk.stop - chunk.start for chunk in todo)
        with (
            open(self.log, "a") as log,
            tqdm(total=len(self.names), initial=finished, unit="image", disable=not progress) as bar,
        ):
            for start, unreadable in results:
                done[start] = unreadable
                log.write(json.dumps([start, unreadable]) + "\n")
                log.flush()
                bar.update(min(CHUNK, len(self.names) - start))
        return {name: why for start in sorted(done) for name, why in done[start].items()}

    def _begin(self) -> dict[int, dict[str, str]]:
        """Return the chunks that are done, by their first samples, with their unreadable files."""
        shape = (len(self.names), *self.rendering.shape)
        try:
            if np.load(self.part, mmap_mode="r").shape == shape:
                done = dict(_whole_lines(self.log.read_text().splitlines()))
                # Without the line that an interruption has cut off, so that others can follow.
                self.log.write_text("".join(json.dumps(entry) + "\n" for entry in done.items()))
                return done
        except (OSError, ValueError, EOFError):
            pass
        self.log.unlink(missing_ok=True)
        np.lib.format.open_memmap(self.part, mode="w+", dtype=np.uint8, shape=shape).flush()
        if hasattr(os, "posix_fallocate"):
            # A full disk is an error here; under a memory map it would end the process.
            with open(self.part, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, self.part.stat().st_size)
        return {}

    def _put_in_place(self, unreadable: dict[str, str]) -> None:
        """Leave unreadable files out and put both files in place, the array last."""
        if unreadable:
            self._leave_out(unreadable)
        aside = self.part.with_suffix(".about")
        aside.write_text(json.dumps(unreadable))
        os.replace(aside, self.about)
        os.replace(self.part, self.array)
        self.log.unlink(missing_ok=True)

    def _leave_out(self, unreadable: dict[str, str]) -> None:
        kept = np.array([i for i, name in enumerate(self.names) if name not in unreadable], dtype=np.int64)
        whole = np.load(self.part, mmap_mode="r")
        aside = self.part.with_suffix(".kept")
        shape = (len(kept), *self.rendering.shape)
        images = np.lib.format.open_memmap(aside, mode="w+", dtype=np.uint8, shape=shape)
        for chunk in batches(len(kept), CHUNK):
            images[chunk] = whole[kept[chunk]]
        images.flush()
        del images, whole  # Windows replaces no file that is open.
        os.replace(aside, self.part)

    def _remove_older(self) -> None:
        """Remove what was made of earlier contents of the folder, and the oldest files of a large cache."""
        folder = self.array.parent
        for path in folder.iterdir():
            if path.name.startswith(self.series) and path.stem != self.array.stem:
                finished, partial = path.suffix in _FINISHED, path.suffix in _PARTIAL
                if finished or (partial and _age(path) > _DAY):
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
def _locked(path: Path) -> Iterator[bool]:
    """Wait until no other process or thread is in this context; False where the system has no locks."""
    try:
        import fcntl
    except ImportError:  # Windows.
        yield False
        return
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # A file system without locks.
            alone = False
        else:
            alone = True
        yield alone


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


def _whole_lines(lines: list[str]) -> Iterator[Any]:
    """Read JSON lines up to the first that an interruption has cut off."""
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            return


def _read_chunk(
    chunk: slice, part: Path, folder: Path, names: list[str], rendering: Rendering
) -> tuple[int, dict[str, str]]:
    """Write some pictures into the array file; return their start and the unreadable ones, with reasons."""
    images, unreadable = np.load(part, mmap_mode="r+"), {}
    for i in range(chunk.start, chunk.stop):
        try:
            images[i] = read_picture(folder / names[i], rendering)
        except Exception as error:  # Decoders raise errors of many kinds for damaged files.
            unreadable[names[i]] = f"{type(error).__name__}: {error}"
    images.flush()
    return chunk.start, unreadable
