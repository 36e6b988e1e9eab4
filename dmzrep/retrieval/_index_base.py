"""Base of the FAISS indexes. Samples are numbered 0 to n - 1 without gaps, also after removals."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dmzrep.retrieval._faiss import load_faiss
from dmzrep.retrieval._index_state import PQ_CENTROIDS, index_state, restore_index
from dmzrep.retrieval._mapped import MappedVectors

INDEXES = ("flat", "hnsw", "ivf", "pq")
#: Training samples per inverted list, and for product quantisation, where available; more change little.
SAMPLES_PER_LIST, PQ_TRAINING_SAMPLES = 64, 64 * PQ_CENTROIDS


@dataclass(frozen=True)
class IndexOptions:
    """Build options of an index, as documented in `FaissNeighbors`."""

    kind: str
    n_lists: int | str = "auto"
    n_links: int = 32
    ef_construction: int = 40
    pq_bytes: int | str = "auto"
    seed: int = 0

    @property
    def has_lists(self) -> bool:
        """Whether the index has inverted lists."""
        return self.kind in ("ivf", "pq")

    def count_lists(self, n_samples: int) -> int:
        """Return the number of inverted lists for a number of samples."""
        if self.n_lists == "auto":
            return max(1, round(math.sqrt(n_samples)))
        if int(self.n_lists) > n_samples:
            raise ValueError(
                f"n_lists must be at most the number of samples, {n_samples}, got {self.n_lists}. "
                "Use n_lists='auto', or index='flat' for few samples."
            )
        return int(self.n_lists)


class StoredIndex(ABC):
    """Base of the indexes over bits and over floats; `width` values of `dtype` are stored per sample.

    `mapped` are the vectors of an index that is read from its file; `faiss_index` is then without samples.
    """

    dtype: ClassVar[Any]

    def __init__(self, width: int, options: IndexOptions):
        self.width = width
        self.options = options
        self.faiss_index: Any = None
        self.mapped: MappedVectors | None = None

    def __len__(self) -> int:
        if self.mapped is not None:
            return len(self.mapped.vectors)
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

        Neighbours of query i are those from ``limits[i]`` to ``limits[i + 1]``. `rounding` is the relative
        error of vectors that were rounded to float32; distances within it of the limit are included.
        """

    @abstractmethod
    def _make(self, name: str) -> Any:
        """Return an empty FAISS index for a part of its factory string: "Flat", "HNSW32" or "IVF16"."""

    @abstractmethod
    def _reconstruct(self) -> np.ndarray:
        """Return the vectors of inverted lists, in the order of indices."""

    def empty(self, n_lists: int = 0) -> Any:
        """Return an empty FAISS index that is not trained; `n_lists` is for "ivf" and "pq"."""
        if self.options.kind == "hnsw":
            index = self._make(f"HNSW{self.options.n_links}")
            index.hnsw.efConstruction = int(self.options.ef_construction)
            return index
        return self._make(f"IVF{n_lists}" if self.options.has_lists else "Flat")

    def build(self, X: np.ndarray) -> None:
        """Train on samples and add them."""
        if self.options.has_lists:
            n_lists = self.options.count_lists(len(X))
            index = self.empty(n_lists)
            self._train(index, X, n_lists)
        else:
            index = self.empty()
        index.add(X)
        self.faiss_index = index

    def _train(self, index: Any, X: np.ndarray, n_lists: int) -> None:
        n_training, clusterings = SAMPLES_PER_LIST * n_lists, [index.cp]
        if self.options.kind == "pq":
            if len(X) < PQ_CENTROIDS:
                raise ValueError(
                    f"index='pq' learns {PQ_CENTROIDS} centroids and needs at least as many samples, got "
                    f"{len(X)}. Use index='flat' for few samples."
                )
            n_training = max(n_training, PQ_TRAINING_SAMPLES)
            clusterings.append(index.pq.cp)
        for parameters in clusterings:
            parameters.seed = self.options.seed % 2**31  # A C int.
            # Otherwise FAISS prints warnings about few samples, and subsamples many.
            parameters.min_points_per_centroid = 1
            parameters.max_points_per_centroid = 1 << 30
        if len(X) > n_training:
            random = np.random.default_rng(self.options.seed)
            X = X[np.sort(random.choice(len(X), n_training, replace=False))]
        index.train(X)

    def require_memory(self) -> None:
        """Raise for an index that is read from its file, which cannot be changed."""
        if self.mapped is not None:
            raise ValueError(
                "An index that was loaded with mmap=True is read-only. Load it without mmap=True to add or "
                "remove samples, and to save or pickle it."
            )

    def add(self, X: np.ndarray) -> None:
        """Append samples; lists and centroids are not fitted again."""
        self.faiss_index.add(X)

    def tune(self, n_probes: int | str, ef_search: int) -> None:
        """Set the parameters that may change between searches; setting the same values is thread-safe."""
        index = self.faiss_index
        if self.options.has_lists:
            nprobe = max(16, index.nlist // 32) if n_probes == "auto" else int(n_probes)
            nprobe = min(nprobe, index.nlist)
            if index.nprobe != nprobe:
                index.nprobe = nprobe
        elif self.options.kind == "hnsw" and index.hnsw.efSearch != ef_search:
            index.hnsw.efSearch = int(ef_search)

    def vectors(self) -> np.ndarray:
        """Return the vectors of all samples, in order; read-only by convention."""
        if self.mapped is not None:
            return self.mapped.vectors if self.mapped.samples is None else self.take(np.arange(len(self)))
        return self._reconstruct() if self.options.has_lists else self.view(self._storage())

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return a copy of the vectors of samples."""
        return self.vectors()[indices] if self.mapped is None else self.mapped.take(indices)

    def _range_search(self, queries: np.ndarray, radius: float) -> Any:
        if self.mapped is not None:
            return self.mapped.range_search(
                queries, radius, self._probed(queries), lambda: self._make("Flat")
            )
        index = self.faiss_index if self.options.has_lists else self._storage()
        return index.range_search(queries, radius)

    def _probed(self, queries: np.ndarray) -> np.ndarray | None:
        """Return the inverted lists to search for each query; None without lists."""
        index = self.faiss_index
        return index.quantizer.search(queries, index.nprobe)[1] if self.options.has_lists else None

    def view(self, storage: Any) -> np.ndarray:
        """Return the vectors of a flat FAISS index without a copy; valid while it does not change."""
        size = storage.ntotal * self.width
        if not size:
            return np.empty((0, self.width), dtype=self.dtype)
        data = storage.xb.data() if self.dtype == np.uint8 else storage.get_xb()
        return load_faiss().rev_swig_ptr(data, size).reshape(-1, self.width)

    def downcast(self, index: Any) -> Any:
        """Return a part of a FAISS index as an instance of its own class."""
        faiss = load_faiss()
        return (faiss.downcast_IndexBinary if self.dtype == np.uint8 else faiss.downcast_index)(index)

    def _storage(self) -> Any:
        """Return the flat FAISS index that holds the vectors of "flat" and "hnsw"."""
        return self.faiss_index if self.options.kind == "flat" else self.downcast(self.faiss_index.storage)

    def remove(self, indices: np.ndarray) -> None:
        """Remove the samples with these indices; the indices of later samples decrease."""
        kept = np.setdiff1d(np.arange(len(self)), indices)
        if self.options.kind == "hnsw":  # FAISS cannot remove nodes of a graph.
            vectors, index = self.vectors()[kept], self.empty()
            if len(kept):
                index.add(vectors)
            self.faiss_index = index
            return
        self.faiss_index.remove_ids(np.asarray(indices, dtype=np.int64))
        if self.options.has_lists:  # Close the gaps in the indices that lists store.
            for _, stored in self.lists():
                stored[:] = np.searchsorted(kept, stored)

    def lists(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the number of each non-empty inverted list and its indices, without a copy."""
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
