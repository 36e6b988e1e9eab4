"""Edits and interpolations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dmzrep._base._validation import check_int, short_repr
from dmzrep.editing import AttributeEditor, interpolate
from dmzrep.editing._interpolation import PATHS
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.plotting._image_grid import ImageGridDisplay, fitted_image_format, take

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _label_of(amount: float) -> str:
    """Return the label of a column of edits."""
    if np.isinf(amount):
        return "added" if amount > 0.0 else "removed"
    return f"{amount:+g}" if amount else "no edit"


class EditDisplay(ImageGridDisplay):
    """Images and their edits by several amounts of one attribute; create it with `from_estimator`.

    Parameters
    ----------
    images, title, row_labels, column_labels, captions, note
        As in `ImageGridDisplay`.

    Attributes
    ----------
    probabilities_ : ndarray of shape (n, n_amounts + 1)
        Probability of the attribute for the originals and for the edited images, after encoding them.

    See Also
    --------
    AttributeEditor.sweep : The edits as arrays.

    Examples
    --------
    >>> from dmzrep.editing import AttributeEditor
    >>> from dmzrep.plotting import EditDisplay
    >>> editor = AttributeEditor(encoder).fit(X, labels)  # doctest: +SKIP
    >>> EditDisplay.from_estimator(editor, X, "smiling")  # doctest: +SKIP
    """

    probabilities_: np.ndarray

    @classmethod
    def from_estimator(
        cls,
        editor: AttributeEditor,
        X: Any,
        attribute: str,
        amounts: Sequence[float] = (-np.inf, -3.0, 0.0, 3.0, np.inf),
        *,
        max_images: int = 6,
        ax: Axes | None = None,
        **options: Any,
    ) -> Self:
        """Edit images and draw them beside the originals.

        Parameters
        ----------
        editor : AttributeEditor
            Fitted, with an encoder of images.
        X : array-like, table or map-style dataset
            Images in the fitted layout.
        attribute : str
            Attribute to change.
        amounts : sequence of float, default=(-inf, -3, 0, 3, inf)
            Log-odds of the attribute, as in `AttributeEditor.edit`.
        max_images : int, default=6
            Largest number of images to edit, from the first.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None creates a figure.
        **options
            Options of `AttributeEditor.sweep`, such as `hold`, `strength` and `n_steps`.

        Returns
        -------
        EditDisplay
        """
        if not isinstance(editor, AttributeEditor):
            raise TypeError(f"editor must be a fitted AttributeEditor, got {short_repr(editor)}.")
        image_format = fitted_image_format(editor.encoder, cls)
        originals = take(X, slice(0, check_int(max_images, "max_images")))
        columns = [originals, *editor.sweep(originals, attribute, amounts, **options)[0]]
        probabilities = np.stack([editor.predict_proba(images)[attribute] for images in columns], axis=1)
        display = cls(
            np.stack([image_format.to_pictures(images) for images in columns], axis=1),
            title=f'Edits of "{attribute}"',
            column_labels=["original", *map(_label_of, amounts)],
            captions=[[f"{value:.2f}" for value in row] for row in probabilities],
            note="columns: target log-odds; below the images: probability after encoding them",
        )
        display.probabilities_ = probabilities
        return display.plot(ax)


class InterpolationDisplay(ImageGridDisplay):
    """Interpolations between pairs of images, one per row; create it with `from_estimator`.

    Parameters
    ----------
    images, title, row_labels, column_labels, captions, note
        As in `ImageGridDisplay`.

    Attributes
    ----------
    distances_ : ndarray of shape (n_rows, n_images)
        Number of bits in which a code differs from the first one of its row; fractional on soft paths.

    See Also
    --------
    dmzrep.editing.interpolate : The interpolations as arrays.

    Examples
    --------
    >>> from dmzrep.plotting import InterpolationDisplay
    >>> InterpolationDisplay.from_estimator(encoder, X[:4], X[4:8])  # doctest: +SKIP
    """

    distances_: np.ndarray

    @classmethod
    def from_estimator(
        cls,
        encoder: DMZEncoder,
        x0: Any,
        x1: Any,
        n_images: int = 7,
        *,
        path: str | Sequence[str] = "smooth",
        max_pairs: int = 6,
        ax: Axes | None = None,
        **options: Any,
    ) -> Self:
        """Interpolate between images and draw the results.

        Parameters
        ----------
        encoder : DMZEncoder
            Fitted on images.
        x0, x1 : array-like, table or map-style dataset
            First and last images.
        n_images : int, default=7
            Images per interpolation, both ends included.
        path : str or sequence of str, default="smooth"
            As in `interpolate`; several are drawn below each other for each pair.
        max_pairs : int, default=6
            Largest number of pairs to draw, from the first.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None creates a figure.
        **options
            Options of `interpolate`, such as `noise`, `strength` and `n_steps`.

        Returns
        -------
        InterpolationDisplay
        """
        image_format = fitted_image_format(encoder, cls)
        pairs = slice(0, check_int(max_pairs, "max_pairs"))
        paths: Any = [path] if isinstance(path, str) else path
        if not isinstance(paths, (tuple, list)) or not paths:
            raise ValueError(f"path must be one or more of {PATHS}, got {short_repr(path)}.")
        paths = list(paths)
        x0, x1 = take(x0, pairs, "x0"), take(x1, pairs, "x1")
        rows, distances = [], []
        for name in paths:
            images, codes = interpolate(encoder, x0, x1, n_images, path=name, **options)
            first, last = image_format.to_pictures(x0), image_format.to_pictures(x1)
            between = image_format.to_pictures(images).reshape(len(first), n_images, *first.shape[1:])
            rows.append(np.concatenate([first[:, None], between, last[:, None]], axis=1))
            distances.append(np.abs(codes - codes[:, :1].astype(float)).sum(axis=2))
        # The paths of a pair are next to each other.
        images, moved = (np.concatenate(list(np.stack(values, axis=1))) for values in (rows, distances))
        display = cls(
            images,
            title="Interpolation" if len(paths) > 1 else f"Interpolation, {paths[0]} path",
            row_labels=paths * len(first) if len(paths) > 1 else None,
            column_labels=["from", *[""] * n_images, "to"],
            captions=[["", *(f"{value:g}" for value in np.round(row, 1)), ""] for row in moved],
            note="below the images: bits that differ from the first code",
        )
        display.distances_ = moved
        return display.plot(ax)
