"""Keep the pixels of an image that an edit does not change."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Share of the value range by which a pixel changes to be replaced completely.
FULL_CHANGE = 0.2


def keep_unchanged(
    encoder: Any, originals: np.ndarray, unedited: np.ndarray, edited: np.ndarray
) -> np.ndarray:
    """Return edited pixels where the edit changes them, and the original ones elsewhere.

    Images decoded from the codes before and after the edit, from the same noise, differ where the edit acts.
    What the code does not represent is missing in both, and not part of the edit.

    Parameters
    ----------
    encoder : object
        Its `data_format_`, if it has one, gives range and channels. Else the range is 255 for integers
        and 1 for other values, and each value is one pixel.
    originals : ndarray of shape (n, *sample_shape)
        Images before the edit.
    unedited, edited : ndarray of shape (n, *sample_shape)
        Decoded from the codes before and after the edit.

    Returns
    -------
    ndarray of shape (n, *sample_shape)
        In the dtype of `edited`. A pixel's share of the edited picture grows with its largest change
        over channels, up to one at a fifth of the range.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.editing._blending import keep_unchanged
    >>> originals, before, after = np.array([[0.5, 0.5]]), np.array([[0.4, 0.1]]), np.array([[0.4, 0.9]])
    >>> keep_unchanged(None, originals, before, after)
    array([[0.5, 0.9]])
    """
    data_format: Any = getattr(encoder, "data_format_", None)
    old, before, after = (np.asarray(values, dtype=np.float64) for values in (originals, unedited, edited))
    change = np.abs(after - before)
    span = 255.0 if np.issubdtype(edited.dtype, np.integer) else 1.0
    if hasattr(data_format, "high"):
        span = float(data_format.high - data_format.low)
        if data_format.layout in ("HWC", "CHW"):
            axis = -1 if data_format.layout == "HWC" else 1
            pixels = change.reshape(len(change), *data_format.image_shape)
            widest = pixels.max(axis=axis, keepdims=True)
            change = np.broadcast_to(widest, pixels.shape).reshape(change.shape)
    share = np.minimum(change / (FULL_CHANGE * span), 1.0)
    blend = share * after + (1.0 - share) * old
    return (blend if np.issubdtype(edited.dtype, np.floating) else np.rint(blend)).astype(edited.dtype)
