"""Collections of picture files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._validation import as_path, check_bool, check_int, short_repr
from dmzrep.collection._codes import combined, encode_pictures
from dmzrep.collection._files import list_files
from dmzrep.collection._finder import DuplicateFinder
from dmzrep.collection._insights import InsightsMixin
from dmzrep.collection._store import EMPTY, Store, join_texts, refresh, split_texts
from dmzrep.datasets import ImageReader
from dmzrep.estimator._state import CLASSES
from dmzrep.files._state import read_state, require, restoring, take, write_state
from dmzrep.retrieval import FaissNeighbors
from dmzrep.retrieval._embedder import Embedder

#: Kind of the files.
KIND = "ImageCollection"
#: Largest collection that is searched by the cosine of logits; larger ones are searched by bits.
COSINE_PICTURES = 100_000


class ImageCollection(InsightsMixin, BaseEstimator):
    """Search, duplicates, outliers, clusters and a map of picture files.

    Each file is read once; its code, a thumbnail of at most 96 pixels per side, size, hash and modification
    time are stored. No file is ever changed.

    Parameters
    ----------
    encoder : object with `transform`
        A fitted `DMZEncoder`, or any other fitted transformer of images to bits or vectors, such as a
        Pipeline; see `ImageRetriever`. It is not cloned. To recognise mirrored pictures, fit a `DMZEncoder`
        with ``encoder_augment="affine_flip"``.
    image_reader : ImageReader or None, default=None
        Converts image files to arrays. If None, the reader of the `DMZEncoder` is used.
    metric : {"auto", "cosine", "hamming"}, default="auto"
        Distance of codes: the cosine distance of logits or vectors, or the number of differing bits.
        ``"auto"`` is "cosine" for up to 100,000 pictures, since it finds more copies, and for encoders of
        vectors; otherwise "hamming".
    n_jobs : int or None, default=-1
        Threads that read files; -1 is one for each processor.

    Attributes
    ----------
    files_ : DataFrame
        One row per readable picture, by path: path (absolute), width, height, bytes, format, hash, modified
        (nanoseconds), and further columns of X.
    unreadable_ : DataFrame
        path and reason of files that could not be read.
    logits_ : ndarray of float16, shape (n, latent_dim)
        Logits of the images, or, if the encoder returns vectors, these vectors scaled to unit length.
    codes_ : ndarray of uint8, shape (n, latent_dim)
        Bits of the images; for vectors, whether each value exceeds its mean over the collection.
    thumbnails_ : list of bytes
        Thumbnails in WebP format.
    metric_ : str
        The metric in use.

    See Also
    --------
    dmzrep.retrieval.ImageRetriever : Search of arrays.
    dmzrep.datasets.load_images : The pictures of a folder as one array.

    Notes
    -----
    Two pictures are the same if an affine map and a change of brightness turn one into the other, up to
    differences as small as those between pictures of the collection and edited copies of them.

    Examples
    --------
    >>> from dmzrep import DMZEncoder
    >>> from dmzrep.collection import ImageCollection
    >>> encoder = DMZEncoder(64, encoder_augment="affine_flip", max_time=300).fit("photos")  # doctest: +SKIP
    >>> collection = ImageCollection(encoder).fit("photos")  # doctest: +SKIP
    >>> collection.search("photos/beach.jpg", k=5)  # doctest: +SKIP
    >>> collection.duplicates().query("not keep").path  # doctest: +SKIP

    Another encoder, of arrays, with the reader that they were made by:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from PIL import Image
    >>> from sklearn.decomposition import PCA
    >>> from dmzrep.datasets import ImageReader
    >>> reader, pixels = ImageReader(16), np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), np.uint8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = [Path(folder, f"{i:02}.png") for i in range(20)]
    ...     for path, picture in zip(paths, pixels):
    ...         Image.fromarray(picture).save(path)
    ...     pca = PCA(8).fit(reader.transform(folder).reshape(20, -1))
    ...     found = ImageCollection(pca, image_reader=reader).fit(folder).search(pixels[3], k=1)
    >>> Path(found["path"][0]).name
    '03.png'
    """

    _parameter_constraints: ClassVar[dict] = {
        "encoder": [HasMethods("transform")],
        "image_reader": [ImageReader, None],
        "metric": [StrOptions({"auto", "cosine", "hamming"})],
        "n_jobs": [Interval(Integral, None, None, closed="neither"), None],
    }

    _store: Store
    _embedder: Embedder
    metric_: str

    def __init__(self, encoder, *, image_reader=None, metric="auto", n_jobs=-1):
        self.encoder = encoder
        self.image_reader = image_reader
        self.metric = metric
        self.n_jobs = n_jobs

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_store")

    def fit(self, X: Any, y: Any = None, *, progress: bool = False) -> Self:
        """Read and encode the pictures of a folder, or of a list of files.

        Parameters
        ----------
        X : path-like, list of path-like or DataFrame
            A folder with its sub-folders, picture files, or a table with a column "path", whose other columns
            become columns of `files_`.
        y : None
            Ignored.
        progress : bool, default=False
            Show a progress bar.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            X has no readable picture, or the encoder does not encode pictures of this size.
        NotADirectoryError
            There is no such folder.
        """
        self._validate_params()
        self._refresh(EMPTY, X, check_bool(progress, "progress"), Embedder(self.encoder))
        return self

    def update(self, X: Any = None, *, progress: bool = False) -> pd.DataFrame:
        """Read files that are new or changed, and remove those that were deleted.

        Parameters
        ----------
        X : path-like, list of path-like, DataFrame or None, default=None
            As in `fit`. If None, the X last passed to `fit` or `update`.
        progress : bool, default=False
            Show a progress bar.

        Returns
        -------
        DataFrame
            Path and change ("new", "changed", "deleted" or "unreadable") of each file that differs.
        """
        check_is_fitted(self)
        source = self._source if X is None else X
        return self._refresh(self._store, source, check_bool(progress, "progress"), self._embedder)

    def _refresh(self, old: Store, X: Any, progress: bool, embedder: Embedder) -> pd.DataFrame:
        listing = list_files(X)
        store, changes = refresh(old, listing, embedder, self._reader(), self.n_jobs, progress)
        if not len(store.files):
            reasons = "; ".join(f"{path} ({reason})" for path, reason in store.unreadable.values[:3])
            raise ValueError(f"X has no readable picture{': ' + reasons if reasons else ''}.")
        self._set(store, X, embedder)
        return changes

    def _set(self, store: Store, source: Any, embedder: Embedder) -> None:
        of_vectors = embedder.kind == "vectors"
        if of_vectors and self.metric == "hamming":
            raise ValueError(
                "metric='hamming' needs bits, but the encoder returns vectors. Use metric='cosine', or "
                "make_pipeline(..., ITQTransformer()) as encoder."
            )
        for name in ("_squares", "_kinds"):
            self.__dict__.pop(name, None)
        self._finders: dict[bool, DuplicateFinder] = {}
        if isinstance(source, (str, os.PathLike)):
            source = os.path.abspath(as_path(source, "X").expanduser())
        else:
            paths = source["path"] if isinstance(source, pd.DataFrame) else source
            source = [os.path.abspath(as_path(path, "X").expanduser()) for path in paths]
        self._store, self._source, self._embedder = store, source, embedder
        self.metric_ = self.metric
        if self.metric == "auto":
            by_cosine = of_vectors or len(store.files) <= COSINE_PICTURES
            self.metric_ = "cosine" if by_cosine else "hamming"
        self._neighbors = FaissNeighbors(metric=self.metric_).fit(self._vectors(store.logits))

    def search(self, query: Any, k: int = 10, *, without: Any = None) -> pd.DataFrame:
        """Find the pictures that are most similar to a picture, or to several.

        Parameters
        ----------
        query : path-like, ndarray of shape (H, W) or (H, W, C), or a list of these
            A picture file or an image in the format of the encoder. For several, the mean of their codes is
            the query.
        k : int, default=10
            Number of results.
        without : as query, or None, default=None
            Pictures that the results should be dissimilar to.

        Returns
        -------
        DataFrame
            Rank (from 1), path, distance, and the further columns of `files_`. Files of the query itself are
            left out.

        Raises
        ------
        ValueError
            A file cannot be read, or an image has another format.
        """
        check_is_fitted(self)
        k = check_int(k, "k")
        own, wanted = self._encode_queries(query, "query")
        unwanted = None
        if without is not None:
            others, unwanted = self._encode_queries(without, "without")
            own = [*own, *others]
        vector = self._vectors(combined(wanted, unwanted))
        distances, found = self._neighbors.kneighbors(vector, min(k + len(own), len(self.files_)))
        kept = [(d, i) for d, i in zip(distances[0], found[0], strict=True) if i not in own][:k]
        indices = np.array([i for _, i in kept], dtype=np.int64)
        result = self.files_.iloc[indices].reset_index(drop=True)
        result.insert(0, "rank", np.arange(1, len(result) + 1))
        result.insert(2, "distance", [d for d, _ in kept])
        return result.drop(columns=["modified", "hash"])

    def _encode_queries(self, query: Any, name: str) -> tuple[list[int], np.ndarray]:
        """Return the indices of the queries that are in the collection, and the logits of all."""
        if isinstance(query, (str, os.PathLike, np.ndarray)):
            query = [query]
        if not isinstance(query, Sequence) or not len(query):
            raise ValueError(f"{name} must be a picture file, an image or a list, got {short_repr(query)}.")
        known = {path: i for i, path in enumerate(self.files_["path"])}
        indices, logits = [], []
        for item in query:
            if isinstance(item, (str, os.PathLike)):
                path = os.path.abspath(as_path(item, name).expanduser())
                if path in known:
                    indices.append(known[path])
                    logits.append(self.logits_[known[path]].astype(np.float32))
                    continue
                sample = self._reader().transform([path])
            elif isinstance(item, np.ndarray):
                sample = item[None]
            else:
                raise TypeError(f"{name} must hold paths or arrays, got {short_repr(item)}.")
            logits.append(encode_pictures(self._embedder, sample)[0])
        return indices, np.stack(logits)

    def neighbors(self, k: int = 10) -> np.ndarray:
        """Return the nearest other pictures of each picture.

        Parameters
        ----------
        k : int, default=10
            Number of neighbours; at most the number of pictures less one.

        Returns
        -------
        ndarray of int64, shape (n, k)
            Indices of rows of `files_`, nearest first.
        """
        check_is_fitted(self)
        k = min(check_int(k, "k"), len(self.files_) - 1)
        if k == 0:
            return np.empty((1, 0), dtype=np.int64)
        return self._neighbors.kneighbors(None, k, return_distance=False)

    def save(self, path: str | os.PathLike) -> None:
        """Write the collection, with its encoder if that is a `DMZEncoder`, to one file without pickle.

        The file also holds a few images as arrays, by whose codes `load` recognises another encoder.

        Parameters
        ----------
        path : path-like
            The file, by convention with the extension ``.safetensors``. An earlier one is replaced once the
            new one is complete.
        """
        check_is_fitted(self)
        source = self._source if isinstance(self._source, str) else join_texts(self._source)
        state = {
            "store": self._store.state(),
            "source": source,
            "params": {"metric": self.metric, "image_reader": self.image_reader},
            "encoder": self._embedder.encoder_state(),
            "codes": self._embedder.state(),
        }
        write_state(path, KIND, state, CLASSES)

    @classmethod
    def load(cls, path: str | os.PathLike, encoder: Any = None) -> Self:
        """Load a collection from a file; no code from the file is run.

        Parameters
        ----------
        path : path-like
            Written by `save`.
        encoder : object with `transform` or None, default=None
            The encoder that the collection was fitted with. None uses the one in the file.

        Returns
        -------
        ImageCollection
            Fitted.

        Raises
        ------
        PersistenceError
            The file is damaged, of another kind, or of an unknown version.
        ValueError
            No encoder was saved and none is passed, or it is not the encoder used in `fit`.
        """
        state: Any = {"codes": None} | read_state(path, KIND, CLASSES)  # Earlier files have none.
        with restoring(path, KIND):
            stored, source, params, saved, codes = take(
                state, "store", "source", "params", "encoder", "codes"
            )
            metric, reader = take(params, "metric", "image_reader")
            store = Store.from_state(stored)
            source = source if isinstance(source, str) else split_texts(source).tolist()
        embedder = Embedder.restored(encoder, saved, codes, path)
        collection = cls(embedder.encoder, metric=metric, image_reader=reader)
        with restoring(path, KIND):
            width = store.logits.shape[1] if codes is None else codes["width"]
            require(store.logits.shape[1] == width, "logits are not of the width of the codes")
            collection._validate_params()
            collection._set(store, source, embedder)
        return collection
