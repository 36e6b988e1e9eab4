"""Search of vectors that stay in a file, by blocks: all of an index "flat", or the probed lists of "ivf"."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np

#: Bytes of a block of "flat".
_BLOCK_BYTES = 1 << 25


class MappedVectors:
    """A memory map of vectors in the order of blocks, of which block i ends before row ``ends[i]``.

    `samples` are the indices of the samples in the rows; None is their order. Queries are searched in all
    blocks, or in those that their row of `probed` lists.
    """

    def __init__(
        self, vectors: np.ndarray, ends: np.ndarray | None = None, samples: np.ndarray | None = None
    ):
        step = max(1, _BLOCK_BYTES // (vectors.shape[1] * vectors.itemsize))
        if ends is None:
            ends = np.minimum(np.arange(step, len(vectors) + step, step), len(vectors))
        self.vectors, self.ends, self.samples = vectors, ends, samples

    @cached_property
    def _rows(self) -> np.ndarray:
        return np.argsort(self._samples_of(np.arange(len(self.vectors))))

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return a copy of the vectors of samples."""
        return self.vectors[indices if self.samples is None else self._rows[indices]]

    def search(
        self, queries: np.ndarray, k: int, probed: np.ndarray | None, nearest: Callable[..., Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return distances and indices of the k nearest, sorted by both.

        ``nearest(block, queries, k)`` returns distances and rows of the block. Queries whose blocks hold
        fewer than k samples are searched in all.
        """
        distances = np.full((len(queries), k), np.inf)
        indices = np.full((len(queries), k), -1, dtype=np.int64)
        for which, start, end in self._visits(len(queries), probed):
            near, rows = nearest(self.vectors[start:end], queries[which], min(k, end - start))
            near = np.concatenate([distances[which], near], axis=1)
            found = np.concatenate([indices[which], self._samples_of(rows + start)], axis=1)
            order = np.lexsort((found, near), axis=1)[:, :k]
            distances[which] = np.take_along_axis(near, order, axis=1)
            indices[which] = np.take_along_axis(found, order, axis=1)
        short = (indices < 0).any(axis=1)
        if short.any() and probed is not None:
            distances[short], indices[short] = self.search(queries[short], k, None, nearest)
        return distances, indices

    def range_search(
        self, queries: np.ndarray, radius: float, probed: np.ndarray | None, empty: Callable[[], Any]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the same as `range_search` of FAISS; ``empty()`` returns an empty flat index for a block."""
        parts = [(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64))]
        for which, start, end in self._visits(len(queries), probed):
            index = empty()
            index.add(self.vectors[start:end])
            limits, distances, rows = index.range_search(queries[which], radius)
            found_by = np.repeat(which, np.diff(limits.astype(np.int64)))
            parts.append((found_by, distances, self._samples_of(rows + start)))
        found_by, distances, indices = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        order = np.argsort(found_by, kind="stable")
        limits = np.concatenate([[0], np.cumsum(np.bincount(found_by, minlength=len(queries)))])
        return limits, distances[order], indices[order]

    def _samples_of(self, rows: np.ndarray) -> np.ndarray:
        return rows if self.samples is None else self.samples[rows]

    def _visits(self, n_queries: int, probed: np.ndarray | None) -> Iterator[tuple[np.ndarray, int, int]]:
        """Yield the queries that each block is searched for, and its first and last row."""
        starts = np.concatenate([[0], self.ends[:-1]])
        if probed is None:
            visited = np.arange(len(self.ends))
            queries = [np.arange(n_queries)] * len(visited)
        else:
            order = np.argsort(probed, axis=None, kind="stable")
            visited, first = np.unique(probed.ravel()[order], return_index=True)
            queries = np.split(order // probed.shape[1], first[1:])
        for i, which in zip(visited.tolist(), queries, strict=True):
            if starts[i] < self.ends[i]:
                yield which, int(starts[i]), int(self.ends[i])
