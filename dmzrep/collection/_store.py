"""The state of a collection: what is kept of its files, and how it changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dmzrep.collection._codes import encode_pictures
from dmzrep.collection._files import COLUMNS, Listing, read_files
from dmzrep.datasets import ImageReader
from dmzrep.files._state import require, take
from dmzrep.retrieval._embedder import Embedder

#: Columns of the table of files that are text.
_TEXTS = ("path", "format", "hash")


@dataclass(frozen=True)
class Store:
    """Readable pictures in the order of their paths, with thumbnails and logits, and unreadable ones."""

    files: pd.DataFrame
    thumbnails: list[bytes]
    logits: np.ndarray
    unreadable: pd.DataFrame

    def state(self) -> dict[str, Any]:
        texts = {name: join_texts(self.files[name]) for name in _TEXTS}
        return {
            "texts": texts,
            "numbers": {name: self.files[name].to_numpy(np.int64) for name in COLUMNS if name not in _TEXTS},
            "further": self.files.drop(columns=list(COLUMNS)),
            "thumbnails": np.frombuffer(b"".join(self.thumbnails), dtype=np.uint8),
            "thumbnail_bytes": np.array([len(thumbnail) for thumbnail in self.thumbnails], dtype=np.int64),
            "logits": self.logits,
            "unreadable": {name: join_texts(self.unreadable[name]) for name in ("path", "reason")},
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Store:
        """Return the store of a file; raise ValueError if its parts do not agree."""
        names = "texts", "numbers", "further", "thumbnails", "thumbnail_bytes", "logits", "unreadable"
        texts, numbers, further, joined, lengths, logits, unreadable = take(state, *names)
        complete = texts.keys() == set(_TEXTS) and numbers.keys() == set(COLUMNS) - set(_TEXTS)
        require(complete, "columns of files are missing")
        columns = {name: split_texts(joined) for name, joined in texts.items()} | numbers
        n = len(columns["path"])
        for name, column in columns.items():
            require(column.shape == (n,), "columns differ in length")
            require(name in _TEXTS or column.dtype == np.int64, f"{name} must be integers")
        files = pd.DataFrame({name: pd.Series(columns[name], dtype=columns[name].dtype) for name in COLUMNS})
        # Old pandas releases treat names with undecodable bytes as equal.
        require(len(set(columns["path"])) == n, "paths are not unique")
        matches = isinstance(further, pd.DataFrame) and further.index.equals(files.index)
        require(matches, "further columns are not a table of the same rows")
        require(not set(further.columns) & set(COLUMNS), "further columns are those of the collection")
        files = pd.concat([files, further], axis=1)
        why = [split_texts(unreadable[name]).tolist() for name in ("path", "reason")]
        reasons = _text_table(dict(zip(*why, strict=True)), "reason")
        for array, kind, ndim in ((joined, "u", 1), (lengths, "i", 1), (logits, "f", 2)):
            require(
                isinstance(array, np.ndarray) and array.ndim == ndim and array.dtype.kind == kind, "arrays"
            )
        require(len(lengths) == len(logits) == n and np.isfinite(logits).all(), "lengths differ")
        in_range = ((lengths >= 0) & (lengths <= len(joined))).all()
        require(in_range and lengths.sum() == len(joined), "thumbnails are incomplete")
        ends = np.cumsum(lengths).tolist()
        data = joined.tobytes()
        thumbnails = [data[end - size : end] for end, size in zip(ends, lengths.tolist(), strict=True)]
        # Of other formats, Pillow passes some to programs such as Ghostscript.
        require(all(t[:4] == b"RIFF" and t[8:12] == b"WEBP" for t in thumbnails), "thumbnails are not WebP")
        return cls(files, thumbnails, logits, reasons)


def join_texts(texts: Iterable[str]) -> np.ndarray:
    """Return texts as one array of bytes; the header of a file would not hold those of a large collection."""
    joined = "".join(f"{text}\0" for text in texts)
    return np.frombuffer(joined.encode("utf-8", "surrogatepass"), dtype=np.uint8)


def split_texts(joined: np.ndarray) -> np.ndarray:
    """Undo `join_texts`."""
    require(joined.dtype == np.uint8, "texts are missing")
    return np.array(joined.tobytes().decode("utf-8", "surrogatepass").split("\0")[:-1], dtype=object)


EMPTY = Store(
    pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS}),
    [],
    np.empty((0, 0), dtype=np.float16),
    pd.DataFrame({"path": pd.Series(dtype=object), "reason": pd.Series(dtype=object)}),
)


def refresh(
    old: Store, listing: Listing, embedder: Embedder, reader: ImageReader, n_jobs: int | None, progress: bool
) -> tuple[Store, pd.DataFrame]:
    """Read and encode the files that are new or changed; return the new store and a table of changes."""
    known = {path: i for i, path in enumerate(old.files["path"])}
    stamped = old.files[["bytes", "modified"]].to_numpy() if len(old.files) else np.empty((0, 2))
    kept = {
        path: i
        for path, i in known.items()
        if path in listing.stamps and tuple(stamped[i].tolist()) == listing.stamps[path]
    }
    to_read = [path for path in listing.stamps if path not in kept]
    unreadable = dict(listing.unreadable)
    rows, thumbnails, blocks = [], [], []
    for read, failed in read_files(to_read, listing.stamps, reader.rendering, n_jobs, progress):
        unreadable |= failed
        if read:
            blocks.append(
                encode_pictures(embedder, np.stack([file.sample for file in read])).astype(np.float16)
            )
            rows += [file.row for file in read]
            thumbnails += [file.thumbnail for file in read]
    indices = list(kept.values())
    rows = [*old.files.iloc[indices][list(COLUMNS)].itertuples(index=False, name=None), *rows]
    thumbnails = [old.thumbnails[i] for i in indices] + thumbnails
    logits = np.concatenate([*([old.logits[indices]] if indices else []), *blocks] or [old.logits[:0]])
    order = sorted(range(len(rows)), key=lambda i: rows[i][0])
    # Names that are not UTF-8 hold surrogates, which only columns of objects take.
    files = pd.DataFrame(
        {
            name: pd.Series([rows[i][k] for i in order], dtype=object if name in _TEXTS else np.int64)
            for k, name in enumerate(COLUMNS)
        }
    )
    further = listing.further
    if further is None and len(old.files.columns) > len(COLUMNS):
        further = old.files.drop(columns=list(COLUMNS[1:])).set_index("path")
    if further is not None:
        files = pd.concat([files, further.reindex(files["path"]).reset_index(drop=True)], axis=1)
    reasons = _text_table(unreadable, "reason")
    store = Store(files, [thumbnails[i] for i in order], logits[order], reasons)
    return store, _changes(old, store, known, set(to_read))


def _changes(old: Store, new: Store, known: dict[str, int], read: set[str]) -> pd.DataFrame:
    before = dict(zip(old.unreadable["path"], old.unreadable["reason"], strict=True))
    after = dict(zip(new.unreadable["path"], new.unreadable["reason"], strict=True))
    present = {*new.files["path"], *after}
    changes = {path: "changed" if path in known else "new" for path in read - set(after)}
    changes |= {path: "deleted" for path in known if path not in present}
    changes |= {path: "unreadable" for path, reason in after.items() if before.get(path) != reason}
    return _text_table(changes, "change")


def _text_table(values: dict[str, str], name: str) -> pd.DataFrame:
    """Return a table of paths and texts."""
    table = {"path": sorted(values), name: [values[path] for path in sorted(values)]}
    return pd.DataFrame({column: pd.Series(texts, dtype=object) for column, texts in table.items()})
