"""FaissNeighbors: nearest neighbours with FAISS behind scikit-learn's interface."""

from __future__ import annotations

import os
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._validation import check_bool
from dmzrep.files._state import read_state, write_state
from dmzrep.retrieval._faiss import faiss_threads
from dmzrep.retrieval._graphs import check_mode, graph, ragged
from dmzrep.retrieval._ids import RowIds
from dmzrep.retrieval._index_file import KIND, neighbors_state, restore_neighbors
from dmzrep.retrieval._searching import check_count, check_radius, nearest, within, without_self
from dmzrep.retrieval._stored_index import INDEXES, IndexOptions, StoredIndex
from dmzrep.retrieval._vectors import METRICS, IndexedRows, check_query, check_training

_COUNT = Interval(Integral, 1, None, closed="left")
#: FAISS counts what it keeps while it walks a graph in 32 bits.
_GRAPH_COUNT = Interval(Integral, 1, 2**31 - 1, closed="both")


class FaissNeighbors(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Nearest neighbours among codes with FAISS, exact or approximate.

    Takes the place of scikit-learn's `NearestNeighbors` and `KNeighborsTransformer`. Two things
    differ: Hamming distances are whole numbers of differing bits, where scikit-learn's are shares of
    the bits (divide by `n_features_in_`), and neighbours are named by `ids_`, which are row numbers
    unless ids are given or rows removed.

    Parameters
    ----------
    n_neighbors : int, default=5
        Neighbours that `kneighbors` looks for.
    radius : float, default=1.0
        Largest distance in `radius_neighbors`.
    metric : {"hamming", "asymmetric", "l2", "cosine"}, default="hamming"
        Distance. ``"hamming"`` takes zeros and ones, or packed codes. ``"asymmetric"`` keeps the bits
        of codes (probability above 0.5) and takes probabilities as queries: of the `shortlist` nearest
        by Hamming distance, those with the smallest expected Hamming distance. ``"l2"`` and
        ``"cosine"`` take any vectors, kept in float32.
    index : {"flat", "hnsw", "ivf", "pq"}, default="flat"
        ``"flat"`` compares with every row and is exact. ``"hnsw"`` follows a graph, ``"ivf"`` looks
        into the nearest of `n_lists` clusters, ``"pq"`` (for "l2" and "cosine") does so with vectors
        kept in `pq_bytes` bytes; these are approximate.
    mode : {"distance", "connectivity"}, default="distance"
        Values of the graph that `transform` gives. As in scikit-learn's `KNeighborsTransformer`,
        ``"distance"`` has one neighbour more, as each training row is its own first.
    packed : bool, default=False
        Whether codes come packed by `numpy.packbits`, 8 bits a byte. For metric "hamming".
    n_lists : int or "auto", default="auto"
        Clusters of "ivf" and "pq"; ``"auto"`` is the square root of the number of rows.
    n_probes : int or "auto", default="auto"
        Clusters that a query looks into; ``"auto"`` is one in 32, but at least 16. May be set after
        fitting.
    n_links : int, default=32
        Links of a node of "hnsw".
    ef_construction : int, default=40
        Candidates kept while "hnsw" is built.
    ef_search : int, default=32
        Candidates kept while "hnsw" is searched. May be set after fitting.
    pq_bytes : int or "auto", default="auto"
        Bytes of a vector under "pq"; ``"auto"`` is one for 4 numbers.
    shortlist : int, default=100
        Candidates that "asymmetric" measures. May be set after fitting.
    random_state : int, default=0
        Seed of the clusters. Building a graph on several threads leaves its links to chance.
    n_jobs : int or None, default=None
        Threads of FAISS; -1 is all processors. None leaves FAISS's own number, which is all of them
        unless ``OMP_NUM_THREADS`` says otherwise, and 1 on macOS, where the OpenMP runtimes of torch
        and FAISS do not bear each other.

    Attributes
    ----------
    index_ : StoredIndex
        The rows; `index_.faiss_index` is the FAISS index.
    n_samples_fit_ : int
        Rows in the index.
    n_features_in_ : int
        Bits of a code (bytes, when packed) or numbers of a vector.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names, if X was a table with names.

    Notes
    -----
    Queries from several threads at once are safe; `fit`, `add` and `remove` beside them are not.
    Which of several rows at the same distance make the cut at the k-th place is left open.

    References
    ----------
    M. Douze et al., "The Faiss library", 2024, arXiv 2401.08281.
    A. Gordo, F. Perronnin, Y. Gong, S. Lazebnik, "Asymmetric Distances for Binary Embeddings", 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.retrieval import FaissNeighbors
    >>> bits = np.array([[0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1]])
    >>> neighbors = FaissNeighbors(n_neighbors=2).fit(bits, ids=[10, 20, 30])
    >>> distances, ids = neighbors.kneighbors([[0, 1, 1, 1]])
    >>> distances.tolist(), ids.tolist()
    ([[1.0, 2.0]], [[30, 20]])
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_neighbors": [_COUNT],
        "radius": [Interval(Real, 0, None, closed="left")],
        "metric": [StrOptions(set(METRICS))],
        "index": [StrOptions(set(INDEXES))],
        "mode": [StrOptions({"distance", "connectivity"})],
        "packed": ["boolean"],
        "n_lists": [_COUNT, StrOptions({"auto"})],
        "n_probes": [_COUNT, StrOptions({"auto"})],
        "n_links": [Interval(Integral, 2, 512, closed="both")],
        "ef_construction": [_GRAPH_COUNT],
        "ef_search": [_GRAPH_COUNT],
        "pq_bytes": [_COUNT, StrOptions({"auto"})],
        "shortlist": [_COUNT],
        "random_state": [Interval(Integral, 0, 2**31 - 1, closed="both")],
        "n_jobs": [
            Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, 4096, closed="both"),
            None,
        ],
    }

    index_: StoredIndex
    n_features_in_: int
    _rows: IndexedRows
    _ids: RowIds

    def __init__(
        self,
        n_neighbors=5,
        *,
        radius=1.0,
        metric="hamming",
        index="flat",
        mode="distance",
        packed=False,
        n_lists="auto",
        n_probes="auto",
        n_links=32,
        ef_construction=40,
        ef_search=32,
        pq_bytes="auto",
        shortlist=100,
        random_state=0,
        n_jobs=None,
    ):
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.metric = metric
        self.index = index
        self.mode = mode
        self.packed = packed
        self.n_lists = n_lists
        self.n_probes = n_probes
        self.n_links = n_links
        self.ef_construction = ef_construction
        self.ef_search = ef_search
        self.pq_bytes = pq_bytes
        self.shortlist = shortlist
        self.random_state = random_state
        self.n_jobs = n_jobs

    @property
    def n_samples_fit_(self) -> int:
        """Rows in the index."""
        check_is_fitted(self)
        return self._ids.n_rows

    @property
    def ids_(self) -> np.ndarray:
        """Ids of the rows, in the order of the columns of graphs."""
        check_is_fitted(self)
        return self._ids.array()

    @property
    def effective_metric_(self) -> str:
        """The metric that the index was built for."""
        check_is_fitted(self)
        return self._rows.metric

    def rows_of(self, ids: Any) -> np.ndarray:
        """Give the places of ids in `ids_`.

        Parameters
        ----------
        ids : array-like of int64
            Ids that the index has.

        Returns
        -------
        ndarray of int64
        """
        check_is_fitted(self)
        return self._ids.rows(ids)

    @property
    def _n_features_out(self) -> int:
        return self.n_samples_fit_

    def fit(self, X: Any, y: Any = None, *, ids: Any = None) -> Self:
        """Build the index.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Codes or vectors, as `metric` takes them.
        y : None
            Not used.
        ids : array-like of shape (n,), int64, or None, default=None
            Your own names for the rows, none twice; None takes row numbers.

        Returns
        -------
        FaissNeighbors

        Raises
        ------
        ValueError
            Codes that the metric does not take, ids that are no whole numbers or come twice, too few
            rows for the index.
        """
        self._validate_params()
        stand_in = clone(self)  # It takes what scikit-learn sets, in case something is refused.
        rows, vectors = check_training(stand_in, X)
        row_ids = RowIds.of(ids, len(vectors))
        options = IndexOptions(
            self.index, self.n_lists, self.n_links, self.ef_construction, self.pq_bytes, self.random_state
        )
        index = rows.new_index(options)
        with faiss_threads(self.n_jobs):
            index.build(vectors)
        self.index_, self._rows, self._ids = index, rows, row_ids
        self.__dict__.pop("feature_names_in_", None)
        learned = ("n_features_in_", "feature_names_in_")
        self.__dict__.update({name: getattr(stand_in, name) for name in learned if hasattr(stand_in, name)})
        return self

    def add(self, X: Any, ids: Any = None) -> Self:
        """Add rows. Clusters and centroids stay those of the rows that were fitted.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            As in `fit`.
        ids : array-like of shape (n,), int64, or None, default=None
            Needed if `fit` was given ids; None goes on counting.

        Returns
        -------
        FaissNeighbors

        Raises
        ------
        ValueError
            Rows of another kind or width, ids that are taken. The index is then as it was.
        """
        check_is_fitted(self)
        vectors = self._rows.stored(check_query(self, X))
        row_ids = self._ids.extended(ids, len(vectors))
        with faiss_threads(self.n_jobs):
            self.index_.add(vectors)
        self._ids = row_ids
        return self

    def remove(self, ids: Any) -> Self:
        """Remove rows. An "hnsw" index is built again from those that are left.

        Parameters
        ----------
        ids : array-like of int64
            Ids of rows to remove.

        Returns
        -------
        FaissNeighbors

        Raises
        ------
        ValueError
            An id that the index does not have. The index is then as it was.
        """
        check_is_fitted(self)
        rows = np.unique(self._ids.rows(ids))
        if len(rows):
            with faiss_threads(self.n_jobs):
                self.index_.remove(rows)
            self._ids = self._ids.without(rows)
        return self

    def kneighbors(
        self,
        X: Any = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,
        *,
        among: Any = None,
    ) -> Any:
        """Find the nearest rows of each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or None, default=None
            Queries. None takes the rows of the index, each without itself as a neighbour.
        n_neighbors : int or None, default=None
            Neighbours of each; None takes the parameter.
        return_distance : bool, default=True
            Whether distances are given too.
        among : array-like of int64 or None, default=None
            Ids of the only rows to look at. These are all compared, whatever the index.

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors), float64
            The smallest first. Only with `return_distance`.
        ids : ndarray of shape (n_queries, n_neighbors), int64

        Raises
        ------
        ValueError
            Fewer rows than neighbours, queries of another kind or width, unknown ids.
        """
        distances, rows = self._nearest(X, n_neighbors, among)
        ids = rows if self._ids.ids is None else self._ids.ids[rows]
        return (distances, ids) if check_bool(return_distance, "return_distance") else ids

    def radius_neighbors(
        self,
        X: Any = None,
        radius: float | None = None,
        return_distance: bool = True,
        sort_results: bool = True,
    ) -> Any:
        """Find all rows within a distance of each query, that distance included.

        Exact for indexes "flat" and "hnsw"; "ivf" and "pq" see the clusters that they probe. Not for
        metric "asymmetric".

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features) or None, default=None
            Queries. None takes the rows of the index, each without itself as a neighbour.
        radius : float or None, default=None
            Largest distance; for "hamming" in bits. None takes the parameter.
        return_distance : bool, default=True
            Whether distances are given too.
        sort_results : bool, default=True
            For scikit-learn's signature; neighbours always come sorted, the nearest first.

        Returns
        -------
        distances : ndarray of shape (n_queries,) of float64 arrays
            Only with `return_distance`.
        ids : ndarray of shape (n_queries,) of int64 arrays
        """
        limits, distances, rows = self._within(X, radius)
        ids = ragged(limits, rows if self._ids.ids is None else self._ids.ids[rows])
        return (ragged(limits, distances), ids) if check_bool(return_distance, "return_distance") else ids

    def kneighbors_graph(
        self, X: Any = None, n_neighbors: int | None = None, mode: str = "connectivity"
    ) -> Any:
        """Give the nearest rows as a sparse matrix.

        Parameters
        ----------
        X, n_neighbors
            As in `kneighbors`.
        mode : {"connectivity", "distance"}, default="connectivity"
            Ones, or distances.

        Returns
        -------
        csr_matrix of shape (n_queries, n_samples_fit_), float64
            Columns are rows of the index, in the order of `ids_`.
        """
        check_mode(mode)
        distances, rows = self._nearest(X, n_neighbors)
        limits = np.arange(len(rows) + 1) * rows.shape[1]
        return graph(limits, distances.ravel(), rows.ravel(), self.n_samples_fit_, mode)

    def radius_neighbors_graph(
        self,
        X: Any = None,
        radius: float | None = None,
        mode: str = "connectivity",
        sort_results: bool = True,
    ) -> Any:
        """Give all rows within a distance as a sparse matrix; parameters as in the methods above.

        Returns
        -------
        csr_matrix of shape (n_queries, n_samples_fit_), float64
        """
        check_mode(mode)
        return graph(*self._within(X, radius), self.n_samples_fit_, mode)

    def transform(self, X: Any) -> csr_matrix:
        """Give the graph of neighbours, for estimators with ``metric="precomputed"``.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries; training rows are their own first neighbours.

        Returns
        -------
        csr_matrix of shape (n_queries, n_samples_fit_), float64
        """
        check_is_fitted(self)
        extra = self.mode == "distance"
        return self.kneighbors_graph(X, self.n_neighbors + extra, self.mode)

    def save(self, path: str | os.PathLike) -> None:
        """Write parameters, ids and the content of the index to one file; no pickle.

        Parameters
        ----------
        path : path-like
            The file; replaced only once the new one is complete.
        """
        check_is_fitted(self)
        write_state(path, KIND, neighbors_state(self))

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Read what `save` wrote.

        Parameters
        ----------
        path : path-like
            The file.

        Returns
        -------
        FaissNeighbors

        Raises
        ------
        PersistenceError
            The file is foreign, damaged, cut off or of an unknown version.
        FileNotFoundError
            There is no such file.
        """
        return restore_neighbors(cls, read_state(path, KIND), path)

    def _nearest(self, X: Any, n_neighbors: Any, among: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Give float distances and row numbers."""
        check_is_fitted(self)
        self._validate_params()
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        if among is not None and X is None:
            raise ValueError("among needs queries; give X, such as the rows with these ids.")
        subset = None if among is None else np.unique(self._ids.rows(among, "among"))
        k = check_count(
            k, self.n_samples_fit_ if subset is None else len(subset), X is None, among is not None
        )
        queries = self.index_.vectors() if X is None else check_query(self, X)
        with faiss_threads(self.n_jobs):
            self.index_.tune(self.n_probes, self.ef_search)
            found = nearest(self.index_, self._rows, queries, k + (X is None), subset, self.shortlist)
        return without_self(*found) if X is None else found

    def _within(self, X: Any, radius: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give limits, float distances and row numbers, sorted within each query."""
        check_is_fitted(self)
        self._validate_params()
        radius = check_radius(self.radius if radius is None else radius, self._rows.metric, len(self.index_))
        queries = self.index_.vectors() if X is None else self._rows.stored(check_query(self, X))
        with faiss_threads(self.n_jobs):
            self.index_.tune(self.n_probes, self.ef_search)
            return within(self.index_, queries, radius, exclude_self=X is None)
