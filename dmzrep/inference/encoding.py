"""Rows to logits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy.special import expit

from dmzrep.batching import batches, run_padded
from dmzrep.inference.trained import TrainedModel
from dmzrep.rows import Rows


def encode_logits(model: TrainedModel, rows: Rows) -> np.ndarray:
    """Logits of every row's bits.

    Parameters
    ----------
    model : TrainedModel
        The model.
    rows : ndarray or other row source of length n
        Rows in the user's layout.

    Returns
    -------
    ndarray of shape (n, latent_dim), float32
        A row's logits do not depend on the other rows, to the last bit.
    """
    out = np.empty((len(rows), model.latent_dim), dtype=np.float32)
    for part, logits in _batches_of_logits(model, rows):
        out[part] = logits
    return out


def encode_bits(model: TrainedModel, rows: Rows) -> np.ndarray:
    """Bits of every row, uint8: one where the probability is above 0.5."""
    out = np.empty((len(rows), model.latent_dim), dtype=np.uint8)
    for part, logits in _batches_of_logits(model, rows):
        # By the probability, as users threshold it: a tiny logit gives exactly 0.5 in float32.
        out[part] = expit(logits) > 0.5
    return out


@torch.inference_mode()
def _batches_of_logits(model: TrainedModel, rows: Rows) -> Iterator[tuple[slice, np.ndarray]]:
    size = model.encoder_rows
    for part in batches(len(rows), size):
        x = model.model_units(rows[part])
        yield part, run_padded(model.network.encode, size, x).float().cpu().numpy()
