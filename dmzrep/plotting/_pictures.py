"""Conversion of samples in the fitted layout to images for Matplotlib's `imshow`."""

from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing

from dmzrep.data import DatasetSource, ImageFormat, is_dataset
from dmzrep.estimator._encoder import DMZEncoder, check_encoder


def fitted_image_format(encoder: DMZEncoder, display: type) -> ImageFormat:
    """Return the format of an encoder's images; raise unless it was fitted on images."""
    check_encoder(encoder)
    data_format = encoder.decoder_.data_format
    if not isinstance(data_format, ImageFormat):
        raise ValueError(
            f"{display.__name__} draws images, but the encoder was fitted on vectors of "
            f"{data_format.shape[0]} features. If they are flattened images, fit with image_shape=(H, W) or "
            "(H, W, C)."
        )
    return data_format


def code_name(encoder: DMZEncoder) -> str:
    """Return a description of a fitted encoder's code for a title, such as ``"64 bits"``."""
    n_bits = encoder.decoder_.latent_dim
    return "no code" if not encoder.decoder_.has_code else "1 bit" if n_bits == 1 else f"{n_bits} bits"


def take(X: Any, indices: np.ndarray | slice) -> Any:
    """Return some samples of an array, a table or a map-style dataset, without reading the others."""
    return DatasetSource(X)[indices] if is_dataset(X) else _safe_indexing(X, indices)


def as_pictures(X: Any, image_format: ImageFormat) -> np.ndarray:
    """Return samples as images in [0, 1], (n, H, W) or (n, H, W, 3 or 4); two channels are red and green."""
    images = np.asarray(X).reshape(-1, *image_format.image_shape).astype(np.float64)
    images = (images - image_format.low) / (image_format.high - image_format.low)
    pictures = np.clip(images, 0.0, 1.0).astype(np.float32)
    if image_format.layout == "CHW":
        pictures = np.moveaxis(pictures, 1, -1)
    channels = image_format.shape[0]
    if channels == 1:
        return pictures.reshape(-1, *image_format.shape[1:])
    if channels == 2:
        return np.concatenate([pictures, np.zeros_like(pictures[..., :1])], axis=-1)
    return pictures
