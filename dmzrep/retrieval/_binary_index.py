"""FAISS indexes over packed bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dmzrep.retrieval._faiss import load_faiss
from dmzrep.retrieval._hamming import nearest_packed
from dmzrep.retrieval._stored_index import IndexOptions, StoredIndex, prepare_clustering, sample_rows


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
    >>> from dmzrep.retrieval._stored_index import IndexOptions
    >>> index = BinaryIndex(1, IndexOptions("flat"))
    >>> index.build(np.array([[0], [255], [15]], dtype=np.uint8))
    >>> distances, rows = index.search(np.array([[7]], dtype=np.uint8), 2)
    >>> distances.tolist(), rows.tolist()
    ([[1, 3]], [[2, 0]])
    """

    def __init__(self, n_bytes: int, options: IndexOptions):
        super().__init__(options)
        self.n_bytes = n_bytes
        self._codes: np.ndarray | None = None

    def vectors(self) -> np.ndarray:
        if self.options.kind != "ivf":
            return super().vectors()
        if self._codes is None:  # Lists keep codes by list; in order of rows they are few bytes more.
            self._codes = super().vectors()
        return self._codes

    def add(self, rows: np.ndarray) -> None:
        self._codes = None
        super().add(rows)

    def remove(self, rows: np.ndarray) -> None:
        self._codes = None
        super().remove(rows)

    def _empty(self, rows: np.ndarray) -> Any:
        faiss, options = load_faiss(), self.options
        if options.kind == "flat":
            return faiss.IndexBinaryFlat(8 * self.n_bytes)
        if options.kind == "hnsw":
            return self._graph()
        n_lists = options.lists(len(rows))
        index = self._lists(n_lists)
        prepare_clustering(index.cp, options.seed)
        index.train(sample_rows(rows, n_lists, options.seed))
        return index

    def _lists(self, n_lists: int) -> Any:
        return load_faiss().index_binary_factory(8 * self.n_bytes, f"BIVF{n_lists}")

    def _graph(self) -> Any:
        index = load_faiss().index_binary_factory(8 * self.n_bytes, f"BHNSW{self.options.n_links}")
        index.hnsw.efConstruction = int(self.options.ef_construction)
        return index

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        if self.options.kind == "flat":
            return nearest_packed(self.vectors(), queries, k)
        distances, rows = self.faiss_index.search(queries, k)
        short = (rows < 0).any(axis=1)  # The probed lists held fewer than k.
        if short.any():
            distances[short], rows[short] = nearest_packed(self.vectors(), queries[short], k)
        return distances, rows

    def search_rows(self, rows: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        distances, found = nearest_packed(self.vectors()[rows], queries, k)
        return distances, rows[found]

    def within(self, queries: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        index = self.faiss_index if self.options.kind == "ivf" else self._storage()
        bits = 8 * self.n_bytes
        # FAISS keeps what is strictly nearer.
        limits, distances, rows = index.range_search(queries, min(math.floor(radius), bits) + 1)
        return limits.astype(np.int64), distances.astype(np.int32), rows

    def _storage(self) -> Any:
        if self.options.kind == "flat":
            return self.faiss_index
        return load_faiss().downcast_IndexBinary(self.faiss_index.storage)

    def _view(self, storage: Any) -> np.ndarray:
        size = storage.ntotal * self.n_bytes
        if not size:
            return np.empty((0, self.n_bytes), dtype=np.uint8)
        return load_faiss().rev_swig_ptr(storage.xb.data(), size).reshape(-1, self.n_bytes)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_codes": None}
