"""Edited images at several strengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dmzrep._base._validation import check_int, short_repr
from dmzrep.editing import AttributeEditor
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


class EditDisplay:
    """Images, each followed by what an edit of one attribute makes of it at several strengths.

    Make one with `from_estimator`.

    Parameters
    ----------
    originals : ndarray of shape (n, H, W) or (n, H, W, channels)
        Pictures with values in [0, 1].
    edits : ndarray of shape (n_strengths, n, H, W) or (n_strengths, n, H, W, channels)
        Pictures with values in [0, 1].
    strengths : sequence of n_strengths float
        Log-odds that the codes were to reach; 0 is no edit.
    probabilities : ndarray of shape (n_strengths + 1, n)
        Probability of the attribute that the probe gives to the originals and to the edited pictures,
        encoded again.
    title : str, default="Edits"
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
    >>> from dmzrep.editing import AttributeEditor
    >>> from dmzrep.plotting import EditDisplay
    >>> editor = AttributeEditor(encoder).fit(X, labels)  # doctest: +SKIP
    >>> EditDisplay.from_estimator(editor, X, "smiling")  # doctest: +SKIP
    """

    def __init__(
        self,
        originals: np.ndarray,
        edits: np.ndarray,
        strengths: Sequence[float],
        probabilities: np.ndarray,
        *,
        title: str = "Edits",
    ):
        self.originals = originals
        self.edits = edits
        self.strengths = strengths
        self.probabilities = probabilities
        self.title = title

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
        **options: Any,
    ) -> Self:
        """Edit images and draw them beside the originals.

        Parameters
        ----------
        editor : AttributeEditor
            Fitted, with an encoder of images.
        X : array-like, table or map-style dataset
            Images in the layout that the encoder was fitted on.
        attribute : str
            What to change.
        strengths : sequence of float, default=(-4, -2, 0, 2, 4)
            As in `AttributeEditor.edit`.
        max_images : int, default=6
            How many of the images are shown, from the first.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        **options
            Further options of `AttributeEditor.sweep`.

        Returns
        -------
        EditDisplay
        """
        if not isinstance(editor, AttributeEditor):
            raise TypeError(f"editor must be a fitted AttributeEditor, got {short_repr(editor)}.")
        image_format = fitted_image_format(editor.encoder, cls.__name__)
        rows = as_rows(editor.encoder, X, "X")[: check_int(max_images, "max_images")]
        edits = editor.sweep(rows, attribute, strengths, **options)[0]
        everything = np.concatenate([rows, edits.reshape(-1, *edits.shape[2:])])
        probabilities = editor.predict_proba(everything)[attribute].to_numpy()
        pictures = as_pictures(everything, image_format)
        originals, edited = pictures[: len(rows)], pictures[len(rows) :]
        return cls(
            originals,
            edited.reshape(len(strengths), *originals.shape),
            strengths,
            probabilities.reshape(len(strengths) + 1, len(rows)),
            title=f'Edits of "{attribute}"',
        ).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the pictures, the probe's probability under each.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        EditDisplay
        """
        originals = check_pictures(self.originals, "originals", None)
        edits = check_pictures(self.edits, "edits", None, len(originals), of=originals.shape[1:])
        strengths = check_numbers(self.strengths, "strengths", (len(edits),))
        probabilities = check_numbers(
            self.probabilities, "probabilities", (len(strengths) + 1, len(originals))
        )
        labels = ["no edit" if strength == 0.0 else f"{strength:+g}" for strength in strengths]
        self.ax_, self.images_ = draw_grid(
            np.concatenate([originals[None], edits]).swapaxes(0, 1),
            ax,
            caller=f"{type(self).__name__}.plot",
            title=f"{self.title} (below: probability by the probe)",
            column_labels=["original", *labels],
            captions=[[f"{value:.2f}" for value in row] for row in probabilities.T],
        )
        self.figure_ = self.ax_.figure
        return self
