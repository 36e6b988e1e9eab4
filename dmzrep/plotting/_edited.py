"""Edits and interpolations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dmzrep._base._validation import check_int, short_repr
from dmzrep.editing import AttributeEditor, interpolate
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.plotting._image_grid import ImageGridDisplay
from dmzrep.plotting._pictures import as_pictures, fitted_image_format, take

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class EditDisplay(ImageGridDisplay):
    """Images, each followed by edits of one attribute at several strengths.

    An `ImageGridDisplay` to create with `from_estimator`.

    Attributes
    ----------
    probabilities_ : ndarray of shape (n, n_strengths + 1)
        Probability of the attribute for the codes of the originals and of the edited images: those that
        the encoder returns for the images, not those that were decoded.

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
        strengths: Sequence[float] = (-4.0, -2.0, 0.0, 2.0, 4.0),
        *,
        max_images: int = 6,
        ax: Axes | None = None,
        **sampling: Any,
    ) -> Self:
        """Edit images and draw them beside the originals.

        Parameters
        ----------
        editor : AttributeEditor
            Fitted, with an encoder of images.
        X : array-like, table or map-style dataset
            Images in the layout that the encoder was fitted on.
        attribute : str
            Attribute to change.
        strengths : sequence of float, default=(-4, -2, 0, 2, 4)
            As in `AttributeEditor.edit`.
        max_images : int, default=6
            Number of images to edit, from the first.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a figure.
        **sampling
            Further options of `AttributeEditor.sweep`, such as `hold` and `n_steps`.

        Returns
        -------
        EditDisplay
        """
        if not isinstance(editor, AttributeEditor):
            raise TypeError(f"editor must be a fitted AttributeEditor, got {short_repr(editor)}.")
        image_format = fitted_image_format(editor.encoder, cls)
        samples = take(X, slice(0, check_int(max_images, "max_images")))
        versions = [samples, *editor.sweep(samples, attribute, strengths, **sampling)[0]]
        probabilities = np.stack([editor.predict_proba(images)[attribute] for images in versions], axis=1)
        labels = ["no edit" if strength == 0.0 else f"{strength:+g}" for strength in strengths]
        display = cls(
            np.stack([as_pictures(images, image_format) for images in versions], axis=1),
            title=f'Edits of "{attribute}"',
            column_labels=["original", *labels],
            captions=[[f"{value:.2f}" for value in row] for row in probabilities],
            note="below the images: probability of the attribute after encoding them",
        )
        display.probabilities_ = probabilities
        return display.plot(ax)


class InterpolationDisplay(ImageGridDisplay):
    """Interpolations between pairs of images through their codes, a row each, with the pair at the ends.

    An `ImageGridDisplay` to create with `from_estimator`.

    Attributes
    ----------
    moved_ : ndarray of shape (n_rows, n_steps)
        Bits by which a code differs from the first one of its row; fractions on soft paths.

    See Also
    --------
    dmzrep.editing.interpolate : The interpolations as arrays.

    Examples
    --------
    >>> from dmzrep.plotting import InterpolationDisplay
    >>> InterpolationDisplay.from_estimator(encoder, X[:4], X[4:8])  # doctest: +SKIP
    """

    moved_: np.ndarray

    @classmethod
    def from_estimator(
        cls,
        encoder: DMZEncoder,
        x0: Any,
        x1: Any,
        n_steps: int = 7,
        *,
        path: str | Sequence[str] = "smooth",
        max_walks: int = 6,
        ax: Axes | None = None,
        **sampling: Any,
    ) -> Self:
        """Interpolate between images and draw the results.

        Parameters
        ----------
        encoder : DMZEncoder
            Fitted on images.
        x0, x1 : array-like, table or map-style dataset
            Images at the beginnings and at the ends.
        n_steps : int, default=7
            Images of an interpolation, both ends included.
        path : str or sequence of str, default="smooth"
            As in `interpolate`; or several, to compare them on each pair.
        max_walks : int, default=6
            Number of pairs to use, from the first.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a figure.
        **sampling
            Further options of `interpolate`.

        Returns
        -------
        InterpolationDisplay
        """
        image_format = fitted_image_format(encoder, cls)
        pairs = slice(0, check_int(max_walks, "max_walks"))
        paths: list[Any] = [path] if isinstance(path, str) else list(path)
        if not paths:
            raise ValueError("path must be a name or a sequence of at least one.")
        x0, x1 = take(x0, pairs), take(x1, pairs)
        first, last = as_pictures(x0, image_format), as_pictures(x1, image_format)
        rows, moved = [], []
        for name in paths:
            walks, codes = interpolate(encoder, x0, x1, n_steps, path=name, **sampling)
            between = np.stack([as_pictures(walk, image_format) for walk in walks])
            rows.append(np.concatenate([first[:, None], between, last[:, None]], axis=1))
            moved.append(np.abs(codes - codes[:, :1].astype(float)).sum(axis=2))
        # Pair after pair, the paths of each together.
        changes = np.concatenate(list(np.stack(moved, axis=1)))
        display = cls(
            np.concatenate(list(np.stack(rows, axis=1))),
            title="Interpolation" if len(paths) > 1 else f"Interpolation, {paths[0]} path",
            row_labels=paths * len(first) if len(paths) > 1 else None,
            column_labels=["from", *[""] * n_steps, "to"],
            captions=[["", *(f"{value:g}" for value in np.round(row, 1)), ""] for row in changes],
            note="below the images: bits that differ from the first code",
        )
        display.moved_ = changes
        return display.plot(ax)
