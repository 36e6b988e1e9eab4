"""A grid of images on one Matplotlib axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import _safe_indexing

from dmzrep._base._validation import as_numbers, short_repr
from dmzrep.data import DatasetSource, ImageFormat, is_dataset
from dmzrep.estimator._encoder import DMZEncoder, check_encoder
from dmzrep.plotting._display import Display

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

#: Width of an image in a new figure, in inches.
_TILE = 0.8
#: Gap between images, distance of columns, and height of a line of text, in widths of an image.
_GAP, _COLUMN_STEP, _LINE = 0.08, 1.08, 0.19
#: Distance from [0, 1] that counts as a rounding error.
_ROUNDING = 1e-6


class ImageGridDisplay(Display):
    """Labelled images in rows and columns; the base class of all Displays of images.

    Parameters
    ----------
    images : array-like of shape (n_rows, n_columns, H, W) or (n_rows, n_columns, H, W, 3 or 4)
        Pixel values in [0, 1]. Images that are all NaN are left blank.
    title : str, default=""
        Title of the axes.
    row_labels : sequence of n_rows str, optional
        Labels to the left of the rows.
    column_labels : sequence of n_columns str, optional
        Labels above the columns.
    captions : sequence of n_rows sequences of n_columns str, optional
        Captions below the images.
    note : str, default=""
        Text below the grid.

    Attributes
    ----------
    images_ : list of matplotlib AxesImage
        The images drawn, row by row.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.plotting import ImageGridDisplay
    >>> images = np.random.default_rng(0).random((2, 3, 8, 8))
    >>> ImageGridDisplay(images, row_labels=["before", "after"]).plot()  # doctest: +SKIP
    """

    def __init__(
        self,
        images: Any,
        *,
        title: str = "",
        row_labels: Sequence[str] | None = None,
        column_labels: Sequence[str] | None = None,
        captions: Sequence[Sequence[str]] | None = None,
        note: str = "",
    ):
        self.images = images
        self.title = title
        self.row_labels = row_labels
        self.column_labels = column_labels
        self.captions = captions
        self.note = note

    def _prepare(self) -> tuple[float, float]:
        images = as_numbers(self.images, "images")
        if images.ndim not in (4, 5) or 0 in images.shape or images.shape[4:] not in ((), (3,), (4,)):
            raise ValueError(
                "images must have shape (n_rows, n_columns, H, W) or (n_rows, n_columns, H, W, 3 or 4), got "
                f"{images.shape}."
            )
        low, high = np.nanmin(images, initial=0.0), np.nanmax(images, initial=1.0)
        if low < -_ROUNDING or high > 1.0 + _ROUNDING:
            raise ValueError(
                f"images must have pixels in [0, 1], got values from {low:g} to {high:g}. Divide uint8 "
                "images by 255."
            )
        n_rows, n_columns, pixel_height, pixel_width = images.shape[:4]
        for name, size in (("row_labels", n_rows), ("column_labels", n_columns), ("captions", n_rows)):
            texts = getattr(self, name)
            found = len(texts) if hasattr(texts, "__len__") else short_repr(texts)
            if texts is not None and found != size:
                raise ValueError(f"{name} must have {size} entries, as many as the grid, got {found}.")
        if any(len(row) != n_columns for row in self.captions or []):
            raise ValueError(f"captions must have {n_columns} texts per row, one for each image.")
        n_lines = max((text.count("\n") + 1 for row in self.captions or [] for text in row), default=0)
        self._height = pixel_height / pixel_width
        self._row_step = self._height + _GAP + _LINE * n_lines
        label_width = 0.09 * max((len(str(label)) for label in self.row_labels or []), default=0)
        n_text_lines = 2 + (self.column_labels is not None) + bool(self.note)
        width = max(_TILE * n_columns * _COLUMN_STEP + label_width + 0.2, 3.6, 0.06 * len(self.note))
        return width, _TILE * n_rows * self._row_step + 0.2 * n_text_lines

    def _draw(self, ax: Axes) -> None:
        images, height, row_step = np.asarray(self.images, dtype=np.float64), self._height, self._row_step
        n_rows, n_columns = images.shape[:2]
        self.images_: list[AxesImage] = []
        for row, column in np.ndindex(n_rows, n_columns):
            if np.isnan(images[row, column]).all():
                continue
            left, top = column * _COLUMN_STEP, row * row_step
            # The origin, the aspect and the ticks are set explicitly, as rcParams may have other defaults.
            drawn = ax.imshow(
                images[row, column],
                cmap="gray",
                vmin=0.0,
                vmax=1.0,
                origin="upper",
                aspect="equal",
                extent=(left, left + 1.0, top + height, top),
            )
            self.images_.append(drawn)
            if self.captions:
                style: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 8, "parse_math": False}
                ax.text(left + 0.5, top + height + 0.02, self.captions[row][column], **style)
        # `imshow` sets the limits to those of its image.
        ax.set_xlim(-_GAP, n_columns * _COLUMN_STEP)
        ax.set_ylim(n_rows * row_step, -_GAP)
        for set_ticks, labels, step, centre in (
            (ax.set_xticks, self.column_labels, _COLUMN_STEP, 0.5),
            (ax.set_yticks, self.row_labels, row_step, height / 2),
        ):
            texts = [str(label) for label in labels or []]
            set_ticks(np.arange(len(texts)) * step + centre, texts, parse_math=False)
        ax.tick_params(length=0, labeltop=True, labelbottom=False, labelleft=True, labelright=False)
        ax.minorticks_off()
        ax.grid(False)
        for spine in ax.spines.values():
            spine.set_visible(False)
        ax.set_title(self.title, wrap=True, parse_math=False)
        ax.set_xlabel(self.note, fontsize=8)


def fitted_image_format(encoder: DMZEncoder, display: type) -> ImageFormat:
    """Return the format of an encoder's images; raise unless it was fitted on images."""
    check_encoder(encoder)
    data_format = encoder.decoder_.data_format
    if not isinstance(data_format, ImageFormat):
        raise ValueError(
            f"{display.__name__} draws images, but the encoder was fitted on vectors of "
            f"{data_format.shape[0]} features. If they are flattened images, fit with image_shape=(H, W) or "
            "(H, W, C)."
        )
    return data_format


def code_name(encoder: DMZEncoder) -> str:
    """Return a description of a fitted encoder's code for a title, such as ``"64 bits"``."""
    n_bits = encoder.decoder_.latent_dim
    return "no code" if not encoder.decoder_.has_code else "1 bit" if n_bits == 1 else f"{n_bits} bits"


def take(X: Any, indices: np.ndarray | slice, name: str = "X") -> Any:
    """Return some samples of an array, a table or a map-style dataset, without reading the others."""
    if not hasattr(X, "__len__"):
        raise TypeError(f"{name} must be an array, a table or a dataset of images, got {short_repr(X)}.")
    return DatasetSource(X)[indices] if is_dataset(X) else _safe_indexing(X, indices)
