"""Codes of pictures as vectors for search: logits, and combinations of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import logit

from dmzrep._base._validation import as_numbers
from dmzrep.codes._protocol import encoder_output, last_step

#: Limit of logits computed from probabilities, which float32 rounds to 0 or 1 beyond it.
_LIMIT = 16.0


def encode_pictures(encoder: Any, images: np.ndarray) -> np.ndarray:
    """Return the logits of images (n, H, W) or (n, H, W, C), float32.

    Those of an encoder that was trained with mirrored views are means over an image and its mirrored copy, so
    that they do not distinguish the two at all.
    """
    logits = _encode(encoder, images)
    if ignores_mirroring(encoder):
        logits = (logits + _encode(encoder, images[:, :, ::-1])) / 2.0
    return logits


def ignores_mirroring(encoder: Any) -> bool:
    """Whether an encoder was trained with mirrored views."""
    views = getattr(last_step(encoder), "encoder_augment_", None)
    return views == "affine_flip" or bool(getattr(views, "mirror", False))


def _encode(encoder: Any, samples: Any) -> np.ndarray:
    """Return the logits of samples, float32, for any `output` of the encoder; other vectors unchanged."""
    codes = as_numbers(encoder.transform(samples), "encoder.transform(X)").astype(np.float32)
    if not hasattr(last_step(encoder), "output") or encoder_output(encoder) == "logits":
        return codes
    with np.errstate(divide="ignore"):
        return np.clip(logit(codes), -_LIMIT, _LIMIT)


def unit_length(logits: np.ndarray) -> np.ndarray:
    """Return vectors of length 1, in float32; a zero vector stays zero."""
    values = logits.astype(np.float32)
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    return values / np.maximum(length, np.finfo(np.float32).tiny)


def combined(wanted: np.ndarray, unwanted: np.ndarray | None) -> np.ndarray:
    """Return one query: the mean of the wanted vectors less half the mean of the unwanted.

    After the relevance feedback of Rocchio (1971).
    """
    query = unit_length(wanted).mean(axis=0)
    if unwanted is not None:
        query = query - 0.5 * unit_length(unwanted).mean(axis=0)
    return query[None]
