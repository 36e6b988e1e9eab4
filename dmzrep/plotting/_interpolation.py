"""Walks from one image to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dmzrep._base._validation import check_int, short_repr
from dmzrep.editing._interpolation import interpolate
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.plotting._grid import draw_grid
from dmzrep.plotting._pictures import (
    as_pictures,
    as_rows,
    check_numbers,
    check_pictures,
    fitted_image_format,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class InterpolationDisplay:
    """Walks from one image to another through their codes, a row each, the two images at the ends.

    Make one with `from_estimator`.

    Parameters
    ----------
    first, last : ndarray of shape (n, H, W) or (n, H, W, channels)
        Pictures with values in [0, 1].
    walks : ndarray of shape (n, n_steps, H, W) or (n, n_steps, H, W, channels)
        Pictures with values in [0, 1].
    moved : ndarray of shape (n, n_steps)
        Bits by which a code differs from the first one of its walk; fractions on soft paths.
    row_labels : sequence of n str, optional
        Names of the walks.
    title : str, default="Walks"
        Title of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the pictures.
    figure_ : matplotlib Figure
        Figure of the axes.
    images_ : list of matplotlib AxesImage
        The pictures, in reading order.

    See Also
    --------
    dmzrep.editing._interpolation.interpolate : The walks as arrays.

    Examples
    --------
    >>> from dmzrep.plotting import InterpolationDisplay
    >>> InterpolationDisplay.from_estimator(encoder, X[:4], X[4:8])  # doctest: +SKIP
    """

    def __init__(
        self,
        first: np.ndarray,
        last: np.ndarray,
        walks: np.ndarray,
        moved: np.ndarray,
        *,
        row_labels: Sequence[str] | None = None,
        title: str = "Walks",
    ):
        self.first = first
        self.last = last
        self.walks = walks
        self.moved = moved
        self.row_labels = row_labels
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        encoder: DMZEncoder,
        x0: Any,
        x1: Any,
        n_images: int = 7,
        *,
        path: str | Sequence[str] = "smooth",
        max_walks: int = 6,
        ax: Axes | None = None,
        **options: Any,
    ) -> Self:
        """Walk between images and draw the walks.

        Parameters
        ----------
        encoder : DMZEncoder
            Fitted on images.
        x0, x1 : array-like, table or map-style dataset
            Images at the beginnings and at the ends.
        n_images : int, default=7
            Images of a walk, both ends included.
        path : str or sequence of str, default="smooth"
            As in `interpolate`; or several, to compare them on each pair.
        max_walks : int, default=6
            How many of the pairs are shown, from the first.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        **options
            Further options of `interpolate`.

        Returns
        -------
        InterpolationDisplay
        """
        image_format = fitted_image_format(encoder, cls.__name__)
        max_walks = check_int(max_walks, "max_walks")
        paths: list[Any] = list(path) if isinstance(path, (list, tuple)) else [path]
        if not paths:
            raise ValueError("path must be a word, or a list of at least one.")
        first, last = as_rows(encoder, x0, "x0")[:max_walks], as_rows(encoder, x1, "x1")[:max_walks]
        walks = [interpolate(encoder, first, last, n_images, path=name, **options) for name in paths]
        # Pair after pair, the paths of each together.
        images = np.stack([images for images, _ in walks], axis=1)
        codes = np.stack([codes.astype(float) for _, codes in walks], axis=1)
        moved = np.abs(codes - codes[:, :, :1]).sum(axis=3).reshape(-1, n_images)
        pictures = as_pictures(images.reshape(-1, *images.shape[3:]), image_format)
        from_to = [np.repeat(as_pictures(x, image_format), len(paths), axis=0) for x in (first, last)]
        return cls(
            from_to[0],
            from_to[1],
            pictures.reshape(len(moved), n_images, *pictures.shape[1:]),
            moved,
            row_labels=None if len(paths) == 1 else paths * len(first),
            title=f"Walks, {paths[0]} path" if len(paths) == 1 else "Walks",
        ).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the pictures, bits moved under those of the walk.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        InterpolationDisplay
        """
        walks = check_pictures(self.walks, "walks", None, None)
        n, n_steps, of = len(walks), walks.shape[1], walks.shape[2:]
        first, last = (
            check_pictures(ends, name, n, of=of)
            for ends, name in ((self.first, "first"), (self.last, "last"))
        )
        moved = check_numbers(self.moved, "moved", (n, n_steps))
        labels = self.row_labels
        if labels is not None and (
            not isinstance(labels, (list, tuple, np.ndarray)) or np.shape(labels) != (n,)
        ):
            raise ValueError(f"row_labels must be a list of {n} names, or None, got {short_repr(labels)}.")
        self.ax_, self.images_ = draw_grid(
            np.concatenate([first[:, None], walks, last[:, None]], axis=1),
            ax,
            caller=f"{type(self).__name__}.plot",
            title=f"{self.title} (below: bits moved)",
            row_labels=None if labels is None else [str(label) for label in labels],
            column_labels=["from", *[""] * n_steps, "to"],
            captions=[["", *(f"{value:g}" for value in np.round(row, 1)), ""] for row in moved],
        )
        self.figure_ = self.ax_.figure
        return self
