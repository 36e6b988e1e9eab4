"""Arrays to tensors and back: layouts, value ranges, checks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmzrep._base._batching import batches
from dmzrep._base._validation import check_choice, check_magnitude, short_repr

MAX_CHANNELS = 4
MIN_SIDE = 8
#: Standardised values up to which networks stay within float32.
FARTHEST = 1e12
#: Bytes that are scanned at a time when values are checked.
_SCAN_BYTES = 2**26


@dataclass(frozen=True)
class ImageFormat:
    """How a user's images are laid out, and how they become model units and come back.

    Parameters
    ----------
    layout : {"HW", "HWC", "CHW"}
        Order of an image's axes.
    shape : tuple of int
        (channels, H, W).
    flat : bool
        Rows are flattened images of shape (features,).
    dtype : str
        Name of the NumPy dtype.
    low, high : float
        Values that become -1 and +1.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.data._formats import learn_image_format
    >>> X = np.zeros((4, 28, 28), dtype=np.uint8)
    >>> X[0] = 255
    >>> images = learn_image_format(X)
    >>> images.shape, images.layout, images.high
    ((1, 28, 28), 'HW', 255.0)
    """

    layout: str
    shape: tuple[int, int, int]
    flat: bool
    dtype: str
    low: float
    high: float

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of an unflattened image in the user's layout."""
        channels, height, width = self.shape
        if self.layout == "HW":
            return (height, width)
        return (height, width, channels) if self.layout == "HWC" else (channels, height, width)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of a row of the user's array."""
        return (math.prod(self.shape),) if self.flat else self.image_shape

    @property
    def is_discrete(self) -> bool:
        """Whether values are whole numbers."""
        return np.issubdtype(np.dtype(self.dtype), np.integer) or self.dtype == "bool"

    @property
    def bound(self) -> float:
        """Largest absolute value in model units."""
        return 1.0

    @property
    def data_bin(self) -> float | None:
        """Width of a grey level in model units, or None for continuous data."""
        return 2.0 / (self.high - self.low) if self.is_discrete else None

    def to_model(self, raw: Tensor) -> Tensor:
        """Turn rows in the user's layout into float32 (n, channels, H, W) in [-1, 1]."""
        x = raw.reshape(-1, *self.image_shape)
        if self.layout == "HW":
            x = x[:, None]
        elif self.layout == "HWC":
            x = x.permute(0, 3, 1, 2)
        scaled = x.to(torch.float32)
        scaled = (scaled - self.low) * (2.0 / (self.high - self.low)) - 1.0
        return scaled.contiguous(memory_format=torch.channels_last)

    def from_model(self, x: Tensor) -> np.ndarray:
        """Turn model units into rows of the user's layout, dtype and range.

        Values are clipped to the range and, for whole numbers, rounded.
        """
        values = (x.detach().cpu().double().clamp(-1.0, 1.0) + 1.0) * (
            (self.high - self.low) / 2.0
        ) + self.low
        if self.layout == "HW":
            values = values[:, 0]
        elif self.layout == "HWC":
            values = values.permute(0, 2, 3, 1)
        rows = values.reshape(len(values), *self.row_shape).numpy()
        if self.is_discrete:
            rows = np.rint(rows)
        return rows.astype(self.dtype)

    def check(self, X: np.ndarray) -> None:
        """Raise unless rows have the fitted shape and values in the fitted range."""
        if X.ndim == 0 or X.shape[1:] != self.row_shape:
            alone = X.shape == self.row_shape
            raise ValueError(
                f"Found array with shape {X.shape}, but DMZEncoder was fitted on images of shape "
                f"{self.row_shape}: expected (n, {', '.join(map(str, self.row_shape))}). "
                + (
                    "Pass a single image as X[None]."
                    if alone
                    else "Resize or rearrange the images to the fitted layout."
                )
            )
        if len(X) == 0:
            raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required by DMZEncoder.")
        _check_numeric(X)
        low, high = value_limits(X)
        slack = 1e-6 * (self.high - self.low)
        if low < self.low - slack or high > self.high + slack:
            raise ValueError(
                f"Image values must lie in the fitted range [{self.low:g}, {self.high:g}], got values from "
                f"{low:g} to {high:g}. Scale the images as they were when the encoder was fitted."
            )
        is_fraction = np.issubdtype(X.dtype, np.floating) or np.dtype(X.dtype).kind == "b"
        if (
            is_fraction
            and self.is_discrete
            and self.high - self.low > 2
            and high <= 1.0 < self.high
            and high > low
        ):
            raise ValueError(
                f"DMZEncoder was fitted on {self.dtype} images in [{self.low:g}, {self.high:g}], but got "
                f"{X.dtype} values from {low:g} to {high:g}, which look scaled to [0, 1]. "
                f"Multiply them by {self.high:g}."
            )


@dataclass(frozen=True)
class VectorFormat:
    """Standardisation of vectors, learned at fit and undone on the way out.

    Parameters
    ----------
    mean, scale : ndarray of shape (n_features,)
        Float64; a constant feature has scale one.
    dtype : str
        Name of the floating dtype to give back.
    bound : float
        Largest absolute standardised value of the fitted data.
    """

    mean: np.ndarray
    scale: np.ndarray
    dtype: str
    bound: float

    @property
    def shape(self) -> tuple[int]:
        """(n_features,)."""
        return (len(self.mean),)

    @property
    def row_shape(self) -> tuple[int]:
        """(n_features,)."""
        return self.shape

    @property
    def data_bin(self) -> None:
        """Vectors are continuous."""
        return None

    def check(self, X: np.ndarray) -> None:
        """Raise unless rows stay within float32, with room for the networks, when they are standardised."""
        with np.errstate(over="ignore"):
            farthest = max(np.abs((edge - self.mean) / self.scale).max() for edge in (X.max(0), X.min(0)))
        if farthest > FARTHEST:
            raise ValueError(
                f"X has a value {farthest:.3g} standard deviations from the mean of the fitted rows, at most "
                f"{FARTHEST:g} can be encoded. Scale the rows as they were when the encoder was fitted."
            )

    def to_model(self, raw: Tensor) -> Tensor:
        """Standardise rows, float32."""
        # Apple's MPS has no float64, not even on the way.
        precision = torch.float32 if raw.device.type == "mps" else torch.float64
        mean, scale = (torch.from_numpy(a).to(precision).to(raw.device) for a in (self.mean, self.scale))
        return ((raw.to(mean.dtype) - mean) / scale).to(torch.float32)

    def from_model(self, x: Tensor) -> np.ndarray:
        """Undo the standardisation."""
        return (x.detach().cpu().double().numpy() * self.scale + self.mean).astype(self.dtype)


def learn_vector_format(X: np.ndarray) -> VectorFormat:
    """Learn the mean and spread of each feature of X, shape (n, n_features)."""
    check_magnitude(X, "X", np.float64)
    blocks = list(_blocks(X))
    # A block at a time: the differences of all rows at once would be a copy of X, in float64.
    mean = sum(X[block].sum(axis=0, dtype=np.float64) for block in blocks) / len(X)
    scale = np.sqrt(sum(((X[block] - mean) ** 2).sum(axis=0) for block in blocks) / len(X))
    # A constant feature shows a spread of rounding errors only.
    constant = scale <= 1e-12 * np.abs(mean)
    dtype = str(X.dtype) if np.issubdtype(X.dtype, np.floating) else "float64"
    scale = np.where(constant, 1.0, scale)
    bound = max(np.abs((X.max(axis=0) - mean) / scale).max(), np.abs((X.min(axis=0) - mean) / scale).max())
    return VectorFormat(mean, scale, dtype, float(bound))


def learn_image_format(
    X: np.ndarray,
    image_shape: tuple[int, ...] | None = None,
    channels: str = "auto",
    value_range: tuple[float, float] | str = "auto",
) -> ImageFormat:
    """Find layout and value range of images.

    Parameters
    ----------
    X : ndarray or array-like with shape, dtype and row access
        Images of shape (n, H, W), (n, H, W, C), (n, C, H, W), or (n, features) with `image_shape`.
    image_shape : tuple of int, optional
        (H, W), (H, W, C) or (C, H, W) of flattened rows.
    channels : {"auto", "first", "last"}, default="auto"
        Where the channel axis stands; ``"auto"`` finds it if only one axis has 1 to 4 entries.
    value_range : tuple of two floats or "auto", default="auto"
        Smallest and largest value a pixel can take. ``"auto"`` is 0 to 255 for uint8, 0 to 1 for
        bool and floats.

    Returns
    -------
    ImageFormat

    Raises
    ------
    ValueError
        Layout or range cannot be told, or values are out of range, not finite or all the same.
    """
    _check_numeric(X)
    flat = image_shape is not None and X.ndim == 2
    shape = tuple(image_shape) if image_shape is not None and flat else X.shape[1:]
    if image_shape is not None and not flat and tuple(image_shape) != X.shape[1:]:
        raise ValueError(
            f"image_shape={tuple(image_shape)} does not agree with images of shape {X.shape[1:]}."
        )
    if flat and math.prod(shape) != X.shape[1]:
        raise ValueError(
            f"image_shape={shape} has {math.prod(shape)} values, but X has {X.shape[1]} features. "
            "Their numbers must be equal."
        )
    layout = find_layout(shape, channels)
    height, width = shape[1:] if layout == "CHW" else shape[:2]
    n_channels = 1 if layout == "HW" else shape[0] if layout == "CHW" else shape[2]
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f"Images must be at least {MIN_SIDE} pixels high and wide, got {height} x {width} "
            f"(an image has shape {shape}, read as {layout}). Enlarge them, or give vectors of shape "
            "(n, features)."
        )
    low, high, found = find_range(X, value_range)
    if found[0] == found[1]:
        raise ValueError(
            f"All images are constant (every value is {found[0]:g}); there is nothing to learn from them."
        )
    return ImageFormat(layout, (n_channels, height, width), flat, str(X.dtype), low, high)


def value_limits(X: Any) -> tuple[float, float]:
    """Smallest and largest value, read a block of rows at a time; raises where not finite."""
    low, high = math.inf, -math.inf
    for rows in _blocks(X):
        block = np.asarray(X[rows])
        block_low, block_high = float(block.min()), float(block.max())
        if not (math.isfinite(block_low) and math.isfinite(block_high)):
            kind = "NaN" if np.isnan(block).any() else "infinity"
            bad = int(np.flatnonzero(~np.isfinite(block.reshape(len(block), -1)).all(axis=1))[0])
            raise ValueError(
                f"Input X contains {kind} (first in row {rows.start + bad}). "
                "DMZEncoder needs finite values: drop or repair those rows."
            )
        low, high = min(low, block_low), max(high, block_high)
    return low, high


def _blocks(X: Any) -> Iterator[slice]:
    """Slices of rows, of at most `_SCAN_BYTES` unless one row has more."""
    row_bytes = math.prod(X.shape[1:]) * np.dtype(X.dtype).itemsize
    return batches(len(X), max(1, _SCAN_BYTES // max(1, row_bytes)))


def _check_numeric(X: Any) -> None:
    dtype = np.dtype(X.dtype)
    if dtype.kind not in "buif":
        raise ValueError(
            f"Images must be uint8 or floating-point arrays, got dtype {dtype}. "
            "Convert them, for instance with numpy.asarray(X, dtype='uint8')."
        )


def find_layout(shape: tuple[int, ...], channels: str) -> str:
    """Order of the axes of an image, "HW", "HWC" or "CHW"; raise where it cannot be told."""
    check_choice("channels", channels, ("auto", "first", "last"))
    if len(shape) == 2:
        return "HW"
    if len(shape) != 3:
        raise ValueError(
            "Expected images of shape (n, H, W), (n, H, W, C) or (n, C, H, W), or vectors of shape "
            f"(n, features), got an array of {len(shape) + 1} dimensions."
        )
    if channels != "auto":
        count = shape[0] if channels == "first" else shape[2]
        if not 1 <= count <= MAX_CHANNELS:
            raise ValueError(
                f"channels={channels!r} says that images of shape {shape} have {count} channels; "
                f"1 to {MAX_CHANNELS} are possible."
            )
        return "CHW" if channels == "first" else "HWC"
    first, last = (1 <= shape[axis] <= MAX_CHANNELS for axis in (0, 2))
    if first and last:
        raise ValueError(
            f"The channel axis of images of shape {shape} is ambiguous: pass channels='first' or 'last'."
        )
    if not (first or last):
        raise ValueError(
            f"Images of shape {shape} have no channel axis of 1 to {MAX_CHANNELS} entries. "
            "Expected (H, W, C) or (C, H, W)."
        )
    return "CHW" if first else "HWC"


def find_range(X: Any, value_range: tuple[float, float] | str) -> tuple[float, float, tuple[float, float]]:
    """Smallest and largest possible value, and those that occur; raise where values are out of range."""
    dtype = np.dtype(X.dtype)
    found_low, found_high = value_limits(X)
    if not isinstance(value_range, str):
        try:
            low, high = map(float, value_range)
        except (TypeError, ValueError, OverflowError):
            low = high = math.nan
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(
                "value_range must be two finite numbers, the smaller first, or 'auto'. "
                f"Got {short_repr(value_range)}."
            )
    elif dtype == np.uint8:
        low, high = 0.0, 255.0
    elif dtype.kind == "b" or np.issubdtype(dtype, np.floating):
        low, high = 0.0, 1.0
    else:
        raise ValueError(
            f"Images of dtype {dtype} have no known range. Convert them to uint8 (0 to 255), or pass "
            f"value_range, for instance value_range=({min(0, int(found_low))}, {int(found_high)})."
        )
    if found_low < low or found_high > high:
        raise ValueError(
            f"Images of dtype {dtype} must have values in [{low:g}, {high:g}], got values from {found_low:g} "
            f"to {found_high:g}. Scale them, convert to uint8, or pass value_range=(smallest, largest)."
        )
    return low, high, (found_low, found_high)
