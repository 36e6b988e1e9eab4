"""Vectors by which candidates are rescored: checked once, then read from where they are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.metrics import euclidean_distances

from dmzrep._base._batching import batches
from dmzrep._base._validation import as_array
from dmzrep.files._state import require, take

RESCORE = ("l2", "cosine")
#: Maximum number of vector values in memory at a time.
_BLOCK = 1 << 23
_DTYPES = ("float16", "float32", "float64", "int8")
#: Rows whose checksum is compared with that in a file.
_CHECKED_ROWS = 256
#: Fewest and most samples whose distances by codes and by vectors are compared, and shuffles to compare with.
_FEWEST, _COMPARED, _SHUFFLES = 200, 500, 20


@dataclass(frozen=True)
class VectorStore:
    """Vectors of the samples of an index.

    `parts` are the arrays or memory maps passed to `fit` and `add`, which are not copied; it is empty after
    loading, until they are passed again. `rows` are the samples' rows in all parts together, None while no
    sample was removed. `checksum` is of a sample of the rows that came from a file.
    """

    parts: tuple[np.ndarray, ...]
    n_rows: int
    n_features: int
    rows: np.ndarray | None = None
    checksum: str = ""

    @classmethod
    def of(cls, vectors: np.ndarray) -> VectorStore:
        """Return the store of checked vectors."""
        return cls((vectors,), *vectors.shape)

    def extended(self, vectors: np.ndarray) -> VectorStore:
        """Return the store with those of new samples at the end."""
        n_rows = self.n_rows + len(vectors)
        rows = None if self.rows is None else np.concatenate([self.rows, np.arange(self.n_rows, n_rows)])
        return replace(self, parts=(*self.parts, vectors), n_rows=n_rows, rows=rows)

    def without(self, indices: np.ndarray) -> VectorStore:
        """Return the store without the samples with these indices."""
        rows = np.arange(self.n_rows) if self.rows is None else self.rows
        return replace(self, rows=np.delete(rows, indices))

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Return the vectors of the samples with these ascending indices as float64."""
        rows = indices if self.rows is None else self.rows[indices]  # In ascending order, as on the disk.
        found, start = np.empty((len(rows), self.n_features)), 0
        for part in self.parts:
            begin, end = np.searchsorted(rows, [start, start + len(part)])
            found[begin:end] = part[rows[begin:end] - start]
            start += len(part)
        return found

    def nearest(
        self, indices: np.ndarray, queries: np.ndarray | None, k: int, metric: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the exact distances and indices of the k nearest of each query's candidates.

        None as queries are the samples of the store.
        """
        self.require_parts()
        distances = np.empty(indices.shape)
        for part in batches(len(indices), max(1, _BLOCK // (indices.shape[1] * self.n_features))):
            unique, which = np.unique(indices[part], return_inverse=True)
            if queries is None:
                asked = self.read(np.arange(len(indices))[part])
            else:
                asked = queries[part].astype(np.float64)
            which = which.reshape(len(asked), -1)
            distances[part] = _distances(asked, self.read(unique), which, metric)
        order = np.lexsort((indices, distances), axis=1)[:, :k]
        return np.take_along_axis(distances, order, axis=1), np.take_along_axis(indices, order, axis=1)

    def require_parts(self) -> None:
        """Raise if the vectors were not passed to `load`."""
        if not self.parts:
            raise ValueError(
                "The vectors for rescoring are missing: they are not part of the file of an index. Pass them "
                "to FaissNeighbors.load(path, vectors=...), or search without: set_params(rescore=None)."
            )

    def state(self) -> dict[str, Any]:
        """Return all but the vectors."""
        checksum = self._checksum() if self.parts else self.checksum
        return {
            "n_rows": self.n_rows,
            "n_features": self.n_features,
            "rows": self.rows,
            "checksum": checksum,
        }

    @classmethod
    def restored(cls, state: dict[str, Any], n_samples: int) -> VectorStore:
        """Return a store without parts from its state; raise ValueError for other content."""
        n_rows, n_features, rows, checksum = take(state, "n_rows", "n_features", "rows", "checksum")
        require(all(isinstance(n, int) and n > 0 for n in (n_rows, n_features)), "sizes must be positive")
        require(isinstance(checksum, str), "the checksum must be text")
        if rows is None:
            require(n_rows == n_samples, "there must be one vector per sample")
        else:
            require(isinstance(rows, np.ndarray) and rows.dtype == np.int64, "rows must be int64")
            require(rows.shape == (n_samples,), "there must be one row per sample")
            ascending = (np.diff(rows, prepend=-1, append=n_rows) > 0).all()
            require(ascending, "rows must be in ascending order")
        return cls((), n_rows, n_features, rows, checksum)

    def attached(self, vectors: Any) -> VectorStore:
        """Return the store with its vectors, those of removed samples included, in the original order."""
        array = _as_stored(vectors)
        if array.shape != (self.n_rows, self.n_features):
            raise ValueError(
                f"vectors must be those passed to fit and add, in that order and those of removed samples "
                f"included, of shape ({self.n_rows}, {self.n_features}), got {array.shape}."
            )
        store = replace(self, parts=(array,))
        if store._checksum() != self.checksum:
            raise ValueError(
                "vectors are not those that the index was saved with: some of them differ. Pass the "
                "same values in the same order, or fit again."
            )
        return store

    def _checksum(self) -> str:
        """Return a checksum of evenly spaced rows."""
        rows = np.linspace(0, self.n_rows - 1, min(self.n_rows, _CHECKED_ROWS)).astype(np.int64)
        sample = replace(self, rows=None).read(rows)
        return hashlib.blake2b(sample.tobytes(), digest_size=16).hexdigest()


def _distances(queries: np.ndarray, vectors: np.ndarray, which: np.ndarray, metric: str) -> np.ndarray:
    """Return the distances of each query to those vectors that its row of `which` lists."""
    if metric == "cosine":
        queries, vectors = _unit(queries), _unit(vectors)
    squared = np.empty(which.shape)
    for i, listed in enumerate(which):  # One at a time stays in the cache.
        difference = vectors[listed] - queries[i]
        squared[i] = np.einsum("ij,ij->i", difference, difference)
    if metric == "l2":
        return np.sqrt(squared)
    # Half the squared distance of unit vectors is one minus their cosine; a zero vector has none.
    defined = np.any(queries, axis=1)[:, None] & np.asarray(vectors.any(axis=1))[which]
    return np.where(defined, squared / 2.0, 1.0)


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0.0, lengths, 1.0)


def check_vectors(
    vectors: Any, n_samples: int, metric: str, n_features: int | None = None, name: str = "vectors"
) -> np.ndarray:
    """Return vectors of samples or queries without a copy; raise unless they suit a metric."""
    array = _as_stored(vectors, name)
    if len(array) != n_samples:
        rows = "row of X" if name == "vectors" else "sample in the index"
        raise ValueError(
            f"{name} must be one for each {rows}: got {len(array)} for {n_samples}. Pass those of the "
            "same samples in the same order."
        )
    if n_features is not None and array.shape[1] != n_features:
        raise ValueError(
            f"{name} must have {n_features} columns, as those of the index, got {array.shape[1]}. Embed "
            "queries with the model that embedded the samples."
        )
    for part in batches(n_samples, max(1, _BLOCK // array.shape[1])):
        _check_block(np.asarray(array[part]), part.start, metric)
    return array


def _check_block(block: np.ndarray, start: int, metric: str) -> None:
    finite = np.isfinite(block).all(axis=1)
    if not finite.all():
        overflow = block.dtype == np.float16 and not np.isnan(block).any()
        hint = (
            "A float16 holds at most 65504: scale the vectors before the conversion, or store float32."
            if overflow
            else "Leave out or recompute these samples."
        )
        row = start + int(finite.argmin())
        raise ValueError(f"vectors contain NaN or infinity, first in sample {row}. {hint}")
    if block.dtype.itemsize > 2 and np.abs(block).max(initial=0) > 1e18:
        raise ValueError("vectors have values beyond 1e18, whose squares overflow; scale them first.")
    if metric == "cosine" and not (used := block.any(axis=1)).all():
        raise ValueError(
            f"vectors must not be zero for rescore='cosine', but sample {start + int(used.argmin())} is. A "
            "zero vector has no direction: leave out these samples, or use rescore='l2'."
        )


def _as_stored(vectors: Any, name: str = "vectors") -> np.ndarray:
    """Return an array of a dtype that is stored as it is; a memory map stays one."""
    array = vectors if isinstance(vectors, np.ndarray) else as_array(vectors, name)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name} must be a non-empty array of shape (n, n_features), got {array.shape}.")
    if array.dtype.name in _DTYPES:
        return array
    if array.dtype.kind not in "iub":
        raise ValueError(f"{name} must be of dtype {', '.join(_DTYPES)}, got {array.dtype}. Convert them.")
    return array.astype(np.float64)


def check_correspondence(samples: Any, codes: np.ndarray, vectors: np.ndarray, metric: str) -> None:
    """Raise if the distances between codes and between vectors of a sample are uncorrelated.

    They are after one of the two was shuffled. `samples` is the `SampleFormat` of the stored codes.
    """
    if len(codes) < _FEWEST:
        return
    n_compared = min(len(codes), _COMPARED)
    rows = np.sort(np.random.default_rng(0).choice(len(codes), n_compared, replace=False))
    found = codes[rows]
    numbers = np.unpackbits(found, axis=1) if samples.binary else found
    values = vectors[rows].astype(np.float64)
    one, other = (_centred_distances(x) for x in (numbers, _unit(values) if metric == "cosine" else values))
    random = np.random.default_rng(1)
    shuffled = (random.permutation(len(rows)) for _ in range(_SHUFFLES))
    by_chance = np.array([np.vdot(one[order][:, order], other) for order in shuffled])
    spread = by_chance.std()
    if spread > 0.0 and np.vdot(one, other) < by_chance.mean() + 3.0 * spread:
        raise ValueError(
            "vectors do not belong to the samples: for a random subset, their distances and those of X are "
            "uncorrelated. Pass the vectors that X was made of, in the same order."
        )


def _centred_distances(x: np.ndarray) -> np.ndarray:
    """Return the distances of all pairs, less the means of rows and columns."""
    distances = euclidean_distances(x.astype(np.float64))
    means = distances.mean(axis=0)
    return distances - means - means[:, None] + means.mean()
