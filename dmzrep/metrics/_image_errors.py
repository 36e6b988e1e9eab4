"""How near images come to others, pixel by pixel and window by window."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dmzrep._base._batching import batches
from dmzrep._base._validation import check_int
from dmzrep.data import ImageFormat
from dmzrep.metrics._unit_images import read_format

#: Images whose similarity is computed at a time.
BLOCK_ROWS = 256
#: Of SSIM: window and its standard deviation, and the two stabilising constants.
WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03


def _pair(X: Any, Y: Any, channels: str, value_range: tuple[float, float] | str) -> tuple[Tensor, Tensor]:
    """Give two sets of images as float64 tensors of shape (n, C, H, W), in [0, 1]."""
    both = []
    for images, name in ((X, "X"), (Y, "Y")):
        rows, image_format = read_format(images, channels, value_range, name)
        both.append((rows, image_format))
    if both[0][0].shape != both[1][0].shape:
        raise ValueError(f"X and Y must have the same shape, got {both[0][0].shape} and {both[1][0].shape}.")
    ranges = [(image_format.low, image_format.high) for _, image_format in both]
    if ranges[0] != ranges[1]:
        raise ValueError(
            f"X has values from {ranges[0][0]:g} to {ranges[0][1]:g} and Y from {ranges[1][0]:g} to "
            f"{ranges[1][1]:g}; give both in one dtype, or pass value_range."
        )
    one, two = (_unit(rows, image_format) for rows, image_format in both)
    return one, two


def _unit(rows: np.ndarray, image_format: ImageFormat) -> Tensor:
    values = (rows.astype(np.float64) - image_format.low) / (image_format.high - image_format.low)
    if image_format.layout == "HW":
        values = values[:, None]
    elif image_format.layout == "HWC":
        values = np.moveaxis(values, 3, 1)
    return torch.from_numpy(np.ascontiguousarray(values))


def mse(
    X: Any, Y: Any, *, channels: str = "auto", value_range: tuple[float, float] | str = "auto"
) -> np.ndarray:
    """Mean squared error of each image, pixels from 0 to 1.

    Parameters
    ----------
    X, Y : array-like of shape (n, H, W), (n, H, W, C) or (n, C, H, W)
        Originals and what is compared with them.
    channels : {"auto", "first", "last"}, default="auto"
        Where the channel axis stands.
    value_range : tuple of two floats or "auto", default="auto"
        Values that become 0 and 1; ``"auto"`` is 0 to 255 for uint8, 0 to 1 for bool and floats.

    Returns
    -------
    ndarray of shape (n,), float64
        Four times as large in pixels from -1 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.metrics import mse
    >>> mse(np.zeros((1, 8, 8)), np.full((1, 8, 8), 0.5)).tolist()
    [0.25]
    """
    one, two = _pair(X, Y, channels, value_range)
    return (one - two).square().flatten(1).mean(dim=1).numpy()


def psnr(
    X: Any, Y: Any, *, channels: str = "auto", value_range: tuple[float, float] | str = "auto"
) -> np.ndarray:
    """Peak signal-to-noise ratio of each image, in decibels: -10 log10 of `mse`.

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
    window_size: int = WINDOW,
    channels: str = "auto",
    value_range: tuple[float, float] | str = "auto",
) -> np.ndarray:
    """Structural similarity of each image, the mean over windows and channels.

    Parameters
    ----------
    X, Y, channels, value_range
        As in `mse`.
    window_size : int, default=11
        Side of the Gaussian window (standard deviation 1.5), odd and no larger than the images. Only
        windows that lie whole in the image count.

    Returns
    -------
    ndarray of shape (n,), float64
        At most 1, for equal images.

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
    one, two = _pair(X, Y, channels, value_range)
    side = min(one.shape[2:])
    window_size = check_int(window_size, "window_size", 1, side, ", the images' smaller side, and odd")
    if window_size % 2 == 0:
        raise ValueError(f"window_size must be odd, got {window_size}. Use {window_size - 1}.")
    return np.concatenate([_ssim(one[i], two[i], window_size) for i in batches(len(one), BLOCK_ROWS)])


def _ssim(x: Tensor, y: Tensor, window_size: int) -> np.ndarray:
    n_channels = x.shape[1]
    line = torch.exp(
        -0.5 * (torch.arange(window_size, dtype=torch.float64) - window_size // 2).square() / SIGMA**2
    )
    line = (line / line.sum()).expand(n_channels, 1, 1, -1)

    def blurred(values: Tensor) -> Tensor:
        rows = F.conv2d(values, line, groups=n_channels)
        return F.conv2d(rows, line.transpose(2, 3), groups=n_channels)

    mean_x, mean_y = blurred(x), blurred(y)
    variances = blurred(x * x) - mean_x.square() + blurred(y * y) - mean_y.square()
    covariance = blurred(x * y) - mean_x * mean_y
    likeness = (2.0 * mean_x * mean_y + K1**2) * (2.0 * covariance + K2**2)
    most = (mean_x.square() + mean_y.square() + K1**2) * (variances + K2**2)
    return (likeness / most).flatten(1).mean(dim=1).numpy()
