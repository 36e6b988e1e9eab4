"""The state of a collection: what is kept of its files, and how it changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dmzrep.collection._codes import encode_logits
from dmzrep.collection._files import COLUMNS, Listing, read_files
from dmzrep.datasets import ImageReader
from dmzrep.files._state import require, take


@dataclass(frozen=True)
class Store:
    """Readable pictures in the order of their paths, with thumbnails and logits, and unreadable ones."""

    files: pd.DataFrame
    thumbnails: list[bytes]
    logits: np.ndarray
    unreadable: pd.DataFrame

    def state(self) -> dict[str, Any]:
        """Return the state for a file."""
        return {
            "files": self.files,
            "thumbnails": np.frombuffer(b"".join(self.thumbnails), dtype=np.uint8),
            "thumbnail_bytes": np.array([len(thumbnail) for thumbnail in self.thumbnails], dtype=np.int64),
            "logits": self.logits,
            "unreadable": self.unreadable,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Store:
        """Return the store of a file; raise ValueError if its parts do not agree."""
        files, joined, lengths, logits, unreadable = take(
            state, "files", "thumbnails", "thumbnail_bytes", "logits", "unreadable"
        )
        require(isinstance(files, pd.DataFrame) and set(COLUMNS) <= set(files.columns), "no table of files")
        require(isinstance(unreadable, pd.DataFrame), "no table of unreadable files")
        n = len(files)
        for array, kind, ndim in ((joined, "u", 1), (lengths, "i", 1), (logits, "f", 2)):
            require(
                isinstance(array, np.ndarray) and array.ndim == ndim and array.dtype.kind == kind, "arrays"
            )
        require(len(lengths) == len(logits) == n and np.isfinite(logits).all(), "lengths differ")
        require((lengths >= 0).all() and lengths.sum() == len(joined), "thumbnails are incomplete")
        ends = np.cumsum(lengths).tolist()
        data = joined.tobytes()
        thumbnails = [data[end - size : end] for end, size in zip(ends, lengths.tolist(), strict=True)]
        return cls(files, thumbnails, logits, unreadable)


EMPTY = Store(
    pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS}),
    [],
    np.empty((0, 0), dtype=np.float16),
    pd.DataFrame({"path": pd.Series(dtype=object), "reason": pd.Series(dtype=object)}),
)


def refresh(
    old: Store, listing: Listing, encoder: Any, reader: ImageReader, n_jobs: int | None, progress: bool
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
            blocks.append(encode_logits(encoder, np.stack([file.sample for file in read])).astype(np.float16))
            rows += [file.row for file in read]
            thumbnails += [file.thumbnail for file in read]
    added = pd.DataFrame(rows, columns=list(COLUMNS))
    indices = list(kept.values())
    old_files = old.files.iloc[indices][list(COLUMNS)] if indices else added.iloc[:0]
    files = pd.concat([old_files, added], ignore_index=True) if indices else added
    logits = np.concatenate([*([old.logits[indices]] if indices else []), *blocks] or [old.logits[:0]])
    thumbnails = [old.thumbnails[i] for i in indices] + thumbnails
    order = files["path"].argsort(kind="stable").to_numpy()
    files = files.iloc[order].reset_index(drop=True)
    if listing.further is not None:
        further = listing.further.reindex(files["path"]).reset_index(drop=True)
        files = pd.concat([files, further], axis=1)
    reasons = pd.DataFrame(sorted(unreadable.items()), columns=["path", "reason"], dtype=object)
    store = Store(files, [thumbnails[i] for i in order], logits[order], reasons)
    return store, _changes(old, store, known, {row[0] for row in rows})


def _changes(old: Store, new: Store, known: dict[str, int], read: set[str]) -> pd.DataFrame:
    before = dict(zip(old.unreadable["path"], old.unreadable["reason"], strict=True))
    after = dict(zip(new.unreadable["path"], new.unreadable["reason"], strict=True))
    changes = {path: "changed" if path in known else "new" for path in read}
    present = {*new.files["path"], *after}
    changes |= {path: "deleted" for path in known if path not in present}
    changes |= {path: "unreadable" for path, reason in after.items() if before.get(path) != reason}
    return pd.DataFrame(sorted(changes.items()), columns=["path", "change"], dtype=object)
