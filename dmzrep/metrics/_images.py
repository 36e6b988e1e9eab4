"""Images of any size and layout, as the measures read them."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from dmzrep._base._validation import as_array
from dmzrep.data import ImageFormat, find_layout, find_range, to_tensor


def read_images(
    X: Any,
    channels: str = "auto",
    value_range: tuple[float, float] | str = "auto",
    name: str = "images",
) -> tuple[np.ndarray, ImageFormat]:
    """Return images, which may be constant, with their layout and value range."""
    images = as_array(X, name)
    if images.ndim < 3 or 0 in images.shape:
        raise ValueError(
            f"{name} must have shape (n, H, W), (n, H, W, C) or (n, C, H, W) with n of at least 1, got "
            f"{images.shape}. Reshape flattened images, and pass a single image as X[None]."
        )
    if images.dtype.kind not in "buif":
        raise ValueError(f"{name} must be uint8 or floating-point images, got dtype {images.dtype}.")
    shape = images.shape[1:]
    layout = find_layout(shape, channels)
    low, high, _ = find_range(images, value_range)
    height, width = shape[1:] if layout == "CHW" else shape[:2]
    n_channels = 1 if layout == "HW" else shape[0] if layout == "CHW" else shape[2]
    return images, ImageFormat(layout, (n_channels, height, width), False, str(images.dtype), low, high)


def unit_tensor(images: np.ndarray, image_format: ImageFormat, device: Any) -> Tensor:
    """Return images as float32 of shape (n, C, H, W), in [0, 1]."""
    return (image_format.to_model(to_tensor(images, device)) + 1.0) / 2.0
