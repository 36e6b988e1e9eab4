"""Queries of a fitted index, with the methods of scikit-learn's neighbours."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._validation import check_bool, check_choice, check_number, is_int, short_repr
from dmzrep.retrieval._faiss import faiss_threads
from dmzrep.retrieval._hamming import expected_hamming
from dmzrep.retrieval._recall import check_settings, recall_table, reference_and_queries
from dmzrep.retrieval._rescoring import check_vectors
from dmzrep.retrieval._samples import check_query

MODES = ("connectivity", "distance")
#: Relative error of a vector rounded to float32.
_ROUNDING = 2.0**-24
_EMPTY = "The index is empty: all its samples were removed. Add samples first."


class QueriesMixin:
    """`kneighbors`, `radius_neighbors` and their graphs, for `FaissNeighbors`."""

    def kneighbors(
        self: Any,
        X: Any = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,
        *,
        among: Any = None,
        vectors: Any = None,
    ) -> Any:
        """Find the nearest samples of each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or None, default=None
            Queries. None uses the samples of the index, each without itself as a neighbour.
        n_neighbors : int or None, default=None
            Number of neighbours; None uses the parameter.
        return_distance : bool, default=True
            Whether to return distances too.
        among : array-like of int64 or None, default=None
            Ids of the samples to search, exhaustively for any index; None searches all.
        vectors : array-like of shape (n_queries, n_vector_features) or None, default=None
            Vectors of the queries, for rescoring: of the same kind and scale as those passed to `fit`. None
            is X itself for the metrics "l2" and "cosine".

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors), float64
            In ascending order. Only with `return_distance`.
        ids : ndarray of shape (n_queries, n_neighbors), int64
            Ids of the neighbours.

        Raises
        ------
        ValueError
            Fewer samples than neighbours, queries of another kind or width, unknown ids, missing vectors.
        """
        distances, indices = self._nearest(X, n_neighbors, among, vectors)
        ids = self._ids.at(indices)
        return (distances, ids) if check_bool(return_distance, "return_distance") else ids

    def radius_neighbors(
        self: Any,
        X: Any = None,
        radius: float | None = None,
        return_distance: bool = True,
        sort_results: bool = True,
    ) -> Any:
        """Find all samples within a distance of each query, inclusive.

        Exact for indexes "flat" and "hnsw"; "ivf" and "pq" search the probed clusters. Vectors are rounded
        to float32; a distance that exceeds the radius by no more than this rounding is included. Distances
        are those of `metric`, without rescoring. Not for metric "asymmetric".

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or None, default=None
            Queries. None uses the samples of the index, each without itself as a neighbour.
        radius : float or None, default=None
            Largest distance; for "hamming" in bits. None uses the parameter.
        return_distance : bool, default=True
            Whether to return distances too.
        sort_results : bool, default=True
            For compatibility with scikit-learn; results are always sorted by distance.

        Returns
        -------
        distances : ndarray of shape (n_queries,) of float64 arrays
            In ascending order. Only with `return_distance`.
        ids : ndarray of shape (n_queries,) of int64 arrays
            Ids of the neighbours.
        """
        limits, distances, indices = self._within(X, radius)
        ids = _ragged(limits, self._ids.at(indices))
        return (_ragged(limits, distances), ids) if check_bool(return_distance, "return_distance") else ids

    def kneighbors_graph(
        self,
        X: Any = None,
        n_neighbors: int | None = None,
        mode: str = "connectivity",
        *,
        vectors: Any = None,
    ) -> Any:
        """Return the nearest samples as a sparse matrix.

        Parameters
        ----------
        X, n_neighbors
            As in `kneighbors`.
        mode : {"connectivity", "distance"}, default="connectivity"
            Ones, or distances.
        vectors
            As in `kneighbors`.

        Returns
        -------
        csr_matrix of shape ``(n_queries, n_samples_fit_)``, float64
            Columns are in the order of `ids_`.
        """
        check_choice("mode", mode, MODES)
        distances, indices = self._nearest(X, n_neighbors, vectors=vectors)
        limits = np.arange(len(indices) + 1) * indices.shape[1]
        return self._graph(limits, distances.ravel(), indices.ravel(), mode)

    def radius_neighbors_graph(
        self: Any,
        X: Any = None,
        radius: float | None = None,
        mode: str = "connectivity",
        sort_results: bool = True,
    ) -> Any:
        """Return all samples within a distance as a sparse matrix.

        Parameters
        ----------
        X, radius
            As in `radius_neighbors`.
        mode : {"connectivity", "distance"}, default="connectivity"
            Ones, or distances.
        sort_results : bool, default=True
            Ignored, for compatibility with scikit-learn; rows are sorted by distance.

        Returns
        -------
        csr_matrix of shape ``(n_queries, n_samples_fit_)``, float64
            Columns are in the order of `ids_`.
        """
        check_choice("mode", mode, MODES)
        return self._graph(*self._within(X, radius), mode)

    def transform(self: Any, X: Any) -> csr_matrix:
        """Return the graph of neighbours, for estimators with ``metric="precomputed"``.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries; training samples are their own nearest neighbours.

        Returns
        -------
        csr_matrix of shape ``(n_queries, n_samples_fit_)``, float64
            Distances, or ones.
        """
        check_is_fitted(self)
        return self.kneighbors_graph(X, self.n_neighbors + (self.mode == "distance"), self.mode)

    def fit_transform(
        self: Any, X: Any, y: Any = None, *, ids: Any = None, vectors: Any = None
    ) -> csr_matrix:
        """Build the index and return the graph of neighbours of its samples.

        Each sample is its own first neighbour, at distance 0, even if a sample has more duplicates than
        `n_neighbors`.

        Parameters
        ----------
        X, y, ids, vectors
            As in `fit`.

        Returns
        -------
        csr_matrix of shape (n, n), float64
            Distances, or ones.
        """
        self.fit(X, ids=ids, vectors=vectors)
        k = self.n_neighbors + (self.mode == "distance")
        distances, indices = self._nearest(X, k, vectors=vectors)
        shape = (len(indices), k - 1)
        own = np.arange(len(indices))[:, None]
        others = _others(indices)
        indices = np.hstack([own, indices[others].reshape(shape)])
        distances = np.hstack([np.zeros(own.shape), distances[others].reshape(shape)])
        return self._graph(np.arange(len(own) + 1) * k, distances.ravel(), indices.ravel(), self.mode)

    def recall(
        self: Any,
        X: Any,
        *,
        vectors: Any = None,
        reference: Any = None,
        metric: str | None = None,
        k: int | Sequence[int] = (10, 100),
        oversample: Sequence[float] = (1, 2, 4, 8, 16),
        wanted: float = 0.95,
    ) -> pd.DataFrame:
        """Measure how many of the exact nearest neighbours by float vectors are found.

        With ``oversample=1`` these are the neighbours by the index alone, otherwise those after rescoring
        `oversample` times as many candidates: by the stored vectors, or else by the reference.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries that are not in the index; 1,000 queries give about two significant digits.
        vectors : array-like of shape (n_queries, n_vector_features) or None, default=None
            Vectors of the queries; None is X itself for the metrics "l2" and "cosine".
        reference : array-like of shape ``(n_samples_fit_, n_vector_features)`` or None, default=None
            Vectors of the samples, in the order of `ids_`; None is those for rescoring, or the samples of
            the metrics "l2" and "cosine".
        metric : {"l2", "cosine"} or None, default=None
            Distance of the exact search. None is `rescore`, or else the metric of the index, or else
            "cosine".
        k : int or sequence of int, default=(10, 100)
            Numbers of neighbours.
        oversample : sequence of float, default=(1, 2, 4, 8, 16)
            Numbers of candidates, as multiples of k.
        wanted : float, default=0.95
            Recall to reach.

        Returns
        -------
        DataFrame
            With columns k, oversample, candidates, recall (mean fraction of the k nearest that are found) and
            enough (whether it is at least `wanted`). ``attrs["oversample"]`` is the smallest sufficient
            oversample of each k, or None.
        """
        check_is_fitted(self)
        self._validate_params()
        settings = check_settings(k, oversample, wanted, self.n_samples_fit_)
        queries = check_query(self, X)[0]
        chosen_metric, stored, asked = reference_and_queries(self, X, queries, vectors, reference, metric)
        rescored = self._vectors is not None and reference is not None
        if rescored:
            self._vectors.require_parts()

        def found(k: int, n_candidates: int) -> np.ndarray:
            with faiss_threads(self.n_jobs):
                indices = self._candidates(queries, n_candidates)[1]
            return self._vectors.nearest(indices, asked, k, chosen_metric)[1] if rescored else indices

        with faiss_threads(self.n_jobs):
            return recall_table(stored, asked, chosen_metric, found, *settings)

    def _graph(
        self: Any, limits: np.ndarray, distances: np.ndarray, indices: np.ndarray, mode: str
    ) -> csr_matrix:
        """Return neighbours as a sparse matrix; a distance of 0 is a stored entry."""
        values = distances if mode == "distance" else np.ones(len(indices))
        return csr_matrix((values, indices, limits), shape=(len(limits) - 1, self.n_samples_fit_))

    def _nearest(
        self: Any, X: Any, n_neighbors: Any, among: Any = None, vectors: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return distances and indices of the nearest samples."""
        check_is_fitted(self)
        self._validate_params()
        if among is not None and X is None:
            raise ValueError("among needs queries; pass X, such as the samples with these ids.")
        chosen = None if among is None else np.unique(self._ids.indices(among, "among"))
        n_samples = self.n_samples_fit_ if chosen is None else len(chosen)
        exclude_self = X is None
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        _check_count(k, n_samples, exclude_self, filtered=among is not None)
        k = int(k) + exclude_self
        queries = self.index_.vectors() if X is None else check_query(self, X)[0]
        query_vectors = self._query_vectors(X, vectors, len(queries))
        n_candidates = k if self.rescore is None else min(math.ceil(self.oversample * k), n_samples)
        with faiss_threads(self.n_jobs):
            distances, indices = self._candidates(queries, n_candidates, chosen)
        if self.rescore is not None:
            distances, indices = self._vectors.nearest(indices, query_vectors, k, self.rescore)
        distances = distances.astype(np.float64)
        if exclude_self:
            others, shape = _others(indices), (len(indices), k - 1)
            return distances[others].reshape(shape), indices[others].reshape(shape)
        return distances, indices

    def _candidates(
        self: Any, queries: np.ndarray, k: int, chosen: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return distances and indices of the k nearest of the chosen samples, without rescoring."""
        bits = self._samples.stored(queries)
        uncertain = self._samples.metric == "asymmetric" and queries is not bits
        n_samples = self.n_samples_fit_ if chosen is None else len(chosen)
        n_candidates = min(max(k, self.shortlist), n_samples) if uncertain else k
        self.index_.tune(self.n_probes, self.ef_search)
        if chosen is None:
            distances, indices = self.index_.search(bits, n_candidates)
        else:
            distances, indices = self.index_.search_among(chosen, bits, n_candidates)
        if uncertain:
            distances = expected_hamming(self.index_.take(indices), queries)
            order = np.argsort(distances, axis=1, kind="stable")[:, :k]
            distances, indices = (np.take_along_axis(a, order, axis=1) for a in (distances, indices))
        return distances, indices

    def _query_vectors(self: Any, X: Any, vectors: Any, n_queries: int) -> np.ndarray | None:
        """Return the checked vectors of queries; None without rescoring, and for the samples themselves."""
        if self.rescore is None:
            if vectors is not None:
                raise ValueError("vectors are for rescoring; set rescore='cosine' or 'l2' and fit again.")
            return None
        if self._vectors is None:
            raise ValueError(
                f"rescore={self.rescore!r}, but the index was fitted with rescore=None and has no vectors. "
                "Fit again, with vectors."
            )
        self._vectors.require_parts()
        if X is None:
            if vectors is not None:
                raise ValueError("vectors must be None for X=None, whose vectors are stored.")
            return None
        if vectors is None and self._samples.binary:
            raise ValueError(
                f"rescore={self.rescore!r} needs the vectors of the queries: kneighbors(X, vectors=...) or "
                "kneighbors_graph(X, vectors=...). To search by codes alone, set rescore=None."
            )
        return check_vectors(
            X if vectors is None else vectors, n_queries, self.rescore, self._vectors.n_features
        )

    def _within(self: Any, X: Any, radius: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return limits, distances and indices of the samples within a radius, the nearest first.

        Neighbours of query i are those from ``limits[i]`` to ``limits[i + 1]``.
        """
        check_is_fitted(self)
        self._validate_params()
        samples = self._samples
        radius = check_number(self.radius if radius is None else radius, "radius", 0, closed="left")
        if samples.metric == "asymmetric":
            raise ValueError(
                "metric='asymmetric' ranks a shortlist only and has no radius search; use kneighbors, "
                "or metric='hamming'."
            )
        if not self.n_samples_fit_:
            raise ValueError(_EMPTY)
        queries, exact = (self.index_.vectors(), True) if X is None else check_query(self, X)
        rounding = 0.0 if exact and samples.exact else _ROUNDING
        with faiss_threads(self.n_jobs):
            self.index_.tune(self.n_probes, self.ef_search)
            limits, distances, indices = self.index_.within(samples.stored(queries), radius, rounding)
        query_indices = np.repeat(np.arange(len(queries)), np.diff(limits))
        if X is None:
            other = indices != query_indices
            query_indices, distances, indices = query_indices[other], distances[other], indices[other]
            limits = np.concatenate([[0], np.cumsum(np.bincount(query_indices, minlength=len(queries)))])
        order = np.lexsort((indices, distances, query_indices))
        return limits, distances[order].astype(np.float64), indices[order]


def _check_count(k: Any, n_samples: int, exclude_self: bool, filtered: bool) -> None:
    if not is_int(k):
        raise TypeError(f"n_neighbors must be an integer, got {short_repr(k)}.")
    if not n_samples:
        raise ValueError("among is empty; pass at least one id." if filtered else _EMPTY)
    most = n_samples - exclude_self
    if not 1 <= int(k) <= most:
        where = "samples in among" if filtered else "samples in the index"
        itself = ", excluding the query itself" if exclude_self else ""
        raise ValueError(f"n_neighbors must be from 1 to {most}, the number of {where}{itself}, got {k}.")


def _others(indices: np.ndarray) -> np.ndarray:
    """Mark all neighbours of each sample of the index but itself, or but the last."""
    itself = indices == np.arange(len(indices))[:, None]
    itself[~itself.any(axis=1), -1] = True  # Not among the neighbours because of ties.
    return ~itself


def _ragged(limits: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return an array of arrays, one for each query."""
    result = np.empty(len(limits) - 1, dtype=object)
    for i in range(len(result)):
        result[i] = values[limits[i] : limits[i + 1]]
    return result
