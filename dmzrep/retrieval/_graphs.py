"""Neighbours as sparse matrices and as arrays of arrays."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from dmzrep._base._validation import check_choice

MODES = ("connectivity", "distance")


def check_mode(mode: str) -> None:
    """Raise unless `mode` is one of a graph's."""
    check_choice("mode", mode, MODES)


def graph(limits: np.ndarray, distances: np.ndarray, rows: np.ndarray, n_rows: int, mode: str) -> csr_matrix:
    """Give a sparse matrix with a line for each query and a column for each row of the index.

    Parameters
    ----------
    limits : ndarray of shape (n_queries + 1,)
        Where each query's neighbours begin and end.
    distances, rows : ndarray of shape (limits[-1],)
        Neighbours of all queries, one after another. A distance of 0 is kept as an entry.
    n_rows : int
        Columns.
    mode : {"connectivity", "distance"}
        Ones, or distances.
    """
    values = distances if mode == "distance" else np.ones(len(rows))
    return csr_matrix((values, rows, limits), shape=(len(limits) - 1, n_rows))


def ragged(limits: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Give an array that holds an array for each query."""
    result = np.empty(len(limits) - 1, dtype=object)
    for i in range(len(result)):
        result[i] = values[limits[i] : limits[i + 1]]
    return result
