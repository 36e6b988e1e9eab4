"""ImageRetriever: images in, similar images out."""

from __future__ import annotations

import os
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._validation import check_int, short_repr
from dmzrep.estimator._state import CLASSES
from dmzrep.files._state import read_state, write_state
from dmzrep.retrieval._encoded import encoded
from dmzrep.retrieval._filters import check_metadata, matching_rows
from dmzrep.retrieval._neighbors import FaissNeighbors
from dmzrep.retrieval._retriever_file import KIND, restore_retriever, retriever_state


class ImageRetriever(BaseEstimator):
    """Search among images for those that look alike, with the user's metadata beside them.

    Parameters
    ----------
    encoder : object with `transform`
        Fitted; `DMZEncoder` or anything else that makes codes of images. It is used as it is.
    neighbors : FaissNeighbors or None, default=None
        How to search; it is cloned. None is ``FaissNeighbors()``, exact by Hamming distance. With
        "hamming" and "asymmetric" the encoder's probabilities (or logits) become bits.

    Attributes
    ----------
    neighbors_ : FaissNeighbors
        The index.
    metadata_ : DataFrame or None
        A row for each image, in the order of `neighbors_.ids_`.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn.decomposition import PCA
    >>> from dmzrep.retrieval import FaissNeighbors, ImageRetriever
    >>> X = np.eye(6)
    >>> retriever = ImageRetriever(PCA(3).fit(X), FaissNeighbors(metric="l2"))
    >>> retriever = retriever.fit(X, metadata=pd.DataFrame({"name": list("abcdef")}))
    >>> answer = retriever.query(X[2:3], k=1)
    >>> answer[["rank", "id", "name"]].values.tolist()
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
            Images, as the encoder takes them.
        metadata : DataFrame or None, default=None
            A row for each image, by position; the table's own index is not kept.
        ids : array-like of shape (n,), int64, or None, default=None
            Names of the images; None takes row numbers.

        Returns
        -------
        ImageRetriever

        Raises
        ------
        ValueError
            Metadata of another length or with a column named as one of the answer's, bad ids.
        TypeError
            The encoder cannot encode, or `neighbors` is no FaissNeighbors.
        """
        if not (self.neighbors is None or isinstance(self.neighbors, FaissNeighbors)):
            raise TypeError(f"neighbors must be a FaissNeighbors, or None, got {short_repr(self.neighbors)}.")
        neighbors = FaissNeighbors() if self.neighbors is None else clone(self.neighbors)
        if neighbors.packed:
            raise ValueError("ImageRetriever packs codes itself; give FaissNeighbors with packed=False.")
        codes = encoded(self.encoder, X, neighbors.metric)
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
            With the columns of the first metadata, if there were any.
        ids : array-like of shape (n,), int64, or None, default=None
            Needed if `fit` was given ids.

        Returns
        -------
        ImageRetriever

        Raises
        ------
        ValueError
            What does not fit the index. It is then as it was.
        """
        check_is_fitted(self)
        codes = encoded(self.encoder, X, self._metric)
        if (metadata is None) != (self.metadata_ is None):
            had = "no metadata" if self.metadata_ is None else f"columns {list(self.metadata_.columns)}"
            raise ValueError(f"metadata must be given with fit and with add, or with neither; fit had {had}.")
        table = check_metadata(metadata, len(codes))
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
            Ids that the index has.

        Returns
        -------
        ImageRetriever
        """
        check_is_fitted(self)
        rows = self.neighbors_.rows_of(ids)
        self.neighbors_.remove(ids)
        if self.metadata_ is not None:
            self.metadata_ = self.metadata_.drop(index=rows).reset_index(drop=True)
        return self

    def query(self, images: Any, k: int = 10, where: Any = None) -> pd.DataFrame:
        """Find the images most like each of the given ones.

        Parameters
        ----------
        images : array-like
            Queries, as the encoder takes images. One that was indexed finds itself.
        k : int, default=10
            Answers for each query.
        where : str, callable, array-like of bool or None, default=None
            Look only at images that meet a condition: a pandas expression on the columns of the
            metadata and "id", a function of that table that gives a mask, or a mask with one value
            for each image in the index. All images that meet it are compared, whatever the index.

        Returns
        -------
        DataFrame
            A row for each answer: "query" (row number in `images`), "rank" from 1, "id", "distance",
            and the columns of the metadata.

        Raises
        ------
        ValueError
            Fewer images than k, a condition that names an unknown column or that is no mask.
        """
        check_is_fitted(self)
        # Of an index without rows the search itself tells.
        most = max(self.neighbors_.n_samples_fit_, 1)
        k = check_int(k, "k", 1, most, ", the number of images in the index")
        among = None
        if where is not None:
            ids = self.neighbors_.ids_
            table = pd.DataFrame({"id": ids}) if self.metadata_ is None else self.metadata_.assign(id=ids)
            among = ids[matching_rows(table, where)]
            if len(among) < k:
                raise ValueError(
                    f"where leaves {len(among)} images, fewer than k={k}. Ask for fewer, or widen it."
                )
        codes = encoded(self.encoder, images, self._metric)
        distances, ids = self.neighbors_.kneighbors(codes, k, among=among)
        answer = pd.DataFrame(
            {
                "query": np.repeat(np.arange(len(ids)), k),
                "rank": np.tile(np.arange(1, k + 1), len(ids)),
                "id": ids.ravel(),
                "distance": distances.ravel().astype(np.int64 if self._metric == "hamming" else np.float64),
            }
        )
        if self.metadata_ is None:
            return answer
        rows = self.neighbors_.rows_of(ids.ravel())
        return pd.concat([answer, self.metadata_.take(rows).reset_index(drop=True)], axis=1)

    def save(self, path: str | os.PathLike) -> None:
        """Write one file: the index, the metadata, and the encoder if it is a `DMZEncoder`; no pickle.

        Parameters
        ----------
        path : path-like
            The file, by custom with the ending ``.safetensors``. An earlier one is replaced once the new one
            is complete.

        Raises
        ------
        TypeError
            A column of the metadata has a dtype, or an object, that a file cannot hold. Numbers, text, times,
            categories, nullable and Arrow types can be held, and objects that are text, numbers, paths,
            dates, or lists and dictionaries of these.
        """
        check_is_fitted(self)
        write_state(path, KIND, retriever_state(self), CLASSES)

    @classmethod
    def load(cls, path: str | os.PathLike, encoder: Any = None) -> Self:
        """Read what `save` wrote. Runs no code from the file and opens no other.

        Parameters
        ----------
        path : path-like
            The file.
        encoder : object with `transform` or None, default=None
            The encoder that the retriever was fitted with. None takes the one in the file.

        Returns
        -------
        ImageRetriever
            Fitted.

        Raises
        ------
        PersistenceError
            The file is foreign, damaged, cut off, or of an unknown version.
        ValueError
            No encoder was saved and none is given.
        """
        return restore_retriever(cls, read_state(path, KIND, CLASSES), encoder, path)

    @property
    def _metric(self) -> str:
        return self.neighbors_.effective_metric_
