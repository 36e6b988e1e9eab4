"""Maps drawn over images, in colour."""

from __future__ import annotations

import numpy as np

#: Colours of numbers above and below 0, and of magnitudes, that red-green blindness does not confuse.
POSITIVE, NEGATIVE, MAGNITUDE = (0.80, 0.10, 0.10), (0.10, 0.25, 0.80), (0.85, 0.35, 0.0)
#: Share of the image's own contrast that is kept below a map.
_CONTRAST = 0.45


def as_rgb(pictures: np.ndarray, has_channels: bool) -> np.ndarray:
    """Return images with three channels: grey ones repeated, opacity blended with white."""
    if not has_channels:
        return np.repeat(pictures[..., None], 3, axis=-1)
    if pictures.shape[-1] == 4:
        opacity = pictures[..., 3:]
        return pictures[..., :3] * opacity + 1.0 - opacity
    return pictures


def overlay(
    pictures: np.ndarray, maps: np.ndarray, *, signed: bool, largest: float | None = None
) -> np.ndarray:
    """Colour faded grey images by maps: signed ones red above and blue below 0, magnitudes orange.

    `largest` has the full colour; None takes the 99th percentile of each map.
    """
    grey = pictures @ np.array([0.299, 0.587, 0.114])
    grey = 1.0 - _CONTRAST + _CONTRAST * grey
    size = np.abs(maps)
    full = np.quantile(size, 0.99, axis=(1, 2), keepdims=True) if largest is None else np.array(largest)
    full = np.where(full > 0, full, np.maximum(size.max(axis=(1, 2), keepdims=True), 1e-30))
    opacity = np.clip(size / full, 0.0, 1.0)[..., None]
    colour = np.where((maps < 0)[..., None], NEGATIVE, POSITIVE if signed else MAGNITUDE)
    return (1.0 - opacity) * grey[..., None] + opacity * colour
