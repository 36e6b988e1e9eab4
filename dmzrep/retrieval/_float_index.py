"""FAISS indexes over float32 vectors."""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from dmzrep._base._batching import batches
from dmzrep.retrieval._faiss import load_faiss
from dmzrep.retrieval._index_base import IndexOptions, StoredIndex

#: Maximum number of vector values in memory at a time.
_BLOCK = 1 << 22
#: Relative error of FAISS's float32 squared distances; distances this close to a radius are recomputed.
_FAISS_ERROR = 1e-5


class FloatIndex(StoredIndex):
    """Vectors and Euclidean or cosine distance; for "cosine" they must have length 1 (or be all zero).

    FAISS finds neighbours in float32. Distances to them are then computed in float64 from the stored
    vectors, so that they are batch-invariant.
    """

    dtype: ClassVar[Any] = np.float32

    def __init__(self, n_features: int, metric: str, options: IndexOptions):
        self.metric = metric
        n_parts = max(1, -(-n_features // 4)) if options.pq_bytes == "auto" else int(options.pq_bytes)
        if n_parts > n_features:
            raise ValueError(f"pq_bytes must be at most the number of features, {n_features}, got {n_parts}.")
        self.n_parts = n_parts
        # Product quantisation needs parts of equal width.
        super().__init__(n_parts * -(-n_features // n_parts) if options.kind == "pq" else n_features, options)

    def build(self, X: np.ndarray) -> None:
        super().build(self._padded(X))

    def add(self, X: np.ndarray) -> None:
        super().add(self._padded(X))

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        distances, indices = np.empty((len(queries), k)), np.empty((len(queries), k), dtype=np.int64)
        for part in self._parts(len(queries), k):
            distances[part], indices[part] = self._search_part(self._padded(queries[part]), k)
        return distances, indices

    def _search_part(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        if self.mapped is not None:
            indices = self.mapped.search(queries, k, self._probed(queries), self._nearest)[1]
            found = self.take(indices)
        elif self.options.has_lists:
            _, indices, found = self.faiss_index.search_and_reconstruct(queries, k)
        else:
            _, indices = self.faiss_index.search(queries, k)
            found = self.vectors()[indices]
        distances = self._distances(queries[:, None], found)
        short = (indices < 0).any(axis=1)  # The probed lists held fewer than k.
        if short.any():
            everything = np.arange(len(self))
            distances[short], indices[short] = self.search_among(everything, queries[short], k)
        return _sorted(distances, indices)

    def search_among(self, indices: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        queries = self._padded(queries)
        vectors = np.ascontiguousarray(self.take(indices))
        _, found = load_faiss().knn(queries, vectors, k, metric=self._faiss_metric)
        distances = np.empty(found.shape)
        for part in self._parts(len(queries), k):
            distances[part] = self._distances(queries[part, None], vectors[found[part]])
        return _sorted(distances, indices[found])

    def within(
        self, queries: np.ndarray, radius: float, rounding: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        queries = self._padded(queries)
        lengths = np.linalg.norm(queries.astype(np.float64), axis=1)
        if self.metric == "l2":
            # The norm of a sample within the radius exceeds that of the query by at most the radius.
            error = _FAISS_ERROR * (2.0 * lengths.max(initial=0.0) + radius) ** 2
            threshold = min(radius**2 + error, float(np.finfo(np.float32).max))
        else:
            # Inner products of unit vectors are one minus the distance: a radius is a lower bound of them.
            threshold = 1.0 - min(radius, 3.0) - _FAISS_ERROR
        limits, _, indices = self._range_search(queries, threshold)
        query_indices = np.repeat(np.arange(len(queries)), np.diff(limits.astype(np.int64)))
        distances = np.empty(len(indices))
        vectors = self.vectors() if self.mapped is None else None  # Reconstructed once.
        for part in self._parts(len(indices), 1):
            found = self.take(indices[part]) if vectors is None else vectors[indices[part]]
            measured = self._distances(queries[query_indices[part]], found)
            # A distance that exceeds the radius by no more than the rounding error counts as the radius.
            error = rounding * (lengths[query_indices[part]] + np.linalg.norm(found, axis=1))
            if self.metric == "cosine":  # Half the squared Euclidean distance.
                error *= np.sqrt(2.0 * radius) + error
            distances[part] = np.where(measured <= radius + error, np.minimum(measured, radius), np.inf)
        near = np.isfinite(distances)
        limits = np.concatenate([[0], np.cumsum(np.bincount(query_indices[near], minlength=len(queries)))])
        return limits, distances[near], indices[near]

    def _nearest(self, vectors: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return distances, or negative inner products, and indices of the k nearest vectors."""
        values, indices = load_faiss().knn(queries, vectors, k, metric=self._faiss_metric)
        return values if self.metric == "l2" else -values, indices

    @property
    def _faiss_metric(self) -> int:
        faiss = load_faiss()
        return faiss.METRIC_L2 if self.metric == "l2" else faiss.METRIC_INNER_PRODUCT

    def _make(self, name: str) -> Any:
        if name != "Flat":
            # "np": without polysemous training, which is slow and only serves another kind of search.
            name += f",PQ{self.n_parts}np" if self.options.kind == "pq" else ",Flat"
        return load_faiss().index_factory(self.width, name, self._faiss_metric)

    def _reconstruct(self) -> np.ndarray:
        return self.faiss_index.reconstruct_n(0, len(self))

    def _distances(self, queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        difference = queries.astype(np.float64) - vectors
        squared = np.einsum("...j,...j->...", difference, difference)
        if self.metric == "l2":
            return np.sqrt(squared)
        # Half the squared distance of unit vectors is one minus their cosine; a zero vector has none.
        zero = ~(queries.any(axis=-1) & vectors.any(axis=-1))
        return np.where(zero, 1.0, squared / 2.0)

    def _parts(self, n_queries: int, k: int) -> Iterator[slice]:
        return batches(n_queries, max(1, _BLOCK // (k * self.width)))

    def _padded(self, vectors: np.ndarray) -> np.ndarray:
        if self.width == vectors.shape[1]:
            return np.ascontiguousarray(vectors)
        return np.pad(vectors, ((0, 0), (0, self.width - vectors.shape[1])))


def _sorted(distances: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort the neighbours of each query by distance, then by index."""
    order = np.lexsort((indices, distances), axis=1)
    return np.take_along_axis(distances, order, axis=1), np.take_along_axis(indices, order, axis=1)
