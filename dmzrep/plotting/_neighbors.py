"""Images and their nearest neighbours by codes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import _num_samples, check_is_fitted

from dmzrep._base._validation import as_array, check_int, short_repr
from dmzrep.codes._protocol import unwrapped
from dmzrep.data import ImageFormat, is_paths, learn_image_format
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.plotting._image_grid import ImageGridDisplay, fitted_image_format, take
from dmzrep.retrieval import ImageRetriever

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Images from which the value range is learned, for encoders that do not know it.
_PREVIEW = 256
#: Names of the distances in titles; {} is the number of bits.
_DISTANCES = {
    "hamming": "Hamming distance over {}",
    "asymmetric": "expected Hamming distance over {}",
    "l2": "Euclidean distance",
    "cosine": "cosine distance",
}


class NeighborsDisplay(ImageGridDisplay):
    """Query images and their nearest neighbours; create it with `from_estimator` or `from_retriever`.

    Parameters
    ----------
    images, title, row_labels, column_labels, captions, note
        As in `ImageGridDisplay`.

    Attributes
    ----------
    distances_ : ndarray of shape (n, k)
        Distances of the results; integers for Hamming distances.
    indices_ : ndarray of shape (n, k)
        Indices of the neighbours in `X_index`.

    See Also
    --------
    ImageRetriever.query : The neighbours as a table.

    Examples
    --------
    >>> from dmzrep.plotting import NeighborsDisplay
    >>> NeighborsDisplay.from_estimator(encoder, X[:5], X, names=labels)  # doctest: +SKIP
    """

    distances_: np.ndarray
    indices_: np.ndarray

    @classmethod
    def from_estimator(
        cls,
        encoder: Any,
        X_query: Any,
        X_index: Any,
        k: int = 8,
        *,
        names: Sequence[Any] | None = None,
        max_queries: int = 8,
        ax: Axes | None = None,
    ) -> Self:
        """Encode images, search them by `ImageRetriever`, and draw the neighbours.

        Parameters
        ----------
        encoder : object with `transform`
            A fitted `DMZEncoder`, or any other fitted transformer of images to bits or vectors.
        X_query, X_index : array-like, table or map-style dataset
            Images to search for, and to search in, as arrays of shape (n, H, W) or (n, H, W, C) in the format
            of the encoder, or of its layout.
        k : int, default=8
            Neighbours of each query.
        names : array-like of shape (n_index,) or None, default=None
            Captions of the images in `X_index`, such as their labels.
        max_queries, ax
            As in `from_retriever`.

        Returns
        -------
        NeighborsDisplay
        """
        if isinstance(encoder, DMZEncoder):
            fitted_image_format(encoder, cls)
        check_int(k, "k", 1, _num_samples(X_index), ", the number of images in X_index")
        retriever = ImageRetriever(encoder).fit(X_index)
        return cls.from_retriever(retriever, X_query, X_index, k, names=names, max_queries=max_queries, ax=ax)

    @classmethod
    def from_retriever(
        cls,
        retriever: ImageRetriever,
        X_query: Any,
        X_index: Any,
        k: int = 8,
        *,
        where: Any = None,
        names: Any = None,
        max_queries: int = 8,
        ax: Axes | None = None,
    ) -> Self:
        """Query a retriever and draw the neighbours.

        Parameters
        ----------
        retriever : ImageRetriever
            Fitted, with any encoder.
        X_query : array-like, table, map-style dataset or list of paths
            Images to search for. An image in the index is not drawn as its own neighbour, unless there
            are only `k` images.
        X_index : array-like, table, map-style dataset or list of paths
            The images of the index, in the order of its `ids_`.
        k : int, default=8
            Neighbours of each query.
        where : str, callable, array-like of bool or None, default=None
            Condition, as in `ImageRetriever.query`.
        names : str, array-like of shape (n_index,) or None, default=None
            Captions of the images in `X_index`, or the column of the metadata that holds them.
        max_queries : int, default=8
            Largest number of queries to draw, from the first.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None creates a figure.

        Returns
        -------
        NeighborsDisplay
        """
        if not isinstance(retriever, ImageRetriever):
            raise TypeError(f"retriever must be a fitted ImageRetriever, got {short_repr(retriever)}.")
        check_is_fitted(retriever)
        queries = take(X_query, slice(0, check_int(max_queries, "max_queries")), "X_query")
        index, n_index = retriever.neighbors_, _num_samples(X_index)
        if n_index != index.n_samples_fit_:
            raise ValueError(
                f"X_index must hold the {index.n_samples_fit_} images of the index, in the order of "
                f"retriever.neighbors_.ids_, got {n_index}."
            )
        if isinstance(names, str):
            table = retriever.metadata_
            if table is None or names not in table:
                known = [] if table is None else list(table.columns)
                raise ValueError(f"names must be a column of the metadata, one of {known}, got {names!r}.")
            names = table[names].to_numpy()
        if names is not None:
            names = as_array(names, "names")
            if names.shape != (n_index,):
                raise ValueError(
                    f"names must have shape ({n_index},), one for each image in X_index, got {names.shape}."
                )
        try:
            answer = retriever.query(queries, check_int(k, "k") + 1, where=where)
        except ValueError:  # There may be k images, but not k + 1.
            answer = retriever.query(queries, k, where=where)
        shape = (_num_samples(queries), -1)
        indices = index.indices_of(answer["id"].to_numpy()).reshape(shape)
        distances = answer["distance"].to_numpy().reshape(shape)
        image_format = _image_format(retriever, X_index, cls)
        pictures, found = (
            image_format.to_pictures(_pixels(retriever, X))
            for X in (queries, take(X_index, indices.ravel(), "X_index"))
        )
        found = found.reshape(*indices.shape, *found.shape[1:])
        # Of k + 1 neighbours, one that equals the query is left out, or else the last.
        left_out = np.full(len(pictures), k)
        if indices.shape[1] > k:
            same = (found == pictures[:, None]).reshape(*indices.shape, -1).all(axis=2)
            left_out = np.where(same.any(axis=1), same.argmax(axis=1), k)
        kept = np.arange(k) + (np.arange(k) >= left_out[:, None])
        each = np.arange(len(pictures))[:, None]
        found, distances, indices = found[each, kept], distances[each, kept], indices[each, kept]
        captions = [[_distance_text(distance) for distance in row] for row in distances]
        if names is not None:
            captions = [
                [f"{_short(name)}\n{text}" for name, text in zip(*row, strict=True)]
                for row in zip(names[indices], captions, strict=True)
            ]
        n_bits = index.n_features_in_
        distance = _DISTANCES[retriever.distance_].format("1 bit" if n_bits == 1 else f"{n_bits} bits")
        display = cls(
            np.concatenate([pictures[:, None], found], axis=1),
            title=f"Nearest neighbours among {n_index:,} images by {distance}",
            column_labels=["query", *(str(i + 1) for i in range(k))],
            captions=[["", *row] for row in captions],
        )
        display.distances_, display.indices_ = distances, indices
        return display.plot(ax)


def _image_format(retriever: ImageRetriever, X_index: Any, display: type) -> ImageFormat:
    """Return the format of the encoder's images, or that of the images in the index."""
    encoder = unwrapped(retriever.encoder)
    if isinstance(encoder, DMZEncoder):
        return fitted_image_format(encoder, display)
    images = _pixels(retriever, take(X_index, slice(0, _PREVIEW), "X_index"))
    limits = float(images.min()), float(images.max())
    known = images.dtype == np.uint8 or (images.dtype.kind in "bf" and 0.0 <= limits[0] <= limits[1] <= 1.0)
    return learn_image_format(images, value_range="auto" if known else limits)


def _pixels(retriever: ImageRetriever, X: Any) -> np.ndarray:
    """Return images as an array; paths are read as the retriever reads them."""
    if not is_paths(X):
        return np.asarray(X)
    reader = retriever.image_reader or getattr(unwrapped(retriever.encoder), "image_reader_", None)
    if reader is None:
        raise ValueError("Images as paths need an ImageRetriever with image_reader=ImageReader(...).")
    return reader.transform(X)


def _distance_text(distance: int | float) -> str:
    if isinstance(distance, (float, np.floating)):
        return f"{distance:.3g}"
    return "1 bit" if distance == 1 else f"{distance} bits"


def _short(name: Any) -> str:
    """Return a name shortened to the width of an image."""
    return textwrap.shorten(str(name), 13, placeholder="…") if " " in str(name) else str(name)[:13]
