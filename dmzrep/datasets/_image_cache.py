"""Pictures of a folder in one file, made in parallel; an interrupted run is taken up again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from tqdm.auto import tqdm

from dmzrep._base._batching import batches
from dmzrep.datasets._pictures import MODES, read_picture
from dmzrep.files._atomic import replace_file

#: Pictures that a worker reads before it reports; what is done is kept chunk by chunk.
CHUNK = 64


class ImageCache:
    """An array file of pictures, with a JSON file that tells which pictures it holds.

    Parameters
    ----------
    stem : Path
        Both files without their endings.
    folder : Path
        Where the pictures are.
    names : list of str
        Files in the folder, in the order of rows.
    size : tuple of int
        (height, width).
    mode : {"L", "RGB", "RGBA"}
        Pillow's mode.
    """

    def __init__(self, stem: Path, folder: Path, names: list[str], size: tuple[int, int], mode: str):
        self.array = stem.with_name(stem.name + ".npy")
        self.about = stem.with_name(stem.name + ".json")
        self.part = stem.with_name(stem.name + ".part.npy")
        self.log = stem.with_name(stem.name + ".part.jsonl")
        self.folder, self.names, self.size, self.mode = folder, names, size, mode
        channels = MODES[mode]
        self.row_shape = size if channels is None else (*size, channels)
        self.fingerprint = self._fingerprint()

    def read(self) -> tuple[np.ndarray, dict[str, str]] | None:
        """Give the pictures and the unreadable files, or None where they are not those of the folder."""
        try:
            about = json.loads(self.about.read_text())
            images = np.load(self.array, mmap_mode="r")
        except (OSError, ValueError, EOFError):
            return None
        readable = len(self.names) - len(about.get("unreadable", ()))
        if about.get("fingerprint") != self.fingerprint or images.shape != (readable, *self.row_shape):
            return None
        return images, about["unreadable"]

    def write(self, n_jobs: int | None, progress: bool) -> None:
        """Read all pictures, those that an interrupted run has left, and put them in place."""
        self.array.parent.mkdir(parents=True, exist_ok=True)
        chunks = list(batches(len(self.names), CHUNK))
        done = self._begin()
        todo = [chunk for chunk in chunks if chunk.start not in done]
        arguments = (self.part, self.folder, self.names, self.size, self.mode)
        work = (delayed(_read_chunk)(chunk, *arguments) for chunk in todo)
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
        unreadable = {name: why for start in sorted(done) for name, why in done[start].items()}
        self._finish(unreadable)

    def _begin(self) -> dict[int, dict[str, str]]:
        """Give the chunks that are done, by their first rows, with their unreadable files."""
        shape = (len(self.names), *self.row_shape)
        try:
            first, *lines = self.log.read_text().splitlines()
            same = json.loads(first) == [self.fingerprint, CHUNK]
            if same and np.load(self.part, mmap_mode="r").shape == shape:
                done = dict(_whole_lines(lines))
                # Without the line that an interruption has cut off, so that others can follow.
                entries = [first, *(json.dumps(entry) for entry in done.items())]
                self.log.write_text("\n".join(entries) + "\n")
                return done
        except (OSError, ValueError, EOFError):
            pass
        np.lib.format.open_memmap(self.part, mode="w+", dtype=np.uint8, shape=shape).flush()
        if hasattr(os, "posix_fallocate"):
            # A full disk is an error here; under a memory map it would end the process.
            with open(self.part, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, self.part.stat().st_size)
        self.log.write_text(json.dumps([self.fingerprint, CHUNK]) + "\n")
        return {}

    def _finish(self, unreadable: dict[str, str]) -> None:
        """Leave unreadable files out and put both files in place, the one that tells of the other last."""
        self.about.unlink(missing_ok=True)
        if unreadable:
            self._leave_out(unreadable)
        os.replace(self.part, self.array)
        about = {"fingerprint": self.fingerprint, "unreadable": unreadable}
        replace_file(self.about, json.dumps(about).encode())
        self.log.unlink(missing_ok=True)

    def _leave_out(self, unreadable: dict[str, str]) -> None:
        kept = np.array([i for i, name in enumerate(self.names) if name not in unreadable], dtype=np.int64)
        whole = np.load(self.part, mmap_mode="r")
        aside = self.part.with_suffix(".kept")
        images = np.lib.format.open_memmap(
            aside, mode="w+", dtype=np.uint8, shape=(len(kept), *self.row_shape)
        )
        for chunk in batches(len(kept), CHUNK):
            images[chunk] = whole[kept[chunk]]
        images.flush()
        del images, whole  # Windows replaces no file that is open.
        os.replace(aside, self.part)

    def _fingerprint(self) -> str:
        """Hash of the files' names, sizes and times, and of what is made of them."""
        digest = hashlib.sha256(f"{self.size} {self.mode}".encode())
        for name in self.names:
            status = (self.folder / name).stat()
            digest.update(json.dumps([name, status.st_size, status.st_mtime_ns]).encode())
        return digest.hexdigest()


def _whole_lines(lines: list[str]) -> Iterator[Any]:
    """Read JSON lines up to the first that an interruption has cut off."""
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            return


def _read_chunk(
    chunk: slice, part: Path, folder: Path, names: list[str], size: tuple[int, int], mode: str
) -> tuple[int, dict[str, str]]:
    """Write some pictures into the array file; give their first row and the unreadable ones, with reasons."""
    images, unreadable = np.load(part, mmap_mode="r+"), {}
    for row in range(chunk.start, chunk.stop):
        try:
            images[row] = read_picture(folder / names[row], size, mode)
        except Exception as error:  # Decoders raise what they like on damaged files.
            unreadable[names[row]] = f"{type(error).__name__}: {error}"
    images.flush()
    return chunk.start, unreadable
