"""Codes of pictures as vectors for search: logits, and combinations of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from dmzrep.codes._protocol import last_step
from dmzrep.retrieval._embedder import Embedder


def encode_pictures(embedder: Embedder, images: np.ndarray) -> np.ndarray:
    """Return the logits, or vectors of length 1, of images (n, H, W) or (n, H, W, C), float32.

    Those of an encoder that was trained with mirrored views are means over an image and its mirrored copy, so
    that they do not distinguish the two at all.
    """
    logits = embedder.logits(embedder.transform(images))
    if ignores_mirroring(embedder.encoder):
        logits = (logits + embedder.logits(embedder.transform(images[:, :, ::-1]))) / 2.0
    # Logits are kept in float16, which would not hold all vectors.
    return unit_length(logits) if embedder.kind == "vectors" else logits


def ignores_mirroring(encoder: Any) -> bool:
    """Whether an encoder was trained with mirrored views."""
    views = getattr(last_step(encoder), "encoder_augment_", None)
    return views == "affine_flip" or bool(getattr(views, "mirror", False))


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
