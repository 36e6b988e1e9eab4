"""Reading of images, and errors and similarity of pairs of images."""

from typing import Any

import numpy as np
from torch import Tensor

from dmzrep._base._imports import optional_import
from dmzrep._base._validation import as_array, check_int
from dmzrep.data import ImageFormat, find_layout, find_range, to_tensor

#: Window of SSIM, and the standard deviation of its weights.
WINDOW, SIGMA = 11, 1.5


def read_images(
    X: Any, channels: str, value_range: tuple[float, float] | str, name: str = "images"
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
    layout, shape = find_layout(images.shape[1:], channels)
    low, high, _ = find_range(images, value_range)
    return images, ImageFormat(layout, shape, False, str(images.dtype), low, high)


def unit_tensor(images: np.ndarray, image_format: ImageFormat, device: Any) -> Tensor:
    """Return images as float32 of shape (n, C, H, W), in [0, 1]."""
    return (image_format.to_model(to_tensor(images, device)) + 1.0) / 2.0


def _read_pair(X: Any, Y: Any, channels: str, value_range: tuple[float, float] | str) -> list[np.ndarray]:
    """Return two sets of images as float64 of shape (n, H, W, C), in [0, 1]."""
    pair = [read_images(images, channels, value_range, name) for images, name in ((X, "X"), (Y, "Y"))]
    (one, first), (two, second) = pair
    if one.shape != two.shape:
        raise ValueError(f"X and Y must have the same shape, got {one.shape} and {two.shape}.")
    if (first.low, first.high) != (second.low, second.high):
        raise ValueError(
            f"X has values from {first.low:g} to {first.high:g} and Y from {second.low:g} to "
            f"{second.high:g}; convert both to one dtype, or pass value_range."
        )
    scaled = [(images.astype(np.float64) - first.low) / (first.high - first.low) for images, _ in pair]
    if first.layout == "HW":
        return [images[..., None] for images in scaled]
    return [np.moveaxis(images, 1, 3) if first.layout == "CHW" else images for images in scaled]


def mse(
    X: Any, Y: Any, *, channels: str = "auto", value_range: tuple[float, float] | str = "auto"
) -> np.ndarray:
    """Return the mean squared error of each image, with pixels from 0 to 1.

    Parameters
    ----------
    X, Y : array-like of shape (n, H, W), (n, H, W, C) or (n, C, H, W)
        Images, and the images to compare them with.
    channels : {"auto", "first", "last"}, default="auto"
        Position of the channel axis.
    value_range : tuple of two floats or "auto", default="auto"
        Smallest and largest possible pixel; ``"auto"`` is 0 to 255 for uint8, 0 to 1 for bool and floats.

    Returns
    -------
    ndarray of shape (n,), float64
        With pixels from -1 to 1 the error would be four times as large.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.metrics import mse
    >>> mse(np.zeros((1, 8, 8)), np.full((1, 8, 8), 0.5)).tolist()
    [0.25]
    """
    one, two = _read_pair(X, Y, channels, value_range)
    return np.square(one - two).mean(axis=(1, 2, 3))


def psnr(
    X: Any, Y: Any, *, channels: str = "auto", value_range: tuple[float, float] | str = "auto"
) -> np.ndarray:
    """Return the peak signal-to-noise ratio of each image, in decibels: -10 log10 of `mse`.

    Parameters
    ----------
    X, Y, channels, value_range
        As in `mse`.

    Returns
    -------
    ndarray of shape (n,), float64
        Infinite for equal images.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.metrics import psnr
    >>> psnr(np.zeros((1, 8, 8)), np.full((1, 8, 8), 0.1)).round(6).tolist()
    [20.0]
    """
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(mse(X, Y, channels=channels, value_range=value_range))


def ssim(
    X: Any,
    Y: Any,
    *,
    window_size: int | str = "auto",
    channels: str = "auto",
    value_range: tuple[float, float] | str = "auto",
) -> np.ndarray:
    """Return the structural similarity of each image, the mean over windows and channels.

    `skimage.metrics.structural_similarity` with the settings of the paper.

    Parameters
    ----------
    X, Y
        As in `mse`.
    window_size : "auto" or int, default="auto"
        Side of the Gaussian window, odd and no larger than the images. ``"auto"`` is 11 pixels or, for
        smaller images, the largest odd size that fits. The standard deviation is 1.5 for 11 pixels and
        proportional for other sizes. Only windows inside the image count.
    channels, value_range
        As in `mse`.

    Returns
    -------
    ndarray of shape (n,), float64
        At most 1, for equal images.

    Raises
    ------
    ImportError
        scikit-image is not installed.

    References
    ----------
    Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
    Similarity", 2004, equations 13 to 17.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.metrics import ssim
    >>> X = np.random.default_rng(0).random((2, 16, 16))
    >>> ssim(X, X).tolist()
    [1.0, 1.0]
    """
    with optional_import("ssim needs scikit-image", "metrics"):
        from skimage.metrics import structural_similarity
    one, two = _read_pair(X, Y, channels, value_range)
    side = min(one.shape[1:3])
    if window_size == "auto":
        window_size = min(WINDOW, (side - 1) // 2 * 2 + 1)
    window_size = check_int(window_size, "window_size", 1, side, ", the images' smaller side, odd, or 'auto'")
    if window_size % 2 == 0:
        raise ValueError(f"window_size must be odd, got {window_size}. Use {window_size - 1}.")
    options = {
        "win_size": window_size,
        "gaussian_weights": True,
        "sigma": SIGMA * window_size / WINDOW,
        "use_sample_covariance": False,
        "data_range": 1.0,
        "channel_axis": 2,
    }
    return np.array([structural_similarity(x, y, **options) for x, y in zip(one, two, strict=True)])
