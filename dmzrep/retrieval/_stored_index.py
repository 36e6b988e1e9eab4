"""A FAISS index whose rows are numbered 0 to n - 1 without gaps, whatever was removed."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmzrep.retrieval._faiss import load_faiss
from dmzrep.retrieval._index_state import index_state, restore_index

INDEXES = ("flat", "hnsw", "ivf", "pq")
#: Training rows for each list of an inverted file; more changes little.
ROWS_PER_LIST = 64


@dataclass(frozen=True)
class IndexOptions:
    """What an index is built with; `FaissNeighbors` explains the fields."""

    kind: str
    n_lists: int | str = "auto"
    n_links: int = 32
    ef_construction: int = 40
    pq_bytes: int | str = "auto"
    seed: int = 0

    def lists(self, n_rows: int) -> int:
        """Give the number of lists for so many rows."""
        if self.n_lists == "auto":
            return max(1, round(math.sqrt(n_rows)))
        if int(self.n_lists) > n_rows:
            raise ValueError(
                f"n_lists must be at most the number of rows, {n_rows}, got {self.n_lists}. "
                "Use n_lists='auto', or index='flat' for few rows."
            )
        return int(self.n_lists)


class StoredIndex(ABC):
    """Base of the indexes over bits and over floats.

    Parameters
    ----------
    options : IndexOptions
        What to build.
    """

    def __init__(self, options: IndexOptions):
        self.options = options
        self.faiss_index: Any = None

    def __len__(self) -> int:
        return 0 if self.faiss_index is None else int(self.faiss_index.ntotal)

    @abstractmethod
    def _empty(self, rows: np.ndarray) -> Any:
        """Build an index without rows, trained on these."""

    @abstractmethod
    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Give distances and row numbers of the k nearest rows, the nearest first."""

    @abstractmethod
    def search_rows(self, rows: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Search only the rows with these numbers, all of them; otherwise as `search`."""

    @abstractmethod
    def within(self, queries: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give limits, distances and row numbers of the rows within a distance, unsorted."""

    @abstractmethod
    def _storage(self) -> Any:
        """Give what holds the vectors of a flat or graph index."""

    @abstractmethod
    def _view(self, storage: Any) -> np.ndarray:
        """Give the vectors of a storage without a copy; valid while the index does not change."""

    @abstractmethod
    def _lists(self, n_lists: int) -> Any:
        """Build an index of inverted lists that is not trained."""

    def build(self, rows: np.ndarray) -> None:
        """Train on rows and add them."""
        index = self._empty(rows)
        index.add(rows)
        self.faiss_index = index

    def add(self, rows: np.ndarray) -> None:
        """Add rows behind the others; lists and centroids stay those of the first rows."""
        self.faiss_index.add(rows)

    def tune(self, n_probes: int | str, ef_search: int) -> None:
        """Set what may change between searches; setting the same again is safe among threads."""
        index = self.faiss_index
        if self.options.kind in ("ivf", "pq"):
            wanted = max(16, index.nlist // 32) if n_probes == "auto" else int(n_probes)
            wanted = min(wanted, index.nlist)
            if index.nprobe != wanted:
                index.nprobe = wanted
        elif self.options.kind == "hnsw" and index.hnsw.efSearch != ef_search:
            index.hnsw.efSearch = int(ef_search)

    def vectors(self) -> np.ndarray:
        """Give the vectors of all rows, in order; do not write into them."""
        if self.options.kind in ("flat", "hnsw"):
            return self._view(self._storage())
        return self.faiss_index.reconstruct_n(0, len(self))

    def remove(self, rows: np.ndarray) -> None:
        """Remove the rows with these numbers; those behind them move up."""
        kept = np.setdiff1d(np.arange(len(self)), rows)
        if self.options.kind == "hnsw":  # A graph cannot lose a node.
            vectors = self.vectors()[kept]
            index = self._graph()
            if len(kept):
                index.add(vectors)
            self.faiss_index = index
            return
        self.faiss_index.remove_ids(np.asarray(rows, dtype=np.int64))
        if self.options.kind in ("ivf", "pq"):
            self._renumber(kept)

    @abstractmethod
    def _graph(self) -> Any:
        """Build an empty graph index."""

    def _renumber(self, kept: np.ndarray) -> None:
        """Close the gaps that a removal leaves in the row numbers of inverted lists."""
        faiss, lists = load_faiss(), self.faiss_index.invlists
        for i in range(self.faiss_index.nlist):
            if size := lists.list_size(i):
                numbers = faiss.rev_swig_ptr(lists.get_ids(i), size)
                numbers[:] = np.searchsorted(kept, numbers)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"faiss_index": None if self.faiss_index is None else index_state(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"faiss_index": None})
        if state["faiss_index"] is not None:
            restore_index(self, state["faiss_index"])


def sample_rows(rows: np.ndarray, n_lists: int, seed: int, least: int = 0) -> np.ndarray:
    """Draw rows to train lists on."""
    wanted = max(ROWS_PER_LIST * n_lists, least)
    if len(rows) <= wanted:
        return rows
    picked = np.random.default_rng(seed).choice(len(rows), wanted, replace=False)
    return rows[np.sort(picked)]


def prepare_clustering(parameters: Any, seed: int) -> None:
    """Seed FAISS's k-means, and keep it from writing advice on few rows to the terminal."""
    parameters.seed = int(seed)
    parameters.min_points_per_centroid = 1
    parameters.max_points_per_centroid = 1 << 30
