"""A grid of pictures on one matplotlib axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dmzrep.plotting._axes import axes_to_draw_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

#: Width of a picture in a figure that a display makes itself, in inches.
TILE = 0.8
#: Space between pictures, and what a caption needs below it, in widths of a picture.
GAP, CAPTION = 0.08, 0.22


def draw_grid(
    pictures: np.ndarray,
    ax: Axes | None,
    *,
    caller: str,
    title: str,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    captions: Sequence[Sequence[str]] | None = None,
    n_pictures: int | None = None,
) -> tuple[Axes, list[AxesImage]]:
    """Draw pictures in rows and columns.

    Parameters
    ----------
    pictures : ndarray of shape (n_rows, n_columns, H, W) or (n_rows, n_columns, H, W, channels)
        In [0, 1].
    ax : matplotlib Axes or None
        Where to draw; None makes a figure of fitting size.
    caller : str
        What draws, for the error when matplotlib is absent.
    title : str
        Above the grid.
    row_labels, column_labels : sequence of str, optional
        Left of each row, above each column.
    captions : sequence of sequence of str, optional
        Under each picture.
    n_pictures : int, optional
        Draw only so many, row by row; the last row may be incomplete.

    Returns
    -------
    ax : matplotlib Axes
    images : list of matplotlib AxesImage
        In reading order.
    """
    n_rows, n_columns, height, width = pictures.shape[:4]
    tall = height / width
    step = tall + GAP + (CAPTION if captions else 0.0)
    size = (max(TILE * n_columns * (1 + GAP) + 0.9, 3.2), TILE * n_rows * step + 0.7)
    ax = axes_to_draw_on(ax, size, caller)
    images = []
    for i in range(n_rows * n_columns if n_pictures is None else n_pictures):
        row, column = divmod(i, n_columns)
        left, top = column * (1 + GAP), row * step
        images.append(
            ax.imshow(
                pictures[row, column],
                cmap="gray",
                vmin=0.0,
                vmax=1.0,
                extent=(left, left + 1, top + tall, top),
            )
        )
        if captions:
            ax.text(left + 0.5, top + tall + 0.02, captions[row][column], ha="center", va="top", fontsize=8)
    # `imshow` fits the limits to its own picture.
    ax.set_xlim(-GAP, n_columns * (1 + GAP))
    ax.set_ylim(n_rows * step, -GAP)
    ax.set_yticks([row * step + tall / 2 for row in range(n_rows)] if row_labels else [], row_labels or [])
    columns = [column * (1 + GAP) + 0.5 for column in range(n_columns)]
    ax.set_xticks(columns if column_labels else [], column_labels or [])
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_title(title)
    return ax, images
