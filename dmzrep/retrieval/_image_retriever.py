"""Search for similar images."""

import os
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._batching import batches
from dmzrep._base._validation import check_int, short_repr
from dmzrep.data import is_paths
from dmzrep.datasets import ImageReader
from dmzrep.estimator._state import CLASSES
from dmzrep.files._state import read_state, require, restoring, take, write_state
from dmzrep.retrieval._embedder import Embedder
from dmzrep.retrieval._filters import check_metadata, matching_indices
from dmzrep.retrieval._index_file import neighbors_state, restore_neighbors
from dmzrep.retrieval._neighbors import FaissNeighbors

#: Kind of the files.
KIND = "ImageRetriever"
#: Pictures that are read at a time.
_BATCH = 256


class ImageRetriever(BaseEstimator):
    """Search for similar images, with optional metadata.

    Parameters
    ----------
    encoder : object with `transform`
        A fitted `DMZEncoder`, or any other fitted transformer of images to bits or vectors, such as a
        Pipeline. It is not cloned.
    neighbors : FaissNeighbors or None, default=None
        The index; it is cloned. None is an exact search: by Hamming distance for a `DMZEncoder` and for
        encoders that return bits, by cosine distance for others. With its `rescore`, the candidates
        are reranked by vectors.
    rescorer : object with `transform` or None, default=None
        Encoder of the vectors for rescoring; it is not cloned. None takes them from `encoder`: its logits or
        vectors, or, for a Pipeline that returns bits, the input of its last step.
    image_reader : ImageReader or None, default=None
        Converts image files to arrays. None passes paths on to `encoder`: a `DMZEncoder` that was fitted
        to paths reads them itself.

    Attributes
    ----------
    neighbors_ : FaissNeighbors
        The index.
    metadata_ : DataFrame or None
        One row per image, in the order of `neighbors_.ids_`.
    distance_ : str
        Distance of the results: `rescore` of the index, or else its metric.

    See Also
    --------
    FaissNeighbors : The index of codes.
    ImageCollection : Search of a folder of picture files.
    sklearn.frozen.FrozenEstimator : Keeps a fitted encoder fitted where the retriever is cloned.

    Notes
    -----
    Outputs that are zeros and ones, or packed bits in uint8, are treated as codes, all others as vectors. If
    the encoder, or the last step of a Pipeline, has an attribute `output`, its value takes precedence:
    "bits", "packed", "probabilities" or "logits", as in `DMZEncoder` and `ITQTransformer`.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.pipeline import make_pipeline
    >>> from dmzrep.retrieval import FaissNeighbors, ImageRetriever, ITQTransformer
    >>> X = np.random.default_rng(0).random((100, 8, 8))
    >>> encoder = make_pipeline(PCA(16), ITQTransformer(16, random_state=0)).fit(X.reshape(100, -1))
    >>> table = pd.DataFrame({"name": [f"{i}.png" for i in range(100)]})
    >>> retriever = ImageRetriever(encoder, FaissNeighbors(rescore="cosine")).fit(X, metadata=table)
    >>> retriever.query(X[2:3], k=1)[["rank", "id", "name"]].values.tolist()
    [[1, 2, '2.png']]
    """

    neighbors_: FaissNeighbors
    metadata_: pd.DataFrame | None
    _embedder: Embedder
    _rescorer: Embedder | None

    def __init__(self, encoder, neighbors=None, *, rescorer=None, image_reader=None):
        self.encoder = encoder
        self.neighbors = neighbors
        self.rescorer = rescorer
        self.image_reader = image_reader

    def fit(self, X: Any, metadata: pd.DataFrame | None = None, ids: Any = None) -> Self:
        """Encode images and index their codes.

        Parameters
        ----------
        X : array-like, or paths
            Images in the format of the encoder. They are flattened if the encoder expects flat samples of
            that size.
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
        neighbors = None if self.neighbors is None else clone(self.neighbors)
        if neighbors is not None and neighbors.packed:
            raise ValueError("ImageRetriever packs codes itself; use FaissNeighbors with packed=False.")
        if not (self.image_reader is None or isinstance(self.image_reader, ImageReader)):
            raise TypeError(
                f"image_reader must be an ImageReader, or None, got {short_repr(self.image_reader)}."
            )
        embedder = Embedder(self.encoder, metric=neighbors and neighbors.metric)
        rescorer = None
        if self.rescorer is not None:
            if neighbors is None or neighbors.rescore is None:
                raise ValueError("rescorer needs neighbors=FaissNeighbors(rescore='cosine') or 'l2'.")
            rescorer = Embedder(self.rescorer, "rescorer", "cosine")
        rescored = neighbors is not None and neighbors.rescore is not None
        outputs, vectors = _encoded(embedder, rescorer, self.image_reader, X, rescored)
        if neighbors is None:
            neighbors = FaissNeighbors(metric="cosine" if embedder.kind == "vectors" else "hamming")
        codes = embedder.codes(outputs, neighbors.metric)
        table = check_metadata(metadata, len(codes))
        neighbors.fit(codes, ids=ids, vectors=vectors)
        self.neighbors_, self.metadata_ = neighbors, table
        self._embedder, self._rescorer = embedder, rescorer
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
        codes, vectors = self._encode(X, self.neighbors_._vectors is not None)
        table = check_metadata(metadata, len(codes))
        if (table is None) != (self.metadata_ is None):
            had = "no metadata" if self.metadata_ is None else f"columns {list(self.metadata_.columns)}"
            raise ValueError(f"metadata must be passed to both fit and add, or to neither; fit had {had}.")
        if self.metadata_ is not None and table is not None:
            names = list(self.metadata_.columns)
            if set(table.columns) != set(names):
                raise ValueError(f"metadata must have the columns {names}, got {list(table.columns)}.")
            table = pd.concat([self.metadata_, table[names]], ignore_index=True)
        self.neighbors_.add(codes, ids, vectors=vectors)
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
            Restricts an exhaustive search to images that satisfy a condition: a pandas expression on the
            columns of the metadata and "id", a function of that table that returns a mask, or a mask with one
            value per image in the index.

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
                    f"where leaves {len(among)} images, fewer than k={k}. Use a smaller k or relax the "
                    "condition."
                )
        codes, vectors = self._encode(images, self.neighbors_.rescore is not None)
        distances, ids = self.neighbors_.kneighbors(codes, k, among=among, vectors=vectors)
        in_bits = self.distance_ == "hamming"
        result = pd.DataFrame(
            {
                "query": np.repeat(np.arange(len(ids)), k),
                "rank": np.tile(np.arange(1, k + 1), len(ids)),
                "id": ids.ravel(),
                "distance": distances.ravel().astype(np.int64 if in_bits else np.float64),
            }
        )
        if self.metadata_ is None:
            return result
        indices = self.neighbors_.indices_of(ids.ravel())
        return pd.concat([result, self.metadata_.take(indices).reset_index(drop=True)], axis=1)

    def save(self, path: str | os.PathLike) -> None:
        """Save the index, the metadata, vectors for rescoring, and encoders that are a `DMZEncoder`.

        The file holds no pickle. Of each encoder it holds the first samples and their codes, by which `load`
        recognises it.

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
        store, rescorer = self.neighbors_._vectors, self._rescorer
        state = {
            "neighbors": neighbors_state(self.neighbors_),
            "metadata": self.metadata_,
            "encoder": self._embedder.encoder_state(),
            "codes": self._embedder.state(),
            "rescorer": rescorer and {"encoder": rescorer.encoder_state(), "codes": rescorer.state()},
            "vectors": None if store is None else np.concatenate(store.parts),
            "image_reader": self.image_reader,
        }
        write_state(path, KIND, state, CLASSES)

    @classmethod
    def load(cls, path: str | os.PathLike, encoder: Any = None, *, rescorer: Any = None) -> Self:
        """Load a retriever from a file; no code from the file is run, and no other file is opened.

        Parameters
        ----------
        path : path-like
            Written by `save`.
        encoder, rescorer : object with `transform` or None, default=None
            The encoders that the retriever was fitted with. None uses those in the file.

        Returns
        -------
        ImageRetriever
            Fitted.

        Raises
        ------
        PersistenceError
            The file is damaged, of another kind, or of an unknown version.
        ValueError
            An encoder was not saved and none is passed, or it is not the encoder used in `fit`.
        """
        # Earlier files have none of these.
        state: Any = dict.fromkeys(("codes", "rescorer", "vectors", "image_reader"))
        state |= read_state(path, KIND, CLASSES)
        with restoring(path, KIND):
            neighbors_values, metadata, saved, codes, rescoring, vectors, reader = take(
                state,
                *("neighbors", "metadata", "encoder", "codes", "rescorer", "vectors", "image_reader"),
            )
            neighbors = restore_neighbors(FaissNeighbors, neighbors_values, path)
            if metadata is not None:
                require(isinstance(metadata, pd.DataFrame), "metadata must be a table")
                metadata = check_metadata(metadata, neighbors.n_samples_fit_)
            require(reader is None or isinstance(reader, ImageReader), "image_reader must be an ImageReader")
            require((vectors is None) == (neighbors._vectors is None), "vectors are for rescoring")
            if neighbors._vectors is not None:
                neighbors._vectors = neighbors._vectors.attached(vectors)
            second = None if rescoring is None else take(rescoring, "encoder", "codes")
        embedder, other = Embedder.restored(encoder, saved, codes, path), None
        if second is not None:
            other = Embedder.restored(rescorer, second[0], second[1], path, "rescorer")
        elif rescorer is not None:
            raise ValueError(f"{path} was made without a rescorer; load it without rescorer=.")
        retriever = cls(embedder.encoder, neighbors, rescorer=other and other.encoder, image_reader=reader)
        retriever.neighbors_, retriever.metadata_ = neighbors, metadata
        retriever._embedder, retriever._rescorer = embedder, other
        return retriever

    @property
    def distance_(self) -> str:
        """Distance of the results: `rescore`, or else the metric of the index."""
        check_is_fitted(self)
        return self.neighbors_.rescore or self.neighbors_.effective_metric_

    def _encode(self, images: Any, with_vectors: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """Return codes of images as the index takes them, and vectors for rescoring."""
        outputs, vectors = _encoded(self._embedder, self._rescorer, self.image_reader, images, with_vectors)
        return self._embedder.codes(outputs, self.neighbors_.effective_metric_), vectors


def _encoded(
    embedder: Embedder, rescorer: Embedder | None, reader: Any, images: Any, with_vectors: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the outputs of the encoder, and vectors for rescoring; paths are read by the reader, if any."""
    if reader is not None and is_paths(images):
        source = reader.open(images)
        blocks = (source[part] for part in batches(len(source), _BATCH))
        parts = [_encoded(embedder, rescorer, None, block, with_vectors) for block in blocks]
        outputs, vectors = zip(*parts, strict=True)
        return np.concatenate(outputs), np.concatenate(vectors) if with_vectors else None
    if with_vectors and rescorer is None:
        return embedder.transform_both(images)
    return embedder.transform(images), rescorer.vectors(images) if with_vectors and rescorer else None
