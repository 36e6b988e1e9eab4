"""Nearest neighbours by FAISS, with scikit-learn's interface."""

from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._random import draw_seed
from dmzrep.retrieval._faiss import faiss_threads
from dmzrep.retrieval._ids import SampleIds
from dmzrep.retrieval._index_base import INDEXES, IndexOptions, StoredIndex
from dmzrep.retrieval._index_file import PersistenceMixin
from dmzrep.retrieval._queries import MODES, QueriesMixin
from dmzrep.retrieval._rescoring import RESCORE, VectorStore, check_correspondence, check_vectors
from dmzrep.retrieval._samples import METRICS, SampleFormat, check_query, check_training

_COUNT = Interval(Integral, 1, None, closed="left")
#: FAISS counts candidates of a graph search in 32 bits.
_GRAPH_COUNT = Interval(Integral, 1, 2**31 - 1, closed="both")


class FaissNeighbors(
    PersistenceMixin, QueriesMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Nearest neighbours among codes or vectors with FAISS, exact or approximate.

    A replacement for scikit-learn's `NearestNeighbors` and `KNeighborsTransformer`, with two differences:
    Hamming distances are numbers of differing bits, where scikit-learn's are fractions (divide by
    `n_features_in_`), and neighbours are returned as `ids_`, which are indices of samples unless ids are
    passed or samples removed.

    Parameters
    ----------
    n_neighbors : int, default=5
        Number of neighbours.
    radius : float, default=1.0
        Largest distance in `radius_neighbors`.
    metric : {"hamming", "asymmetric", "l2", "cosine"}, default="hamming"
        Distance. ``"hamming"`` takes zeros and ones, or packed codes. ``"asymmetric"`` stores bits
        (probability above 0.5), and queries are probabilities: the `shortlist` nearest samples by Hamming
        distance are ranked by expected Hamming distance. ``"l2"`` and ``"cosine"`` take any vectors,
        stored in float32.
    index : {"flat", "hnsw", "ivf", "pq"}, default="flat"
        ``"flat"`` is an exhaustive, exact search. ``"hnsw"`` follows a graph, ``"ivf"`` searches the nearest
        of `n_lists` clusters, ``"pq"`` (for "l2" and "cosine") does so with vectors compressed to `pq_bytes`
        bytes; these are approximate.
    mode : {"distance", "connectivity"}, default="distance"
        Values of the graph that `transform` returns. As in scikit-learn's `KNeighborsTransformer`,
        ``"distance"`` stores one more neighbour per row, as each training sample is its own nearest
        neighbour.
    packed : bool, default=False
        Whether codes are packed by `numpy.packbits`, 8 bits per byte. For metric "hamming".
    n_lists : int or "auto", default="auto"
        Clusters of "ivf" and "pq"; ``"auto"`` is the square root of the number of samples.
    n_probes : int or "auto", default="auto"
        Clusters searched per query; ``"auto"`` is 1/32 of the clusters, at least 16. May be set after
        fitting.
    n_links : int, default=32
        Links of a node of "hnsw".
    ef_construction : int, default=40
        Candidates kept while "hnsw" is built.
    ef_search : int, default=32
        Candidates kept while "hnsw" is searched. May be set after fitting.
    pq_bytes : int or "auto", default="auto"
        Bytes of a vector under "pq"; ``"auto"`` is one byte per 4 values.
    shortlist : int, default=100
        Candidates that "asymmetric" ranks. May be set after fitting.
    rescore : {"l2", "cosine"} or None, default=None
        Order the nearest samples by the exact distance between float vectors, such as the embeddings that
        codes were made of. The vectors are passed to `fit`, `add` and `kneighbors` next to the codes; those
        of the samples may be a memory map, which is read in place. None keeps the order of `metric`.
    oversample : float, default=4
        Candidates to rescore, as a multiple of the neighbours; `recall` shows how many are enough. May be
        set after fitting.
    random_state : int, RandomState or None, default=None
        Seed of the clusters of "ivf" and "pq". A graph built on several threads is not deterministic.
    n_jobs : int or None, default=None
        Threads of FAISS; -1 is all processors. None is FAISS's own number: all processors, or
        ``OMP_NUM_THREADS``, and 1 on macOS, where the OpenMP runtimes of torch and FAISS conflict.

    Attributes
    ----------
    index_ : StoredIndex
        The samples; `index_.faiss_index` is the FAISS index.
    n_features_in_ : int
        Bits of a code (bytes, when packed) or values of a vector.
    feature_names_in_ : ndarray of shape ``(n_features_in_,)``
        Column names, if X was a table with names.

    See Also
    --------
    ImageRetriever : Encodes images and returns similar images.
    hamming_neighbors : Exact search without an index.
    sklearn.neighbors.NearestNeighbors : The same interface.

    Notes
    -----
    Concurrent queries from several threads are safe; concurrent calls of `fit`, `add` or `remove` are not.
    Which of several samples at the same distance are among the k nearest is unspecified.

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
        "mode": [StrOptions(set(MODES))],
        "packed": ["boolean"],
        "n_lists": [_COUNT, StrOptions({"auto"})],
        "n_probes": [_COUNT, StrOptions({"auto"})],
        "n_links": [Interval(Integral, 2, 512, closed="both")],
        "ef_construction": [_GRAPH_COUNT],
        "ef_search": [_GRAPH_COUNT],
        "pq_bytes": [_COUNT, StrOptions({"auto"})],
        "shortlist": [_COUNT],
        "rescore": [StrOptions(set(RESCORE)), None],
        "oversample": [Interval(Real, 1, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [
            Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, 4096, closed="both"),
            None,
        ],
    }

    index_: StoredIndex
    n_features_in_: int
    _samples: SampleFormat
    _ids: SampleIds
    _vectors: VectorStore | None

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
        rescore=None,
        oversample=4,
        random_state=None,
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
        self.rescore = rescore
        self.oversample = oversample
        self.random_state = random_state
        self.n_jobs = n_jobs

    @property
    def n_samples_fit_(self) -> int:
        """Number of samples in the index."""
        check_is_fitted(self)
        return self._ids.n_samples

    @property
    def ids_(self) -> np.ndarray:
        """Ids of the samples, in the order of the columns of graphs."""
        check_is_fitted(self)
        return self._ids.array()

    @property
    def effective_metric_(self) -> str:
        """The metric that the index was built for."""
        check_is_fitted(self)
        return self._samples.metric

    def indices_of(self, ids: Any) -> np.ndarray:
        """Return the indices of ids in `ids_`.

        Parameters
        ----------
        ids : array-like of int64
            Ids of samples in the index.

        Returns
        -------
        ndarray of int64
            Their indices.
        """
        check_is_fitted(self)
        return self._ids.indices(ids)

    @property
    def _n_features_out(self) -> int:
        return self.n_samples_fit_

    def fit(self, X: Any, y: Any = None, *, ids: Any = None, vectors: Any = None) -> Self:
        """Build the index.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Codes or vectors suitable for `metric`.
        y : None
            Ignored.
        ids : array-like of shape (n,), int64, or None, default=None
            Distinct ids of the samples; None numbers them from 0.
        vectors : array-like of shape (n, n_vector_features) or None, default=None
            Vectors for rescoring: float16, float32, float64 or int8, an array or a memory map, which is not
            copied and must not change. None is X itself for the metrics "l2" and "cosine".

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Codes that the metric does not take, ids that are not distinct integers, too few samples for the
            index, vectors that are missing, not finite, zero for "cosine", or not those of the samples.
        """
        self._validate_params()
        stand_in = clone(self)  # Keeps self unchanged if X is invalid.
        samples, codes = check_training(stand_in, X)
        sample_ids = SampleIds.of(ids, len(codes))
        seed = draw_seed(self.random_state)
        options = IndexOptions(
            self.index, self.n_lists, self.n_links, self.ef_construction, self.pq_bytes, seed
        )
        index = samples.new_index(options)
        store = None
        if self.rescore is not None:
            store = VectorStore.of(self._new_vectors(samples, X, codes, vectors))
        elif vectors is not None:
            raise ValueError("vectors are for rescoring; set rescore='cosine' or 'l2'.")
        with faiss_threads(self.n_jobs):
            index.build(codes)
        self.index_, self._samples, self._ids, self._vectors = index, samples, sample_ids, store
        self.__dict__.pop("feature_names_in_", None)
        learned = ("n_features_in_", "feature_names_in_")
        self.__dict__.update({name: getattr(stand_in, name) for name in learned if hasattr(stand_in, name)})
        return self

    def _new_vectors(
        self, samples: SampleFormat, X: Any, codes: np.ndarray, vectors: Any, n_features: int | None = None
    ) -> np.ndarray:
        """Return the checked vectors of samples to store."""
        metric = self.rescore or "l2"  # Rescoring may be switched off for a while.
        if vectors is not None:
            array = check_vectors(vectors, len(codes), metric, n_features)
            check_correspondence(samples, codes, array, metric)
            return array
        if samples.binary:
            raise ValueError(
                f"rescore={self.rescore!r} needs the vectors of the samples: fit(X, vectors=...) and "
                "add(X, vectors=...)."
            )
        return check_vectors(X, len(codes), metric, n_features)

    def add(self, X: Any, ids: Any = None, *, vectors: Any = None) -> Self:
        """Add samples; clusters and centroids are not refitted.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            As in `fit`.
        ids : array-like of shape (n,), int64, or None, default=None
            Required if `fit` was passed ids; None continues the numbering.
        vectors : array-like of shape (n, n_vector_features) or None, default=None
            As in `fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            The samples do not match the index, ids already exist, or it was loaded with ``mmap=True``. The
            index is unchanged.
        """
        check_is_fitted(self)
        self.index_.require_memory()
        checked, exact = check_query(self, X)
        codes, store = self._samples.stored(checked), self._vectors
        sample_ids = self._ids.extended(ids, len(codes))
        if store is not None:
            store.require_parts()
            store = store.extended(self._new_vectors(self._samples, X, codes, vectors, store.n_features))
        elif vectors is not None:
            raise ValueError("vectors are for rescoring, but the index was fitted with rescore=None.")
        with faiss_threads(self.n_jobs):
            self.index_.add(codes)
        self._ids, self._samples = sample_ids, replace(self._samples, exact=self._samples.exact and exact)
        self._vectors = store
        return self

    def remove(self, ids: Any) -> Self:
        """Remove samples by id; an "hnsw" index is rebuilt from the remaining samples.

        Parameters
        ----------
        ids : array-like of int64
            Ids of samples to remove.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            An id is not in the index, which is unchanged, or it was loaded with ``mmap=True``.
        """
        check_is_fitted(self)
        self.index_.require_memory()
        indices = np.unique(self._ids.indices(ids))
        if len(indices):
            with faiss_threads(self.n_jobs):
                self.index_.remove(indices)
            self._ids = self._ids.without(indices)
            if self._vectors is not None:
                self._vectors = self._vectors.without(indices)
        return self
