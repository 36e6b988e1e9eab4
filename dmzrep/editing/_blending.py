"""Preservation of the pixels that an edit does not change."""

from typing import Any

import numpy as np

#: Change of a pixel, as a fraction of the value range, from which the edited pixel replaces it.
FULL_CHANGE = 0.2


def keep_unchanged(
    encoder: Any, originals: np.ndarray, unedited: np.ndarray, edited: np.ndarray
) -> np.ndarray:
    """Return edited pixels where the edit changes them, and the original ones elsewhere, in the edited dtype.

    Images decoded from the codes before and after the edit, from the same noise, differ where the edit acts.
    Details that the code does not represent are missing in both, so they are not part of the edit. The weight
    of the edited pixel grows with its largest change over channels, up to one at a fifth of the range.
    Without a `data_format_` of the encoder the range is 255 for integers and 1 for floats, and each value is
    a pixel.
    """
    if edited.ndim > originals.ndim:  # Trajectories.
        pairs = zip(unedited, edited, strict=True)
        return np.stack([keep_unchanged(encoder, originals, *pair) for pair in pairs])
    data_format: Any = getattr(encoder, "data_format_", None)
    old, before, after = (np.asarray(values, dtype=np.float64) for values in (originals, unedited, edited))
    change = np.abs(after - before)
    span = 255.0 if np.issubdtype(edited.dtype, np.integer) else 1.0
    if hasattr(data_format, "high"):
        span = float(data_format.high - data_format.low)
        pixels = change.reshape(len(change), *data_format.image_shape)
        largest = pixels.max(axis=data_format.channel_axes, keepdims=True)
        change = np.broadcast_to(largest, pixels.shape).reshape(change.shape)
    share = np.minimum(change / (FULL_CHANGE * span), 1.0)
    blend = share * after + (1.0 - share) * old
    return (blend if np.issubdtype(edited.dtype, np.floating) else np.rint(blend)).astype(edited.dtype)
