"""Searches in a stored index, with the checks of what is asked for."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from dmzrep._base._validation import check_number, short_repr
from dmzrep.retrieval._asymmetric import expected_hamming
from dmzrep.retrieval._stored_index import StoredIndex
from dmzrep.retrieval._vectors import IndexedRows

_EMPTY = "The index is empty: all its rows were removed. Add rows first."


def check_count(k: Any, n_rows: int, self_search: bool, filtered: bool) -> int:
    """Give a number of neighbours; raise unless there are so many rows to be found.

    Parameters
    ----------
    k : int
        Neighbours of each query.
    n_rows : int
        Rows to search.
    self_search : bool
        Whether each query is one of the rows and does not count.
    filtered : bool
        Whether the rows are those that `among` names.
    """
    if isinstance(k, bool) or not isinstance(k, Integral):
        raise TypeError(f"n_neighbors must be an integer, got {short_repr(k)}.")
    if not n_rows:
        raise ValueError("among names no rows; give at least one id." if filtered else _EMPTY)
    most = n_rows - self_search
    if not 1 <= int(k) <= most:
        where = "rows in among" if filtered else "rows in the index"
        itself = ", less the query itself" if self_search else ""
        raise ValueError(f"n_neighbors must be from 1 to {most}, the number of {where}{itself}, got {k}.")
    return int(k)


def check_radius(radius: Any, metric: str, n_rows: int) -> float:
    """Give a radius as a float; raise unless rows can be searched within it."""
    radius = check_number(radius, "radius", 0, closed="left")
    if metric == "asymmetric":
        raise ValueError(
            "metric='asymmetric' measures a shortlist only and has no radius search; use kneighbors, "
            "or metric='hamming'."
        )
    if not n_rows:
        raise ValueError(_EMPTY)
    return float(radius)


def nearest(
    index: StoredIndex,
    rows: IndexedRows,
    queries: np.ndarray,
    k: int,
    subset: np.ndarray | None,
    shortlist: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k nearest rows, the nearest first.

    Parameters
    ----------
    index : StoredIndex
        Where to search.
    rows : IndexedRows
        How its rows are stored.
    queries : ndarray of shape (n_queries, n)
        Checked: stored rows, or probabilities under "asymmetric".
    k : int
        Not more than there are rows.
    subset : ndarray of int64 or None
        Numbers of the only rows to look at.
    shortlist : int
        Candidates by Hamming distance that "asymmetric" measures.

    Returns
    -------
    distances : ndarray of shape (n_queries, k), float64
    found : ndarray of shape (n_queries, k), int64
        Row numbers.
    """
    uncertain = rows.metric == "asymmetric" and queries.dtype != np.uint8
    n_rows = len(index) if subset is None else len(subset)
    wanted = min(max(k, shortlist), n_rows) if uncertain else k
    if subset is None:
        distances, found = index.search(rows.stored(queries), wanted)
    else:
        distances, found = index.search_rows(subset, rows.stored(queries), wanted)
    if uncertain:
        expected = expected_hamming(index.vectors()[found], queries)
        order = np.argsort(expected, axis=1, kind="stable")[:, :k]
        distances, found = (np.take_along_axis(a, order, axis=1) for a in (expected, found))
    return distances.astype(np.float64), found


def within(
    index: StoredIndex, queries: np.ndarray, radius: float, *, exclude_self: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find all rows within a distance.

    Parameters
    ----------
    index : StoredIndex
        Where to search.
    queries : ndarray of shape (n_queries, n)
        As the index stores rows.
    radius : float
        Largest distance.
    exclude_self : bool
        Whether query i is row i and does not find itself.

    Returns
    -------
    limits : ndarray of shape (n_queries + 1,), int64
        Where each query's rows begin and end.
    distances : ndarray of shape (limits[-1],), float64
    found : ndarray of shape (limits[-1],), int64
        Row numbers, the nearest first.
    """
    limits, distances, found = index.within(queries, radius)
    owners = np.repeat(np.arange(len(queries)), np.diff(limits))
    if exclude_self:
        other = found != owners
        owners, distances, found = owners[other], distances[other], found[other]
        limits = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(queries)))])
    order = np.lexsort((found, distances, owners))
    return limits, distances[order].astype(np.float64), found[order]


def without_self(distances: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop query i's own row i from its neighbours, or the last where ties have left it out."""
    itself = found == np.arange(len(found))[:, None]
    itself[~itself.any(axis=1), -1] = True
    shape = (len(found), found.shape[1] - 1)
    return distances[~itself].reshape(shape), found[~itself].reshape(shape)
