"""Queries of a fitted index, with the methods of scikit-learn's neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._validation import check_bool
from dmzrep.retrieval._faiss import faiss_threads
from dmzrep.retrieval._samples import check_query
from dmzrep.retrieval._search import check_count, check_mode, check_radius, graph, nearest, ragged, within


class QueriesMixin:
    """`kneighbors`, `radius_neighbors` and their graphs, for `FaissNeighbors`."""

    # Of FaissNeighbors.
    n_neighbors: Any
    radius: Any
    mode: Any
    n_probes: Any
    ef_search: Any
    shortlist: Any
    n_jobs: Any
    index_: Any
    n_samples_fit_: Any
    _samples: Any
    _ids: Any
    _validate_params: Any

    def kneighbors(
        self,
        X: Any = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,
        *,
        among: Any = None,
    ) -> Any:
        """Find the nearest samples of each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or None, default=None
            Queries. None takes the samples of the index, each without itself as a neighbour.
        n_neighbors : int or None, default=None
            Number of neighbours; None takes the parameter.
        return_distance : bool, default=True
            Whether to return distances too.
        among : array-like of int64 or None, default=None
            Ids of the only samples to search, exhaustively, whatever the index.

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors), float64
            In ascending order. Only with `return_distance`.
        ids : ndarray of shape (n_queries, n_neighbors), int64

        Raises
        ------
        ValueError
            Fewer samples than neighbours, queries of another kind or width, unknown ids.
        """
        distances, indices = self._nearest(X, n_neighbors, among)
        ids = self._ids.at(indices)
        return (distances, ids) if check_bool(return_distance, "return_distance") else ids

    def radius_neighbors(
        self,
        X: Any = None,
        radius: float | None = None,
        return_distance: bool = True,
        sort_results: bool = True,
    ) -> Any:
        """Find all samples within a distance of each query, that distance included.

        Exact for indexes "flat" and "hnsw"; "ivf" and "pq" search the probed clusters. Vectors that float32
        cannot represent are rounded; a distance within this rounding of the radius is included. Not for
        metric "asymmetric".

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or None, default=None
            Queries. None takes the samples of the index, each without itself as a neighbour.
        radius : float or None, default=None
            Largest distance; for "hamming" in bits. None takes the parameter.
        return_distance : bool, default=True
            Whether to return distances too.
        sort_results : bool, default=True
            For compatibility with scikit-learn; results are always sorted by distance.

        Returns
        -------
        distances : ndarray of shape (n_queries,) of float64 arrays
            Only with `return_distance`.
        ids : ndarray of shape (n_queries,) of int64 arrays
        """
        limits, distances, indices = self._within(X, radius)
        ids = ragged(limits, self._ids.at(indices))
        return (ragged(limits, distances), ids) if check_bool(return_distance, "return_distance") else ids

    def kneighbors_graph(
        self, X: Any = None, n_neighbors: int | None = None, mode: str = "connectivity"
    ) -> Any:
        """Return the nearest samples as a sparse matrix.

        Parameters
        ----------
        X, n_neighbors
            As in `kneighbors`.
        mode : {"connectivity", "distance"}, default="connectivity"
            Ones, or distances.

        Returns
        -------
        csr_matrix of shape (n_queries, n_samples_fit_), float64
            Columns are in the order of `ids_`.
        """
        check_mode(mode)
        distances, indices = self._nearest(X, n_neighbors)
        limits = np.arange(len(indices) + 1) * indices.shape[1]
        return graph(limits, distances.ravel(), indices.ravel(), self.n_samples_fit_, mode)

    def radius_neighbors_graph(
        self,
        X: Any = None,
        radius: float | None = None,
        mode: str = "connectivity",
        sort_results: bool = True,
    ) -> Any:
        """Return all samples within a distance as a sparse matrix; see `radius_neighbors`."""
        check_mode(mode)
        return graph(*self._within(X, radius), self.n_samples_fit_, mode)

    def transform(self, X: Any) -> csr_matrix:
        """Return the graph of neighbours, for estimators with ``metric="precomputed"``.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries; training samples are their own first neighbours.

        Returns
        -------
        csr_matrix of shape (n_queries, n_samples_fit_), float64
        """
        check_is_fitted(self)
        extra = self.mode == "distance"
        return self.kneighbors_graph(X, self.n_neighbors + extra, self.mode)

    def _nearest(self, X: Any, n_neighbors: Any, among: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return distances and indices."""
        check_is_fitted(self)
        self._validate_params()
        if among is not None and X is None:
            raise ValueError("among needs queries; pass X, such as the samples with these ids.")
        indices = None if among is None else np.unique(self._ids.indices(among, "among"))
        k = check_count(
            self.n_neighbors if n_neighbors is None else n_neighbors,
            self.n_samples_fit_ if indices is None else len(indices),
            self_search=X is None,
            filtered=among is not None,
        )
        queries = self.index_.vectors() if X is None else check_query(self, X)[0]
        options = {"among": indices, "shortlist": self.shortlist, "exclude_self": X is None}
        with faiss_threads(self.n_jobs):
            self.index_.tune(self.n_probes, self.ef_search)
            return nearest(self.index_, self._samples, queries, k, **options)

    def _within(self, X: Any, radius: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return limits, distances and indices, sorted within each query."""
        check_is_fitted(self)
        self._validate_params()
        samples = self._samples
        radius = check_radius(self.radius if radius is None else radius, samples.metric, len(self.index_))
        queries, exact = (self.index_.vectors(), True) if X is None else check_query(self, X)
        with faiss_threads(self.n_jobs):
            self.index_.tune(self.n_probes, self.ef_search)
            return within(
                self.index_,
                samples.stored(queries),
                radius,
                exact=exact and samples.exact,
                exclude_self=X is None,
            )
