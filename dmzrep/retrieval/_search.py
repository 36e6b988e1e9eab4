"""Searches in a stored index: checks of the request, the search itself, and its results as graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from dmzrep._base._validation import check_choice, is_finite, is_int, short_repr
from dmzrep.retrieval._hamming import expected_hamming
from dmzrep.retrieval._index_base import StoredIndex
from dmzrep.retrieval._samples import SampleFormat

MODES = ("connectivity", "distance")
#: Relative error of a vector rounded to float32.
_ROUNDING = 2.0**-24
_EMPTY = "The index is empty: all its samples were removed. Add samples first."


def check_count(k: Any, n_samples: int, self_search: bool, filtered: bool) -> int:
    """Return a number of neighbours; raise unless the index has so many.

    Parameters
    ----------
    k : int
        Neighbours of each query.
    n_samples : int
        Samples to search.
    self_search : bool
        Whether each query is one of the samples, which does not count.
    filtered : bool
        Whether the samples are those of `among`.
    """
    if not is_int(k):
        raise TypeError(f"n_neighbors must be an integer, got {short_repr(k)}.")
    if not n_samples:
        raise ValueError("among is empty; pass at least one id." if filtered else _EMPTY)
    most = n_samples - self_search
    if not 1 <= int(k) <= most:
        where = "samples in among" if filtered else "samples in the index"
        itself = ", less the query itself" if self_search else ""
        raise ValueError(f"n_neighbors must be from 1 to {most}, the number of {where}{itself}, got {k}.")
    return int(k)


def check_radius(radius: Any, metric: str, n_samples: int) -> float:
    """Return a radius as a float; raise unless the index can be searched within it."""
    if not is_finite(radius) or radius < 0:
        raise ValueError(f"radius must be a finite number of at least 0, got {short_repr(radius)}.")
    if metric == "asymmetric":
        raise ValueError(
            "metric='asymmetric' ranks a shortlist only and has no radius search; use kneighbors, "
            "or metric='hamming'."
        )
    if not n_samples:
        raise ValueError(_EMPTY)
    return float(radius)


def nearest(
    index: StoredIndex,
    samples: SampleFormat,
    queries: np.ndarray,
    k: int,
    *,
    among: np.ndarray | None,
    shortlist: int,
    exclude_self: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k nearest samples, the nearest first.

    Parameters
    ----------
    index : StoredIndex
        Where to search.
    samples : SampleFormat
        How its samples are stored.
    queries : ndarray of shape (n_queries, n)
        Checked: as stored, or probabilities under "asymmetric".
    k : int
        At most the number of samples.
    among : ndarray of int64 or None
        Indices of the only samples to search.
    shortlist : int
        Candidates by Hamming distance that "asymmetric" ranks.
    exclude_self : bool
        Whether query i is sample i and does not find itself.

    Returns
    -------
    distances : ndarray of shape (n_queries, k), float64
    indices : ndarray of shape (n_queries, k), int64
    """
    k += exclude_self
    uncertain = samples.metric == "asymmetric" and queries.dtype != np.uint8
    n_samples = len(index) if among is None else len(among)
    wanted = min(max(k, shortlist), n_samples) if uncertain else k
    if among is None:
        distances, indices = index.search(samples.stored(queries), wanted)
    else:
        distances, indices = index.search_among(among, samples.stored(queries), wanted)
    if uncertain:
        expected = expected_hamming(index.vectors()[indices], queries)
        order = np.argsort(expected, axis=1, kind="stable")[:, :k]
        distances, indices = (np.take_along_axis(a, order, axis=1) for a in (expected, indices))
    distances = distances.astype(np.float64)
    if exclude_self:
        itself = indices == np.arange(len(indices))[:, None]
        itself[~itself.any(axis=1), -1] = True  # Ties have left it out.
        shape = (len(indices), k - 1)
        return distances[~itself].reshape(shape), indices[~itself].reshape(shape)
    return distances, indices


def within(
    index: StoredIndex, queries: np.ndarray, radius: float, *, exact: bool, exclude_self: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find all samples within a distance.

    Parameters
    ----------
    index : StoredIndex
        Where to search.
    queries : ndarray of shape (n_queries, n)
        As stored.
    radius : float
        Largest distance.
    exact : bool
        Whether neither queries nor samples were rounded to float32.
    exclude_self : bool
        Whether query i is sample i and does not find itself.

    Returns
    -------
    limits : ndarray of shape (n_queries + 1,), int64
        Neighbours of query i stand at ``limits[i]`` to ``limits[i + 1]``.
    distances : ndarray of shape (limits[-1],), float64
    indices : ndarray of shape (limits[-1],), int64
        The nearest first.
    """
    limits, distances, indices = index.within(queries, radius, 0.0 if exact else _ROUNDING)
    owners = np.repeat(np.arange(len(queries)), np.diff(limits))
    if exclude_self:
        other = indices != owners
        owners, distances, indices = owners[other], distances[other], indices[other]
        limits = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(queries)))])
    order = np.lexsort((indices, distances, owners))
    return limits, distances[order].astype(np.float64), indices[order]


def check_mode(mode: str) -> None:
    """Raise unless `mode` is one of a graph's."""
    check_choice("mode", mode, MODES)


def graph(
    limits: np.ndarray, distances: np.ndarray, indices: np.ndarray, n_samples: int, mode: str
) -> csr_matrix:
    """Return neighbours as a sparse matrix of distances or ones; a distance of 0 is a stored entry."""
    values = distances if mode == "distance" else np.ones(len(indices))
    return csr_matrix((values, indices, limits), shape=(len(limits) - 1, n_samples))


def ragged(limits: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return an array of arrays, one for each query."""
    result = np.empty(len(limits) - 1, dtype=object)
    for i in range(len(result)):
        result[i] = values[limits[i] : limits[i + 1]]
    return result
