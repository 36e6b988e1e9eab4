"""Search for similar images."""

import os
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._validation import as_numbers, check_int, short_repr
from dmzrep.codes._protocol import check_codec, encoder_output
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.estimator._state import CLASSES, fitted_state, restore_fitted
from dmzrep.files._state import read_state, require, restoring, take, write_state
from dmzrep.retrieval._filters import check_metadata, matching_indices
from dmzrep.retrieval._index_file import neighbors_state, restore_neighbors
from dmzrep.retrieval._neighbors import FaissNeighbors

#: Kind of the files.
KIND = "ImageRetriever"


class ImageRetriever(BaseEstimator):
    """Search for similar images, with optional metadata.

    Parameters
    ----------
    encoder : object with `transform`
        A fitted `DMZEncoder`, or another transformer of images to codes. It is not cloned.
    neighbors : FaissNeighbors or None, default=None
        The index; it is cloned. None is ``FaissNeighbors()``, an exact search by Hamming distance. For the
        metrics "hamming" and "asymmetric" the encoder's probabilities (or logits) become bits.

    Attributes
    ----------
    neighbors_ : FaissNeighbors
        The index.
    metadata_ : DataFrame or None
        One row per image, in the order of `neighbors_.ids_`.

    See Also
    --------
    FaissNeighbors : The index of codes.
    ImageCollection : Search of a folder of picture files.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn.decomposition import PCA
    >>> from dmzrep.retrieval import FaissNeighbors, ImageRetriever
    >>> X = np.eye(6)
    >>> retriever = ImageRetriever(PCA(3).fit(X), FaissNeighbors(metric="l2"))
    >>> retriever = retriever.fit(X, metadata=pd.DataFrame({"name": list("abcdef")}))
    >>> result = retriever.query(X[2:3], k=1)
    >>> result[["rank", "id", "name"]].values.tolist()
    [[1, 2, 'c']]
    """

    neighbors_: FaissNeighbors
    metadata_: pd.DataFrame | None

    def __init__(self, encoder, neighbors=None):
        self.encoder = encoder
        self.neighbors = neighbors

    def fit(self, X: Any, metadata: pd.DataFrame | None = None, ids: Any = None) -> Self:
        """Encode images and index their codes.

        Parameters
        ----------
        X : array-like
            Images in the format of the encoder.
        metadata : DataFrame or None, default=None
            One row per image, in the same order; its index is dropped.
        ids : array-like of shape (n,), int64, or None, default=None
            Distinct ids of the images; None numbers them from 0.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Metadata of another length or with a column named as one of the result's, bad ids.
        TypeError
            The encoder cannot encode, or `neighbors` is not a FaissNeighbors.
        """
        if not (self.neighbors is None or isinstance(self.neighbors, FaissNeighbors)):
            raise TypeError(f"neighbors must be a FaissNeighbors, or None, got {short_repr(self.neighbors)}.")
        neighbors = FaissNeighbors() if self.neighbors is None else clone(self.neighbors)
        if neighbors.packed:
            raise ValueError("ImageRetriever packs codes itself; use FaissNeighbors with packed=False.")
        codes = _encoded(self.encoder, X, neighbors.metric)
        table = check_metadata(metadata, len(codes))
        neighbors.fit(codes, ids=ids)
        self.neighbors_, self.metadata_ = neighbors, table
        return self

    def add(self, X: Any, metadata: pd.DataFrame | None = None, ids: Any = None) -> Self:
        """Add images.

        Parameters
        ----------
        X : array-like
            Images.
        metadata : DataFrame or None, default=None
            With the columns of the metadata passed to `fit`, if any.
        ids : array-like of shape (n,), int64, or None, default=None
            Required if `fit` was passed ids.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Codes, metadata or ids do not match the index, which is unchanged.
        """
        check_is_fitted(self)
        codes = _encoded(self.encoder, X, self._metric)
        table = check_metadata(metadata, len(codes))
        if (table is None) != (self.metadata_ is None):
            had = "no metadata" if self.metadata_ is None else f"columns {list(self.metadata_.columns)}"
            raise ValueError(f"metadata must be passed to both fit and add, or to neither; fit had {had}.")
        if self.metadata_ is not None and table is not None:
            names = list(self.metadata_.columns)
            if set(table.columns) != set(names):
                raise ValueError(f"metadata must have the columns {names}, got {list(table.columns)}.")
            table = pd.concat([self.metadata_, table[names]], ignore_index=True)
        self.neighbors_.add(codes, ids)
        self.metadata_ = table
        return self

    def remove(self, ids: Any) -> Self:
        """Remove images by their ids.

        Parameters
        ----------
        ids : array-like of int64
            Ids of images in the index.

        Returns
        -------
        self
        """
        check_is_fitted(self)
        indices = self.neighbors_.indices_of(ids)
        self.neighbors_.remove(ids)
        if self.metadata_ is not None:
            self.metadata_ = self.metadata_.drop(index=indices).reset_index(drop=True)
        return self

    def query(self, images: Any, k: int = 10, where: Any = None) -> pd.DataFrame:
        """Find the images most similar to each query.

        Parameters
        ----------
        images : array-like
            Queries in the format of the encoder. The results for an image in the index include itself.
        k : int, default=10
            Results per query.
        where : str, callable, array-like of bool or None, default=None
            Condition on the images to search, which is then exhaustive: a pandas expression on the columns of
            the metadata and "id", a function of that table that returns a mask, or a mask with one value per
            image in the index.

        Returns
        -------
        DataFrame
            One row per result: "query" (index in `images`), "rank" from 1, "id", "distance", and the columns
            of the metadata.

        Raises
        ------
        ValueError
            Fewer images than k, a condition with an unknown column or that is not a mask.
        """
        check_is_fitted(self)
        most = max(self.neighbors_.n_samples_fit_, 1)  # The search itself raises for an empty index.
        k = check_int(k, "k", 1, most, ", the number of images in the index")
        among = None
        if where is not None:
            ids = self.neighbors_.ids_
            table = pd.DataFrame({"id": ids}) if self.metadata_ is None else self.metadata_.assign(id=ids)
            among = ids[matching_indices(table, where)]
            if len(among) < k:
                raise ValueError(
                    f"where leaves {len(among)} images, fewer than k={k}. Use a smaller k or relax it."
                )
        codes = _encoded(self.encoder, images, self._metric)
        distances, ids = self.neighbors_.kneighbors(codes, k, among=among)
        result = pd.DataFrame(
            {
                "query": np.repeat(np.arange(len(ids)), k),
                "rank": np.tile(np.arange(1, k + 1), len(ids)),
                "id": ids.ravel(),
                "distance": distances.ravel().astype(np.int64 if self._metric == "hamming" else np.float64),
            }
        )
        if self.metadata_ is None:
            return result
        indices = self.neighbors_.indices_of(ids.ravel())
        return pd.concat([result, self.metadata_.take(indices).reset_index(drop=True)], axis=1)

    def save(self, path: str | os.PathLike) -> None:
        """Save the index, the metadata, and the encoder if it is a `DMZEncoder`, in one file without pickle.

        Parameters
        ----------
        path : path-like
            The file, by convention with the extension ``.safetensors``. An earlier one is replaced
            once the new one is complete.

        Raises
        ------
        TypeError
            A column of the metadata has an unsupported dtype or object. Supported are numbers, text, times,
            categories, nullable and Arrow types, and objects that are text, numbers, paths, dates, or lists
            and dictionaries of these.
        """
        check_is_fitted(self)
        state = {
            "neighbors": neighbors_state(self.neighbors_),
            "metadata": self.metadata_,
            "encoder": fitted_state(self.encoder) if isinstance(self.encoder, DMZEncoder) else None,
        }
        write_state(path, KIND, state, CLASSES)

    @classmethod
    def load(cls, path: str | os.PathLike, encoder: Any = None) -> Self:
        """Load a retriever from a file; no code from the file is run, and no other file is opened.

        Parameters
        ----------
        path : path-like
            Written by `save`.
        encoder : object with `transform` or None, default=None
            The encoder that the retriever was fitted with. None uses the one in the file.

        Returns
        -------
        ImageRetriever
            Fitted.

        Raises
        ------
        PersistenceError
            The file is damaged, of another kind, or of an unknown version.
        ValueError
            No encoder was saved and none is passed.
        """
        state = read_state(path, KIND, CLASSES)
        with restoring(path, KIND):
            neighbors_values, metadata, encoder_values = take(state, "neighbors", "metadata", "encoder")
            neighbors = restore_neighbors(FaissNeighbors, neighbors_values, path)
            if metadata is not None:
                require(isinstance(metadata, pd.DataFrame), "metadata must be a table")
                metadata = check_metadata(metadata, neighbors.n_samples_fit_)
        if encoder is None:
            if encoder_values is None:
                raise ValueError(f"{path} holds no encoder, as only a DMZEncoder is saved; pass encoder=.")
            encoder = restore_fitted(DMZEncoder, encoder_values, "auto", path)
        retriever = cls(encoder, neighbors)
        retriever.neighbors_, retriever.metadata_ = neighbors, metadata
        return retriever

    @property
    def _metric(self) -> str:
        return self.neighbors_.effective_metric_


def _encoded(encoder: Any, images: Any, metric: str) -> np.ndarray:
    """Encode images for a metric: bits for "hamming", probabilities for "asymmetric", or floats."""
    check_codec(encoder, needed=("transform",))
    codes = as_numbers(encoder.transform(images), "The encoder's codes")
    if codes.ndim != 2:
        raise ValueError(f"The encoder must return codes of shape (n, latent_dim), got {codes.shape}.")
    if metric not in ("hamming", "asymmetric"):
        return codes
    if encoder_output(encoder) == "logits":
        return codes > 0 if metric == "hamming" else expit(codes)
    if codes.size and not (codes.min() >= 0 and codes.max() <= 1):
        raise ValueError(
            f"metric={metric!r} needs bits or probabilities, but {type(encoder).__name__}.transform returns "
            f"values from {codes.min():g} to {codes.max():g}. Use FaissNeighbors(metric='l2') or "
            "metric='cosine' with this encoder."
        )
    return codes > 0.5 if metric == "hamming" else codes.astype(np.float64)
