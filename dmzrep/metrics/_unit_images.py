"""Images of any layout as tensors in one range, for measures that see no encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from dmzrep._base._validation import as_array
from dmzrep.data import ImageFormat, find_layout, find_range, to_tensor


def read_format(
    X: Any,
    channels: str = "auto",
    value_range: tuple[float, float] | str = "auto",
    argument: str = "images",
) -> tuple[np.ndarray, ImageFormat]:
    """Find the layout and the range of images, which may be constant and of any size.

    Parameters
    ----------
    X : array-like of shape (n, H, W), (n, H, W, C) or (n, C, H, W)
        Images, uint8, bool or float.
    channels : {"auto", "first", "last"}, default="auto"
        Where the channel axis stands.
    value_range : tuple of two floats or "auto", default="auto"
        Smallest and largest possible value; ``"auto"`` is 0 to 255 for uint8, 0 to 1 for bool and floats.
    argument : str, default="images"
        What to call X in errors.

    Returns
    -------
    images : ndarray
    image_format : ImageFormat

    Raises
    ------
    ValueError
        X holds no images, or its layout or range cannot be told, or values are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.metrics._unit_images import read_format
    >>> images, image_format = read_format(np.zeros((2, 5, 7, 3), dtype=np.uint8))
    >>> image_format.shape
    (3, 5, 7)
    """
    images = as_array(X, argument)
    if images.ndim < 3 or 0 in images.shape:
        raise ValueError(
            f"{argument} must be images of shape (n, H, W), (n, H, W, C) or (n, C, H, W) with n of at least "
            f"1, got shape {images.shape}. Reshape rows of a table, and pass a single image as X[None]."
        )
    if images.dtype.kind not in "buif":
        raise ValueError(f"{argument} must be uint8 or floating-point images, got dtype {images.dtype}.")
    shape = images.shape[1:]
    layout = find_layout(shape, channels)
    low, high, _ = find_range(images, value_range)
    height, width = shape[1:] if layout == "CHW" else shape[:2]
    n_channels = 1 if layout == "HW" else shape[0] if layout == "CHW" else shape[2]
    return images, ImageFormat(layout, (n_channels, height, width), False, str(images.dtype), low, high)


def unit_tensor(images: np.ndarray, image_format: ImageFormat, device: Any) -> Tensor:
    """Turn a few images into float32 of shape (n, C, H, W), in [0, 1]."""
    return (image_format.to_model(to_tensor(images, device)) + 1.0) / 2.0
