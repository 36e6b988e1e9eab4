"""FAISS indexes over packed bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dmzrep.retrieval._faiss import load_faiss
from dmzrep.retrieval._hamming import nearest_packed
from dmzrep.retrieval._index_base import IndexOptions, StoredIndex


class BinaryIndex(StoredIndex):
    """Packed codes and Hamming distance in bits.

    Parameters
    ----------
    n_bytes : int
        Bytes of a code.
    options : IndexOptions
        Of kind "flat", "hnsw" or "ivf".

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.retrieval._binary_index import BinaryIndex
    >>> from dmzrep.retrieval._index_base import IndexOptions
    >>> index = BinaryIndex(1, IndexOptions("flat"))
    >>> index.build(np.array([[0], [255], [15]], dtype=np.uint8))
    >>> distances, indices = index.search(np.array([[7]], dtype=np.uint8), 2)
    >>> distances.tolist(), indices.tolist()
    ([[1, 3]], [[2, 0]])
    """

    def __init__(self, n_bytes: int, options: IndexOptions):
        super().__init__(options)
        self.n_bytes = n_bytes
        self._codes: np.ndarray | None = None  # Of inverted lists, in the order of indices.

    def add(self, X: np.ndarray) -> None:
        self._codes = None
        super().add(X)

    def remove(self, indices: np.ndarray) -> None:
        self._codes = None
        super().remove(indices)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        if self.options.kind == "flat":
            return nearest_packed(self.vectors(), queries, k)
        distances, indices = self.faiss_index.search(queries, k)
        short = (indices < 0).any(axis=1)  # The probed lists held fewer than k.
        if short.any():
            distances[short], indices[short] = nearest_packed(self.vectors(), queries[short], k)
        return distances, indices

    def search_among(self, indices: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        distances, found = nearest_packed(self.vectors()[indices], queries, k)
        return distances, indices[found]

    def within(
        self, queries: np.ndarray, radius: float, rounding: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        index = self.faiss_index if self.options.kind == "ivf" else self._storage()
        # FAISS excludes the radius itself.
        limits, distances, indices = index.range_search(
            queries, min(math.floor(radius), 8 * self.n_bytes) + 1
        )
        return limits.astype(np.int64), distances.astype(np.int32), indices

    def _trained(self, X: np.ndarray) -> Any:
        faiss, options = load_faiss(), self.options
        if options.kind == "flat":
            return faiss.IndexBinaryFlat(8 * self.n_bytes)
        if options.kind == "hnsw":
            return self._graph()
        n_lists = options.lists(len(X))
        index = self._inverted(n_lists)
        options.prepare_clustering(index.cp)
        index.train(options.training_samples(X, n_lists))
        return index

    def _inverted(self, n_lists: int) -> Any:
        return load_faiss().index_binary_factory(8 * self.n_bytes, f"BIVF{n_lists}")

    def _graph(self) -> Any:
        index = load_faiss().index_binary_factory(8 * self.n_bytes, f"BHNSW{self.options.n_links}")
        index.hnsw.efConstruction = int(self.options.ef_construction)
        return index

    def _storage(self) -> Any:
        if self.options.kind == "flat":
            return self.faiss_index
        return load_faiss().downcast_IndexBinary(self.faiss_index.storage)

    def _view(self, storage: Any) -> np.ndarray:
        size = storage.ntotal * self.n_bytes
        if not size:
            return np.empty((0, self.n_bytes), dtype=np.uint8)
        return load_faiss().rev_swig_ptr(storage.xb.data(), size).reshape(-1, self.n_bytes)

    def _reconstruct(self) -> np.ndarray:
        # Not by reconstruct_n, which writes beyond its buffer before FAISS 1.15.
        if self._codes is None:
            faiss, lists = load_faiss(), self.faiss_index.invlists
            codes = np.empty((len(self), self.n_bytes), dtype=np.uint8)
            for i, indices in self._lists():
                content = faiss.rev_swig_ptr(lists.get_codes(i), len(indices) * self.n_bytes)
                codes[indices] = content.reshape(-1, self.n_bytes)
            self._codes = codes
        return self._codes

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_codes": None}
