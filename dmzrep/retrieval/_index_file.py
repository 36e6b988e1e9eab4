"""A fitted `FaissNeighbors` as a file."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from dmzrep.errors import PersistenceError
from dmzrep.files._container import read_file, write_file
from dmzrep.retrieval._faiss import load_faiss
from dmzrep.retrieval._ids import SampleIds
from dmzrep.retrieval._index_base import IndexOptions
from dmzrep.retrieval._samples import SampleFormat

ESTIMATOR = "FaissNeighbors"


def write_index(neighbors: Any, path: str | os.PathLike) -> None:
    """Write a fitted estimator: parameters as JSON, ids and the FAISS index as arrays.

    Parameters
    ----------
    neighbors : FaissNeighbors
        Fitted.
    path : path-like
        The file.
    """
    samples, ids, options = neighbors._samples, neighbors._ids, neighbors.index_.options
    values = {
        "estimator": ESTIMATOR,
        "versions": {"faiss": load_faiss().__version__},
        "params": {name: _plain(value) for name, value in neighbors.get_params(deep=False).items()},
        "options": {name: _plain(value) for name, value in vars(options).items()},
        "samples": {name: getattr(samples, name) for name in ("metric", "n_features", "packed", "exact")},
        "n_samples": ids.n_samples,
        "next_id": ids.next_id,
    }
    if hasattr(neighbors, "feature_names_in_"):
        values["feature_names_in_"] = list(map(str, neighbors.feature_names_in_))
    arrays = {"index": neighbors.index_.serialize()}
    if ids.ids is not None:
        arrays["ids"] = ids.ids
    if samples.offset is not None:
        arrays["offset"] = samples.offset
    write_file(path, values, arrays)


def read_index(make: Any, path: str | os.PathLike) -> Any:
    """Read what `write_index` wrote.

    Parameters
    ----------
    make : callable
        The estimator's class.
    path : path-like
        The file.

    Raises
    ------
    PersistenceError
        The file is foreign, damaged, or holds something else.
    """
    values, arrays = read_file(path)
    if values.get("estimator") != ESTIMATOR:
        raise PersistenceError(f"{path} holds a {values.get('estimator')}, not a {ESTIMATOR}.")
    try:
        neighbors = make(**values["params"])
        samples = SampleFormat(**values["samples"], offset=arrays.get("offset"))
        index = samples.new_index(IndexOptions(**values["options"]))
        index.deserialize(np.ascontiguousarray(arrays["index"]))
        ids = SampleIds(arrays.get("ids"), values["n_samples"], values["next_id"])
        if len(index) != ids.n_samples or (ids.ids is not None and len(ids.ids) != ids.n_samples):
            raise ValueError(f"{len(index)} samples in the index, {ids.n_samples} expected")
        neighbors.index_, neighbors._samples, neighbors._ids = index, samples, ids
        neighbors.n_features_in_ = samples.n_features
        if "feature_names_in_" in values:
            neighbors.feature_names_in_ = np.array(values["feature_names_in_"], dtype=object)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise PersistenceError(f"{path} does not hold a whole {ESTIMATOR}: {error!r}.") from error
    return neighbors


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
