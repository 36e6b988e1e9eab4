"""A fitted `ImageRetriever` as nested state, and back."""

from __future__ import annotations

import os
from typing import Any

import pandas as pd

from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.estimator._state import fitted_state, restore_fitted
from dmzrep.files._state import require, restoring, take
from dmzrep.retrieval._filters import check_metadata
from dmzrep.retrieval._index_file import neighbors_state, restore_neighbors
from dmzrep.retrieval._neighbors import FaissNeighbors

#: What files say that they hold.
KIND = "ImageRetriever"


def retriever_state(retriever: Any) -> dict[str, Any]:
    """Return a fitted `ImageRetriever` as nested state, with its encoder if that is a `DMZEncoder`."""
    encoder = retriever.encoder
    return {
        "neighbors": neighbors_state(retriever.neighbors_),
        "metadata": retriever.metadata_,
        "encoder": fitted_state(encoder) if isinstance(encoder, DMZEncoder) else None,
    }


def restore_retriever(make: Any, state: dict[str, Any], encoder: Any, source: str | os.PathLike) -> Any:
    """Return the fitted retriever of which `retriever_state` made the state, after checking all of it.

    Parameters
    ----------
    make : callable
        The retriever's class.
    state : dict
        From `retriever_state`, by way of a file.
    encoder : object with `transform` or None
        None takes the one in the state.
    source : path-like
        The file, for errors.

    Raises
    ------
    PersistenceError
        Something is missing, is not what it should be, or does not go together.
    ValueError
        There is no encoder.
    """
    with restoring(source, KIND):
        neighbors_values, metadata, encoder_values = take(state, "neighbors", "metadata", "encoder")
        neighbors = restore_neighbors(FaissNeighbors, neighbors_values, source)
        if metadata is not None:
            require(isinstance(metadata, pd.DataFrame), "metadata must be a table")
            metadata = check_metadata(metadata, neighbors.n_samples_fit_)
    if encoder is None:
        if encoder_values is None:
            raise ValueError(f"{source} holds no encoder, as only a DMZEncoder is saved; pass encoder=.")
        encoder = restore_fitted(DMZEncoder, encoder_values, "auto", source)
    retriever = make(encoder, neighbors)
    retriever.neighbors_, retriever.metadata_ = neighbors, metadata
    return retriever
