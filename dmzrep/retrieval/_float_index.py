"""FAISS indexes over float32 vectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dmzrep.retrieval._faiss import load_faiss
from dmzrep.retrieval._index_state import PQ_CENTROIDS
from dmzrep.retrieval._stored_index import (
    IndexOptions,
    StoredIndex,
    prepare_clustering,
    sample_rows,
)

#: Numbers of found vectors that are held at a time.
_BLOCK = 1 << 22
#: FAISS's float32 distances may be off by so much; what is near a radius is measured again.
_SLACK = 1e-4
#: Rows that product quantisation is trained on, where there are so many.
ROWS_FOR_PQ = 64 * PQ_CENTROIDS


class FloatIndex(StoredIndex):
    """Vectors and Euclidean or cosine distance.

    FAISS finds the neighbours in float32; the distances to what it found are then computed in
    float64 from the stored vectors, so that a row's do not depend on the batch it came in.

    Parameters
    ----------
    n_features : int
        Numbers of a vector.
    metric : {"l2", "cosine"}
        For "cosine", rows and queries must be of length 1 (or all zero).
    options : IndexOptions
        Of any kind.
    """

    def __init__(self, n_features: int, metric: str, options: IndexOptions):
        super().__init__(options)
        self.n_features = n_features
        self.metric = metric
        n_parts = max(1, -(-n_features // 4)) if options.pq_bytes == "auto" else int(options.pq_bytes)
        if n_parts > n_features:
            raise ValueError(f"pq_bytes must be at most the number of features, {n_features}, got {n_parts}.")
        self.n_parts = n_parts
        # Product quantisation needs parts of one width.
        self.width = n_parts * -(-n_features // n_parts) if options.kind == "pq" else n_features

    @property
    def _faiss_metric(self) -> int:
        faiss = load_faiss()
        return faiss.METRIC_L2 if self.metric == "l2" else faiss.METRIC_INNER_PRODUCT

    def _empty(self, rows: np.ndarray) -> Any:
        faiss, options = load_faiss(), self.options
        if options.kind == "flat":
            return faiss.index_factory(self.width, "Flat", self._faiss_metric)
        if options.kind == "hnsw":
            return self._graph()
        n_lists = options.lists(len(rows))
        index = self._lists(n_lists)
        prepare_clustering(index.cp, options.seed)
        least = 0
        if options.kind == "pq":
            if len(rows) < PQ_CENTROIDS:
                raise ValueError(
                    f"index='pq' learns {PQ_CENTROIDS} centroids and needs at least as many rows, got "
                    f"{len(rows)}. Use index='flat' for few rows."
                )
            prepare_clustering(index.pq.cp, options.seed)
            least = ROWS_FOR_PQ
        index.train(sample_rows(rows, n_lists, options.seed, least))
        return index

    def _lists(self, n_lists: int) -> Any:
        # "np": no polysemous codes, which take long to learn and serve another search.
        store = "Flat" if self.options.kind == "ivf" else f"PQ{self.n_parts}np"
        return load_faiss().index_factory(self.width, f"IVF{n_lists},{store}", self._faiss_metric)

    def _graph(self) -> Any:
        name = f"HNSW{self.options.n_links},Flat"
        index = load_faiss().index_factory(self.width, name, self._faiss_metric)
        index.hnsw.efConstruction = int(self.options.ef_construction)
        return index

    def build(self, rows: np.ndarray) -> None:
        super().build(self._widen(rows))

    def add(self, rows: np.ndarray) -> None:
        super().add(self._widen(rows))

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        distances, rows = np.empty((len(queries), k)), np.empty((len(queries), k), dtype=np.int64)
        for part in self._parts(len(queries), k):
            distances[part], rows[part] = self._search_part(self._widen(queries[part]), k)
        return distances, rows

    def _search_part(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        if self.options.kind in ("flat", "hnsw"):
            _, rows = self.faiss_index.search(queries, k)
            found = self.vectors()[rows]
        else:
            _, rows, found = self.faiss_index.search_and_reconstruct(queries, k)
        distances = self._distances(queries[:, None], found)
        short = (rows < 0).any(axis=1)  # The probed lists held fewer than k.
        if short.any():
            everything = np.arange(len(self))
            distances[short], rows[short] = self._search_rows(everything, queries[short], k)
        return _sorted(distances, rows)

    def search_rows(self, rows: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        return _sorted(*self._search_rows(rows, self._widen(queries), k))

    def _search_rows(self, rows: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        vectors = np.ascontiguousarray(self.vectors()[rows])
        _, found = load_faiss().knn(queries, vectors, k, metric=self._faiss_metric)
        distances = np.empty(found.shape)
        for part in self._parts(len(queries), k):
            distances[part] = self._distances(queries[part, None], vectors[found[part]])
        return distances, rows[found]

    def within(self, queries: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        queries = self._widen(queries)
        index = self._storage() if self.options.kind in ("flat", "hnsw") else self.faiss_index
        scale = 1.0 + float(np.abs(queries).max(initial=0.0)) if self.metric == "l2" else 1.0
        wide = radius + _SLACK * (radius + scale)
        # Inner products of unit vectors are one minus the distance, so a radius is a floor for them.
        # Stored numbers are at most 1e18, so that nothing is farther.
        wide = min(wide, 1e19)
        threshold = min(wide**2, float(np.finfo(np.float32).max)) if self.metric == "l2" else 1.0 - wide
        limits, _, rows = index.range_search(queries, threshold)
        counts = np.diff(limits.astype(np.int64))
        owners = np.repeat(np.arange(len(queries)), counts)
        vectors, distances = self.vectors(), np.empty(len(rows))
        for part in self._parts(len(rows), 1):
            distances[part] = self._distances(queries[owners[part]], vectors[rows[part]])
        near = distances <= radius
        counts = np.bincount(owners[near], minlength=len(queries))
        return np.concatenate([[0], np.cumsum(counts)]), distances[near], rows[near]

    def _distances(self, queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        difference = queries.astype(np.float64) - vectors
        squared = np.einsum("...j,...j->...", difference, difference)
        if self.metric == "l2":
            return np.sqrt(squared)
        # Half the squared distance of unit vectors is one minus their cosine; a zero vector has none.
        zero = ~(queries.any(axis=-1) & vectors.any(axis=-1))
        return np.where(zero, 1.0, squared / 2.0)

    def _parts(self, n_queries: int, k: int) -> Iterator[slice]:
        step = max(1, _BLOCK // (k * self.width))
        return (slice(i, i + step) for i in range(0, n_queries, step))

    def _widen(self, vectors: np.ndarray) -> np.ndarray:
        if self.width == vectors.shape[1]:
            return np.ascontiguousarray(vectors)
        return np.pad(vectors, ((0, 0), (0, self.width - vectors.shape[1])))

    def _storage(self) -> Any:
        if self.options.kind == "flat":
            return self.faiss_index
        return load_faiss().downcast_index(self.faiss_index.storage)

    def _view(self, storage: Any) -> np.ndarray:
        size = storage.ntotal * self.width
        if not size:
            return np.empty((0, self.width), dtype=np.float32)
        return load_faiss().rev_swig_ptr(storage.get_xb(), size).reshape(-1, self.width)


def _sorted(distances: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort each line by distance, then by row."""
    order = np.lexsort((rows, distances), axis=1)
    return np.take_along_axis(distances, order, axis=1), np.take_along_axis(rows, order, axis=1)
