"""Maps of numbers laid over pictures, in colour."""

from __future__ import annotations

import numpy as np

#: Colours of numbers above and below 0, and of magnitudes, readable with red-green blindness too.
POSITIVE, NEGATIVE, MAGNITUDE = (0.80, 0.10, 0.10), (0.10, 0.25, 0.80), (0.85, 0.35, 0.0)
#: How much of the picture's own contrast stays below a map.
_CONTRAST = 0.45


def as_rgb(pictures: np.ndarray, channel_axis: bool) -> np.ndarray:
    """Give pictures three channels: gray ones repeated, opacity put on white.

    Parameters
    ----------
    pictures : ndarray of shape (..., H, W) or (..., H, W, 3 or 4)
        In [0, 1].
    channel_axis : bool
        Whether the last axis is one of channels.
    """
    if not channel_axis:
        return np.repeat(pictures[..., None], 3, axis=-1)
    if pictures.shape[-1] == 4:
        opacity = pictures[..., 3:]
        return pictures[..., :3] * opacity + 1.0 - opacity
    return pictures


def overlay(
    pictures: np.ndarray, maps: np.ndarray, *, signed: bool, largest: float | None = None
) -> np.ndarray:
    """Colour faded gray pictures by maps.

    Parameters
    ----------
    pictures : ndarray of shape (n, H, W, 3)
        In [0, 1].
    maps : ndarray of shape (n, H, W)
        Signed numbers, red above and blue below 0; or magnitudes, orange.
    signed : bool
        Which of the two.
    largest : float or None, default=None
        Absolute value that takes the full colour. None is each map's own, but for its top hundredth.

    Returns
    -------
    ndarray of shape (n, H, W, 3), in [0, 1]

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.plotting._overlays import overlay
    >>> maps = np.zeros((1, 8, 8))
    >>> maps[0, 0, 0] = 2.0
    >>> shown = overlay(np.ones((1, 8, 8, 3)), maps, signed=True, largest=2.0)
    >>> shown[0, 0, 0].round(2).tolist(), shown[0, 1, 1].round(2).tolist()
    ([0.8, 0.1, 0.1], [1.0, 1.0, 1.0])
    """
    gray = pictures @ np.array([0.299, 0.587, 0.114])
    gray = 1.0 - _CONTRAST + _CONTRAST * gray
    size = np.abs(maps)
    full = np.quantile(size, 0.99, axis=(1, 2), keepdims=True) if largest is None else np.array(largest)
    full = np.where(full > 0, full, np.maximum(size.max(axis=(1, 2), keepdims=True), 1e-30))
    strength = np.clip(size / full, 0.0, 1.0)[..., None]
    high = POSITIVE if signed else MAGNITUDE
    colour = np.where((maps < 0)[..., None], NEGATIVE, high)
    return (1.0 - strength) * gray[..., None] + strength * colour
