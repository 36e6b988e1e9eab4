"""From rows of an encoder's data to pictures that matplotlib's `imshow` takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from dmzrep._base._validation import as_numbers
from dmzrep.data import ImageFormat, Source, open_like_fitted
from dmzrep.estimator._encoder import DMZEncoder, check_encoder


def fitted_image_format(encoder: DMZEncoder, display: str) -> ImageFormat:
    """Give the format of an encoder's images; raise unless it was fitted on images.

    Parameters
    ----------
    encoder : DMZEncoder
        Fitted.
    display : str
        Name of the display that asks, for the error.
    """
    check_encoder(encoder)
    data_format = encoder.data_format_
    if not isinstance(data_format, ImageFormat):
        raise ValueError(
            f"{display} draws images, but the encoder was fitted on vectors of {data_format.shape[0]} "
            "features. If they are flattened images, fit with image_shape=(H, W) or (H, W, C)."
        )
    return data_format


def code_name(encoder: DMZEncoder) -> str:
    """Say for a title what a fitted encoder decodes from, such as ``"64 bits"``."""
    report = encoder.code_report_
    return "no code" if report is None else "1 bit" if len(report) == 1 else f"{len(report)} bits"


def as_rows(encoder: DMZEncoder, X: Any, name: str) -> Source:
    """Give row access to an array, a table or a map-style dataset, checked, without copying it."""
    try:
        return open_like_fitted(encoder, X)
    except ValueError as error:
        error.add_note(f"This is about {name}.")
        raise


def check_pictures(
    value: Any, name: str, *leading: int | None, of: tuple[int, ...] | None = None
) -> np.ndarray:
    """Give pictures as an array; raise where a display was handed something else.

    Parameters
    ----------
    value : array-like
        Of shape (*leading, H, W) or (*leading, H, W, channels).
    name : str
        What the error calls it.
    *leading : int or None
        Lengths of the axes before those of a picture; None leaves one open, but for 0.
    of : tuple of int, optional
        Shape of a picture, where others have set it.
    """
    array = as_numbers(value, name)
    first, shape = array.shape[: len(leading)], array.shape[len(leading) :]
    fits = len(shape) in (2, 3) and 0 not in array.shape and (len(shape) == 2 or shape[2] in (3, 4))
    same = all(n is None or n == found for n, found in zip(leading, first, strict=False))
    if not (fits and same and (of is None or of == shape)):
        axes = "".join("n, " if n is None else f"{n}, " for n in leading)
        wanted = f"({axes}H, W) or ({axes}H, W, channels)" if of is None else f"({axes}{str(of)[1:]}"
        raise ValueError(f"{name} must be pictures of shape {wanted}, got shape {array.shape}.")
    return array.astype(np.float32) if array.dtype == bool else array


def check_numbers(value: Any, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Give numbers about pictures as an array; raise unless they are of a shape, or a list of some."""
    array = as_numbers(value, name)
    if array.shape != shape if shape is not None else array.ndim != 1 or not len(array):
        wanted = "a list of numbers" if shape is None else f"numbers of shape {shape}"
        raise ValueError(f"{name} must be {wanted}, got shape {array.shape}.")
    return array


def as_pictures(rows: np.ndarray, image_format: ImageFormat) -> np.ndarray:
    """Turn rows in the user's layout into pictures for `imshow`.

    Parameters
    ----------
    rows : ndarray of shape (n, *row_shape)
        Images as the encoder takes and gives them.
    image_format : ImageFormat
        Their format.

    Returns
    -------
    ndarray, float32 in [0, 1]
        Of shape (n, H, W) for one channel, (n, H, W, 3) for three, (n, H, W, 4) for four, taken as
        red, green, blue and opacity. Two channels become red and green.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.data import learn_image_format
    >>> from dmzrep.plotting._pictures import as_pictures
    >>> X = np.zeros((2, 3, 16, 20), dtype=np.uint8)
    >>> X[:, 0] = 255
    >>> pictures = as_pictures(X, learn_image_format(X))
    >>> pictures.shape, pictures[0, 0, 0].tolist()
    ((2, 16, 20, 3), [1.0, 0.0, 0.0])
    """
    images = np.asarray(rows).reshape(-1, *image_format.image_shape).astype(np.float64)
    images = np.clip((images - image_format.low) / (image_format.high - image_format.low), 0.0, 1.0)
    pictures = images.astype(np.float32)
    if image_format.layout == "CHW":
        pictures = np.moveaxis(pictures, 1, -1)
    channels = image_format.shape[0]
    if channels == 1:
        return pictures.reshape(-1, *image_format.shape[1:])
    if channels == 2:
        return np.concatenate([pictures, np.zeros_like(pictures[..., :1])], axis=-1)
    return pictures
