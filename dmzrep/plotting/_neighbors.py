"""Images and their nearest neighbours by codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._validation import check_int, short_repr
from dmzrep.codes._protocol import code_probabilities
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.plotting._grid import draw_grid
from dmzrep.plotting._pictures import (
    as_pictures,
    as_rows,
    check_numbers,
    check_pictures,
    code_name,
    fitted_image_format,
)
from dmzrep.retrieval import ImageRetriever, hamming_neighbors

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class NeighborsDisplay:
    """Query images, each followed by the images whose codes differ in the fewest bits.

    Make one with `from_estimator` or `from_retriever`.

    Parameters
    ----------
    queries : ndarray of shape (n, H, W) or (n, H, W, channels)
        Pictures with values in [0, 1].
    neighbors : ndarray of shape (n, k, H, W) or (n, k, H, W, channels)
        Pictures with values in [0, 1], the nearest first.
    distances : ndarray of shape (n, k)
        Differing bits if whole numbers, else any distance.
    indices : ndarray of shape (n, k)
        Row numbers of the neighbours.
    title : str, default="Nearest neighbors"
        Title of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the pictures.
    figure_ : matplotlib Figure
        Figure of the axes.
    images_ : list of matplotlib AxesImage
        The pictures, in reading order.

    Examples
    --------
    >>> from dmzrep import DMZEncoder
    >>> from dmzrep.datasets import load_digits_images
    >>> from dmzrep.plotting import NeighborsDisplay
    >>> X = load_digits_images().images
    >>> encoder = DMZEncoder(latent_dim=64, max_time=60).fit(X)  # doctest: +SKIP
    >>> NeighborsDisplay.from_estimator(encoder, X[:5], X[5:])  # doctest: +SKIP
    """

    def __init__(
        self,
        queries: np.ndarray,
        neighbors: np.ndarray,
        distances: np.ndarray,
        indices: np.ndarray,
        *,
        title: str = "Nearest neighbors",
    ):
        self.queries = queries
        self.neighbors = neighbors
        self.distances = distances
        self.indices = indices
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        encoder: DMZEncoder,
        X_query: Any,
        X_index: Any,
        k: int = 8,
        *,
        max_queries: int = 8,
        ax: Axes | None = None,
    ) -> Self:
        """Encode images, search by Hamming distance over bits, and draw what was found.

        Parameters
        ----------
        encoder : DMZEncoder
            Fitted on images.
        X_query : array-like, table or map-style dataset
            Images to search for, in the fitted layout. One that is also in `X_index` finds itself.
        X_index : array-like, table or map-style dataset
            Images to search in, in the fitted layout.
        k : int, default=8
            Neighbours of each query.
        max_queries : int, default=8
            How many of the queries are used, from the first.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        NeighborsDisplay
        """
        image_format = fitted_image_format(encoder, cls.__name__)
        max_queries = check_int(max_queries, "max_queries")
        queries, rows = (
            as_rows(encoder, X_query, "X_query")[:max_queries],
            as_rows(encoder, X_index, "X_index"),
        )
        k = check_int(k, "k", 1, len(rows), ", the number of images in X_index")
        distances, indices = hamming_neighbors(_bits(encoder, queries), _bits(encoder, rows), k)
        neighbors = as_pictures(rows[indices.ravel()], image_format)
        return cls(
            as_pictures(queries, image_format),
            neighbors.reshape(*indices.shape, *neighbors.shape[1:]),
            distances,
            indices,
            title=f"Nearest neighbors by Hamming distance over {code_name(encoder)}",
        ).plot(ax)

    @classmethod
    def from_retriever(
        cls,
        retriever: ImageRetriever,
        X_query: Any,
        X_index: Any,
        k: int = 8,
        *,
        where: Any = None,
        max_queries: int = 8,
        ax: Axes | None = None,
    ) -> Self:
        """Ask a retriever and draw what it found.

        Parameters
        ----------
        retriever : ImageRetriever
            Fitted, with a `DMZEncoder` of images.
        X_query : array-like, table or map-style dataset
            Images to search for.
        X_index : array-like, table or map-style dataset
            The images in the index, in the order of its `ids_`; a retriever keeps only their codes.
        k : int, default=8
            Neighbours of each query.
        where : str, callable, array-like of bool or None, default=None
            Condition, as in `ImageRetriever.query`.
        max_queries : int, default=8
            How many of the queries are used, from the first.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        NeighborsDisplay
            Its `indices` are rows of `X_index`.
        """
        if not isinstance(retriever, ImageRetriever):
            raise TypeError(f"retriever must be a fitted ImageRetriever, got {short_repr(retriever)}.")
        check_is_fitted(retriever)
        image_format = fitted_image_format(retriever.encoder, cls.__name__)
        max_queries = check_int(max_queries, "max_queries")
        encoder = retriever.encoder
        queries, rows = (
            as_rows(encoder, X_query, "X_query")[:max_queries],
            as_rows(encoder, X_index, "X_index"),
        )
        index = retriever.neighbors_
        if len(rows) != index.n_samples_fit_:
            raise ValueError(
                f"X_index must hold the {index.n_samples_fit_} images of the index, in the order of "
                f"retriever.neighbors_.ids_, got {len(rows)}."
            )
        k = check_int(k, "k")
        answer = retriever.query(queries, k, where=where)
        shape = (len(queries), k)
        indices = index.rows_of(answer["id"].to_numpy()).reshape(shape)
        neighbors = as_pictures(rows[indices.ravel()], image_format)
        return cls(
            as_pictures(queries, image_format),
            neighbors.reshape(*shape, *neighbors.shape[1:]),
            answer["distance"].to_numpy().reshape(shape),
            indices,
            title=f"Nearest neighbors among {len(rows):,} images by {code_name(retriever.encoder)}",
        ).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the pictures, distances under the neighbours.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        NeighborsDisplay
        """
        neighbors = check_pictures(self.neighbors, "neighbors", None, None)
        n, k = neighbors.shape[:2]
        queries = check_pictures(self.queries, "queries", n, of=neighbors.shape[2:])
        distances = check_numbers(self.distances, "distances", (n, k))
        self.ax_, self.images_ = draw_grid(
            np.concatenate([queries[:, None], neighbors], axis=1),
            ax,
            caller=f"{type(self).__name__}.plot",
            title=self.title,
            column_labels=["query", *(str(i + 1) for i in range(k))],
            captions=[["", *map(_caption, row)] for row in distances],
        )
        self.figure_ = self.ax_.figure
        return self


def _bits(encoder: DMZEncoder, rows: Any) -> np.ndarray:
    """Hard bits, whatever `output` the encoder gives."""
    return code_probabilities(encoder, rows) > 0.5


def _caption(distance: int | float) -> str:
    if isinstance(distance, (float, np.floating)):
        return f"{distance:.3g}"
    return "1 bit" if distance == 1 else f"{distance} bits"
