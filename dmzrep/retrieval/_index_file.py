"""Conversion of a fitted `FaissNeighbors` to nested state, and back."""

import os
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._validation import check_bool, is_int
from dmzrep.files._state import read_state, require, restoring, take, write_state
from dmzrep.retrieval._faiss import load_faiss
from dmzrep.retrieval._ids import SampleIds, check_ids
from dmzrep.retrieval._index_base import IndexOptions
from dmzrep.retrieval._index_state import index_state, restore_index
from dmzrep.retrieval._rescoring import VectorStore
from dmzrep.retrieval._samples import SampleFormat

#: Kind of the files.
KIND = "FaissNeighbors"


class PersistenceMixin:
    """`save` and `load` of `FaissNeighbors`."""

    def save(self: Any, path: str | os.PathLike) -> None:
        """Save the index in one file without pickle; an existing file is replaced atomically.

        Vectors for rescoring are not part of the file: keep them, and pass them to `load`.

        Parameters
        ----------
        path : path-like
            The file, by convention with the extension ``.safetensors``.
        """
        check_is_fitted(self)
        write_state(path, KIND, neighbors_state(self))

    @classmethod
    def load(cls, path: str | os.PathLike, *, vectors: Any = None, mmap: bool = False) -> Self:
        """Load an index from a file.

        Parameters
        ----------
        path : path-like
            Written by `save`.
        vectors : array-like or None, default=None
            Vectors for rescoring: all that were passed to `fit` and `add`, in that order, those of removed
            samples included.
        mmap : bool, default=False
            Whether codes or vectors stay in the file, as a memory map, for an index larger than the memory.
            Such an index is read-only.

        Returns
        -------
        FaissNeighbors
            Fitted.

        Raises
        ------
        PersistenceError
            The file is damaged, of another kind, or of an unknown version.
        ValueError
            The vectors are not those of the index; a sample of them is compared. ``mmap=True`` for
            ``index="hnsw"`` or ``"pq"``.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from dmzrep.retrieval import FaissNeighbors
        >>> X = np.random.default_rng(0).normal(size=(1000, 16))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "index.safetensors")
        ...     FaissNeighbors(metric="l2", index="ivf").fit(X).save(path)
        ...     neighbors = FaissNeighbors.load(path, mmap=True)
        ...     ids = neighbors.kneighbors(X[7:8], 1, return_distance=False)
        ...     del neighbors  # Closes the file.
        >>> ids.tolist()
        [[7]]
        """
        mapped = check_bool(mmap, "mmap")
        state = read_state(path, KIND, mapped=mapped)
        with restoring(path, KIND):
            kind = state["options"]["kind"]
        if mapped and kind in ("hnsw", "pq"):
            raise ValueError(f"mmap=True is for index='flat' and 'ivf', but {path} holds {kind!r}.")
        neighbors = restore_neighbors(cls, state, path, mapped)
        if vectors is not None:
            if neighbors._vectors is None:
                raise ValueError(f"vectors are for rescoring, but {path} was fitted with rescore=None.")
            neighbors._vectors = neighbors._vectors.attached(vectors)
        return neighbors


def neighbors_state(neighbors: Any) -> dict[str, Any]:
    """Return a fitted `FaissNeighbors` as nested state: parameters, ids and the content of the index."""
    samples, ids = neighbors._samples, neighbors._ids
    return {
        "params": neighbors.get_params(deep=False),
        "options": vars(neighbors.index_.options),
        "metric": samples.metric,
        "packed": samples.packed,
        "n_features": samples.n_features,
        "offset": samples.offset,
        "exact": samples.exact,
        "ids": ids.ids,
        "next_id": ids.next_id,
        "index": index_state(neighbors.index_),
        "feature_names_in": getattr(neighbors, "feature_names_in_", None),
        "vectors": None if neighbors._vectors is None else neighbors._vectors.state(),
    }


def restore_neighbors(
    make: Any, state: dict[str, Any], source: str | os.PathLike, mapped: bool = False
) -> Any:
    """Return the fitted estimator of class `make` from a state of `neighbors_state`, which is checked.

    `source` is the file named in a PersistenceError; vectors that are `mapped` are not copied.
    """
    load_faiss()
    with restoring(source, KIND):
        params, options, metric, packed, n_features, offset, exact, ids, next_id, content, names, vectors = (
            take(
                {"vectors": None, **state},  # Earlier files have none.
                *("params", "options", "metric", "packed", "n_features", "offset", "exact", "ids", "next_id"),
                *("index", "feature_names_in", "vectors"),
            )
        )
        neighbors = make(**params)
        neighbors._validate_params()
        options = IndexOptions(**options)
        # The parameters may have changed since the index was built with these.
        built = {name: value for name, value in vars(options).items() if name not in ("kind", "seed")}
        built |= {"index": options.kind, "metric": metric, "packed": packed, "random_state": options.seed}
        make(**built)._validate_params()
        require(is_int(n_features) and n_features > 0, "n_features must be a positive integer")
        require(not packed or metric == "hamming", "packed codes are for metric 'hamming'")
        require((offset is not None) == (metric == "l2"), "an offset is for metric 'l2'")
        if offset is not None:
            is_array = isinstance(offset, np.ndarray) and offset.dtype == np.float64
            require(is_array and offset.shape == (n_features,), "offset must have one value per feature")
            require(np.isfinite(offset).all(), "offset must be finite")
        require(isinstance(exact, bool), "exact must be a boolean")
        samples = SampleFormat(metric, n_features, packed, offset, exact)
        index = samples.new_index(options)
        restore_index(index, content, mapped)
        neighbors.index_, neighbors._samples = index, samples
        neighbors._ids = _ids(ids, len(index), next_id)
        neighbors._vectors = None if vectors is None else VectorStore.restored(vectors, len(index))
        neighbors.n_features_in_ = n_features
        if names is not None:
            text = isinstance(names, np.ndarray) and all(isinstance(name, str) for name in names)
            require(text and names.shape == (n_features,), "there must be one name per feature")
            neighbors.feature_names_in_ = names.astype(object)
    return neighbors


def _ids(ids: Any, n: int, next_id: Any) -> SampleIds:
    if ids is None:
        require(next_id == n, "the next id must be the number of samples")
        return SampleIds(None, n, next_id)
    require(isinstance(ids, np.ndarray) and ids.dtype == np.int64, "ids must be int64")
    require(next_id is None or (is_int(next_id) and next_id > ids.max(initial=-1)), "the next id is taken")
    return SampleIds(check_ids(ids, n), n, next_id)
