"""FAISS indexes over packed bits."""

import math
from typing import Any, ClassVar

import numpy as np

from dmzrep.retrieval._faiss import load_faiss
from dmzrep.retrieval._hamming import nearest_packed
from dmzrep.retrieval._index_base import IndexOptions, StoredIndex


class BinaryIndex(StoredIndex):
    """Packed codes and Hamming distance in bits; `width` is in bytes, the kind is not "pq"."""

    dtype: ClassVar[Any] = np.uint8

    def __init__(self, width: int, options: IndexOptions):
        super().__init__(width, options)
        self._codes: np.ndarray | None = None  # Those of inverted lists, in the order of indices.

    def add(self, X: np.ndarray) -> None:
        self._codes = None
        super().add(X)

    def remove(self, indices: np.ndarray) -> None:
        self._codes = None
        super().remove(indices)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        if self.options.kind == "flat":
            return nearest_packed(self.vectors(), queries, k)
        if self.mapped is not None:
            return self.mapped.search(queries, k, self._probed(queries), nearest_packed)
        distances, indices = self.faiss_index.search(queries, k)
        short = (indices < 0).any(axis=1)  # The probed lists held fewer than k.
        if short.any():
            distances[short], indices[short] = nearest_packed(self.vectors(), queries[short], k)
        return distances, indices

    def search_among(self, indices: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        distances, found = nearest_packed(self.take(indices), queries, k)
        return distances, indices[found]

    def within(
        self, queries: np.ndarray, radius: float, rounding: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # FAISS excludes the radius itself.
        threshold = min(math.floor(radius), 8 * self.width) + 1
        limits, distances, indices = self._range_search(queries, threshold)
        return limits.astype(np.int64), distances.astype(np.int32), indices

    def _make(self, name: str) -> Any:
        return load_faiss().index_binary_factory(8 * self.width, f"B{name}")

    def _reconstruct(self) -> np.ndarray:
        # Not by reconstruct_n, which writes beyond its buffer before FAISS 1.15.
        if self._codes is None:
            faiss, lists = load_faiss(), self.faiss_index.invlists
            codes = np.empty((len(self), self.width), dtype=np.uint8)
            for i, indices in self.lists():
                content = faiss.rev_swig_ptr(lists.get_codes(i), len(indices) * self.width)
                codes[indices] = content.reshape(-1, self.width)
            self._codes = codes
        return self._codes

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_codes": None}
