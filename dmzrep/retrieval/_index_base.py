"""Base of the FAISS indexes: samples numbered 0 to n - 1 without gaps, whatever was removed."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmzrep.retrieval._faiss import load_faiss
from dmzrep.retrieval._index_state import index_state, restore_index

INDEXES = ("flat", "hnsw", "ivf", "pq")
#: Training samples per inverted list; more changes little.
SAMPLES_PER_LIST = 64


@dataclass(frozen=True)
class IndexOptions:
    """Build options of an index, as documented in `FaissNeighbors`."""

    kind: str
    n_lists: int | str = "auto"
    n_links: int = 32
    ef_construction: int = 40
    pq_bytes: int | str = "auto"
    seed: int = 0

    def lists(self, n_samples: int) -> int:
        """Return the number of inverted lists for a number of samples."""
        if self.n_lists == "auto":
            return max(1, round(math.sqrt(n_samples)))
        if int(self.n_lists) > n_samples:
            raise ValueError(
                f"n_lists must be at most the number of samples, {n_samples}, got {self.n_lists}. "
                "Use n_lists='auto', or index='flat' for few samples."
            )
        return int(self.n_lists)

    def training_samples(self, X: np.ndarray, n_lists: int, least: int = 0) -> np.ndarray:
        """Draw samples to learn clusters from."""
        wanted = max(SAMPLES_PER_LIST * n_lists, least)
        if len(X) <= wanted:
            return X
        return X[np.sort(np.random.default_rng(self.seed).choice(len(X), wanted, replace=False))]

    def prepare_clustering(self, parameters: Any) -> None:
        """Seed FAISS's k-means, and keep it from printing advice about few samples."""
        parameters.seed = int(self.seed)
        parameters.min_points_per_centroid = 1
        parameters.max_points_per_centroid = 1 << 30


class StoredIndex(ABC):
    """Base of the indexes over bits and over floats.

    Parameters
    ----------
    options : IndexOptions
        Build options.
    """

    def __init__(self, options: IndexOptions):
        self.options = options
        self.faiss_index: Any = None

    def __len__(self) -> int:
        return 0 if self.faiss_index is None else int(self.faiss_index.ntotal)

    @abstractmethod
    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return distances and indices of the k nearest samples, the nearest first."""

    @abstractmethod
    def search_among(self, indices: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Search the samples with these indices exhaustively; otherwise as `search`."""

    @abstractmethod
    def within(
        self, queries: np.ndarray, radius: float, rounding: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return limits, distances and indices of the samples within a distance, unsorted.

        Neighbours of query i stand at ``limits[i]`` to ``limits[i + 1]``. `rounding` is the relative error of
        vectors that were rounded to float32; what it leaves undecided is included.
        """

    @abstractmethod
    def _inverted(self, n_lists: int) -> Any:
        """Return an index of inverted lists that is not trained."""

    @abstractmethod
    def _trained(self, X: np.ndarray) -> Any:
        """Return an empty FAISS index trained on samples."""

    @abstractmethod
    def _graph(self) -> Any:
        """Return an empty graph index."""

    @abstractmethod
    def _storage(self) -> Any:
        """Return the part of a flat or graph index that holds the vectors."""

    @abstractmethod
    def _view(self, storage: Any) -> np.ndarray:
        """Return the vectors of a storage without a copy; valid while the index does not change."""

    @abstractmethod
    def _reconstruct(self) -> np.ndarray:
        """Return the vectors of inverted lists, in the order of indices."""

    def build(self, X: np.ndarray) -> None:
        """Train on samples and add them."""
        index = self._trained(X)
        index.add(X)
        self.faiss_index = index

    def add(self, X: np.ndarray) -> None:
        """Append samples; lists and centroids stay those of the first ones."""
        self.faiss_index.add(X)

    def tune(self, n_probes: int | str, ef_search: int) -> None:
        """Set what may change between searches; setting the same again is thread-safe."""
        index = self.faiss_index
        if self.options.kind in ("ivf", "pq"):
            wanted = max(16, index.nlist // 32) if n_probes == "auto" else int(n_probes)
            wanted = min(wanted, index.nlist)
            if index.nprobe != wanted:
                index.nprobe = wanted
        elif self.options.kind == "hnsw" and index.hnsw.efSearch != ef_search:
            index.hnsw.efSearch = int(ef_search)

    def vectors(self) -> np.ndarray:
        """Return the vectors of all samples, in order; read-only by convention."""
        return self._view(self._storage()) if self.options.kind in ("flat", "hnsw") else self._reconstruct()

    def remove(self, indices: np.ndarray) -> None:
        """Remove the samples with these indices; those behind them move up."""
        kept = np.setdiff1d(np.arange(len(self)), indices)
        if self.options.kind == "hnsw":  # A graph cannot lose a node.
            vectors, index = self.vectors()[kept], self._graph()
            if len(kept):
                index.add(vectors)
            self.faiss_index = index
            return
        self.faiss_index.remove_ids(np.asarray(indices, dtype=np.int64))
        if self.options.kind in ("ivf", "pq"):  # Close the gaps in the numbers that lists keep.
            for _, numbers in self._lists():
                numbers[:] = np.searchsorted(kept, numbers)

    def _lists(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each non-empty inverted list's number and its indices, without a copy."""
        faiss, lists = load_faiss(), self.faiss_index.invlists
        for i in range(self.faiss_index.nlist):
            if size := lists.list_size(i):
                yield i, faiss.rev_swig_ptr(lists.get_ids(i), size)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"faiss_index": None if self.faiss_index is None else index_state(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"faiss_index": None})
        if state["faiss_index"] is not None:
            restore_index(self, state["faiss_index"])
