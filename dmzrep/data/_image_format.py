"""Conversion of images to tensors and back: layouts, value ranges, checks."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmzrep._base._validation import check_choice, short_repr
from dmzrep._base._warnings import warn
from dmzrep.data._values import check_numeric, first_outside, is_outside, value_limits

MAX_CHANNELS = 4
MIN_SIDE = 8
#: Number of samples of a dataset from which its format is learned.
PREVIEW_SAMPLES = 256
#: Fraction of the assumed value range that images should span; below it, a warning is raised.
_LEAST_SPREAD = 0.05


@dataclass(frozen=True)
class ImageFormat:
    """Layout and value range of images, and the conversion to model units and back.

    `layout` is the order of the axes ("HW", "HWC" or "CHW"), `shape` is (channels, H, W); `flat` means that
    samples are flattened images of shape (n_features,). `low` and `high` are mapped to -1 and +1.
    """

    layout: str
    shape: tuple[int, int, int]
    flat: bool
    dtype: str
    low: float
    high: float

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of an unflattened image in the original layout."""
        channels, height, width = self.shape
        if self.layout == "HW":
            return (height, width)
        return (height, width, channels) if self.layout == "HWC" else (channels, height, width)

    @property
    def channel_axes(self) -> tuple[int, ...]:
        """The axis of the channels in an array of unflattened images; empty without one."""
        return {"HW": (), "HWC": (3,), "CHW": (1,)}[self.layout]

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of a sample in the original layout."""
        return (math.prod(self.shape),) if self.flat else self.image_shape

    @property
    def is_discrete(self) -> bool:
        """Whether values are integers."""
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
        """Convert samples in the original layout to float32 (n, channels, H, W) in [-1, 1]."""
        x = raw.reshape(-1, *self.image_shape)
        if self.layout == "HW":
            x = x[:, None]
        elif self.layout == "HWC":
            x = x.permute(0, 3, 1, 2)
        scaled = x.to(torch.float32)
        scaled = (scaled - self.low) * (2.0 / (self.high - self.low)) - 1.0
        return scaled.clamp(-1.0, 1.0).contiguous(memory_format=torch.channels_last)

    def from_model(self, x: Tensor) -> np.ndarray:
        """Convert model units to the original layout, dtype and range, clipped, and rounded for integers."""
        unit = (x.detach().cpu().double().clamp(-1.0, 1.0) + 1.0) / 2.0
        values = unit * (self.high - self.low) + self.low
        if self.layout == "HW":
            values = values[:, 0]
        elif self.layout == "HWC":
            values = values.permute(0, 2, 3, 1)
        samples = values.reshape(len(values), *self.sample_shape).numpy()
        if self.is_discrete:
            samples = np.rint(samples)
        return samples.astype(self.dtype)

    def to_pictures(self, X: Any) -> np.ndarray:
        """Convert samples to float32 in [0, 1], (n, H, W) or (n, H, W, 3 or 4); two channels lack blue."""
        images = np.asarray(X).reshape(-1, *self.image_shape).astype(np.float64)
        images = (images - self.low) / (self.high - self.low)
        pictures = np.clip(images, 0.0, 1.0).astype(np.float32)
        if self.layout == "CHW":
            pictures = np.moveaxis(pictures, 1, -1)
        if self.shape[0] == 1:
            return pictures.reshape(-1, *self.shape[1:])
        if self.shape[0] == 2:
            return np.concatenate([pictures, np.zeros_like(pictures[..., :1])], axis=-1)
        return pictures

    def check_shape(self, X: Any) -> None:
        """Raise unless X, an array or a source, is numeric and has samples of the fitted shape."""
        if X.ndim == 0 or X.shape[1:] != self.sample_shape:
            remedy = (
                "Pass a single image as X[None]."
                if X.shape == self.sample_shape
                else "Resize or rearrange the images to the fitted layout."
            )
            raise ValueError(
                f"Found array with shape {X.shape}, but DMZEncoder was fitted on images of shape "
                f"{self.sample_shape}: expected (n, {', '.join(map(str, self.sample_shape))}). {remedy}"
            )
        if len(X) == 0:
            raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required by DMZEncoder.")
        check_numeric(X)

    def check_values(self, X: np.ndarray, indices: np.ndarray | None = None) -> None:
        """Raise unless values are finite and in the fitted range; `indices` are sample numbers for errors."""
        check_numeric(X)
        low, high = value_limits(X, indices)
        if is_outside((low, high), self.low, self.high):
            sample = first_outside(X, self.low, self.high, indices)
            raise ValueError(
                f"Image values must lie in the fitted range [{self.low:g}, {self.high:g}], got values from "
                f"{low:g} to {high:g} (first in sample {sample}). Scale the images as they were when the "
                "encoder was fitted."
            )
        coarse = self.is_discrete and self.high - self.low > 2 and self.high > 1.0
        if coarse and X.dtype.kind in "bf" and low < high <= 1.0:
            raise ValueError(
                f"DMZEncoder was fitted on {self.dtype} images in [{self.low:g}, {self.high:g}], but got "
                f"{X.dtype} values from {low:g} to {high:g}, which look scaled to [0, 1]. "
                f"Multiply them by {self.high:g}."
            )


def as_rgb(pictures: np.ndarray) -> np.ndarray:
    """Return pictures in [0, 1] with three channels: grey is repeated, opacity blended with white."""
    if pictures.ndim == 3:
        return np.repeat(pictures[..., None], 3, axis=-1)
    if pictures.shape[-1] == 4:
        opacity = pictures[..., 3:]
        return pictures[..., :3] * opacity + 1.0 - opacity
    return pictures


def learn_image_format(
    X: Any,
    image_shape: tuple[int, ...] | None = None,
    channels: str = "auto",
    value_range: tuple[float, float] | str = "auto",
) -> ImageFormat:
    """Determine layout and value range of images; only some samples of a dataset are read.

    X has shape (n, H, W), (n, H, W, C), (n, C, H, W), or (n, n_features) with `image_shape`. `value_range`
    "auto" is 0 to 255 for uint8, 0 to 1 for bool and floats. Raise ValueError if the layout or range is
    ambiguous, or if images are out of range, non-finite or constant; warn if they span little of the range.
    """
    check_numeric(X)
    flat = image_shape is not None and X.ndim == 2
    shape = tuple(image_shape) if image_shape is not None and flat else X.shape[1:]
    if image_shape is not None and not flat and tuple(image_shape) != X.shape[1:]:
        raise ValueError(
            f"image_shape={tuple(image_shape)} does not agree with images of shape {X.shape[1:]}."
        )
    if flat and math.prod(shape) != X.shape[1]:
        raise ValueError(
            f"image_shape={shape} has {math.prod(shape)} values, but X has {X.shape[1]} features."
        )
    layout, (n_channels, height, width) = find_layout(shape, channels)
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f"Images must be at least {MIN_SIDE} pixels high and wide, got {height} x {width} "
            f"(an image has shape {shape}, read as {layout}). Enlarge them, or pass vectors of shape "
            "(n, features)."
        )
    in_memory = isinstance(X, np.ndarray)
    preview = None if in_memory else np.unique(np.linspace(0, len(X) - 1, PREVIEW_SAMPLES).astype(np.int64))
    low, high, found = find_range(X if preview is None else X[preview], value_range, preview)
    if found[0] == found[1] and not in_memory:
        found = value_limits(X)
    if found[0] == found[1]:
        raise ValueError(
            f"All images are constant (every value is {found[0]:g}); there is nothing to learn from them."
        )
    if isinstance(value_range, str) and found[1] - found[0] < _LEAST_SPREAD * (high - low):
        warn(
            f"Images of dtype {X.dtype} are assumed to have values from {low:g} to {high:g}, but these lie "
            f"between {found[0]:g} and {found[1]:g}. If that is their whole range, such as 0 and 1 of masks, "
            f"pass value_range=({found[0]:g}, {found[1]:g})."
        )
    return ImageFormat(layout, (n_channels, height, width), flat, str(X.dtype), low, high)


def find_layout(shape: tuple[int, ...], channels: str) -> tuple[str, tuple[int, int, int]]:
    """Return the order of an image's axes, "HW", "HWC" or "CHW", and (channels, H, W); raise if ambiguous."""
    check_choice("channels", channels, ("auto", "first", "last"))
    if len(shape) == 2:
        return "HW", (1, *shape)
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
    first, last = (1 <= shape[axis] <= MAX_CHANNELS for axis in (0, 2))
    if channels == "auto" and first and last:
        raise ValueError(
            f"The channel axis of images of shape {shape} is ambiguous: pass channels='first' or 'last'."
        )
    if channels == "auto" and not (first or last):
        raise ValueError(
            f"Images of shape {shape} have no channel axis of 1 to {MAX_CHANNELS} entries. "
            "Expected (H, W, C) or (C, H, W)."
        )
    if channels == "first" or (channels == "auto" and first):
        return "CHW", shape
    return "HWC", (shape[2], *shape[:2])


def find_range(
    X: Any, value_range: tuple[float, float] | str, indices: np.ndarray | None = None
) -> tuple[float, float, tuple[float, float]]:
    """Return the value range and the smallest and largest value of X; raise if they are outside the range.

    `indices` are sample numbers for errors.
    """
    if isinstance(value_range, str):
        check_choice("value_range", value_range, ("auto",), " or two finite numbers")
    dtype = np.dtype(X.dtype)
    found_low, found_high = value_limits(X, indices)
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
    if is_outside((found_low, found_high), low, high):
        sample = first_outside(X, low, high, indices)
        raise ValueError(
            f"Images of dtype {dtype} must have values in [{low:g}, {high:g}], got values from {found_low:g} "
            f"to {found_high:g} (first in sample {sample}). Scale them, convert to uint8, or pass "
            "value_range=(smallest, largest)."
        )
    return low, high, (found_low, found_high)
