"""Rows to logits."""

from __future__ import annotations

import numpy as np
import torch

from dmzrep.batching import batches, run_padded
from dmzrep.inference.trained import TrainedModel
from dmzrep.rows import Rows


@torch.inference_mode()
def encode_logits(model: TrainedModel, rows: Rows, out: np.ndarray | None = None) -> np.ndarray:
    """Logits of every row's bits.

    Parameters
    ----------
    model : TrainedModel
        The model.
    rows : ndarray or other row source of length n
        Rows in the user's layout.
    out : ndarray of shape (n, latent_dim), float32, optional
        Where to write.

    Returns
    -------
    ndarray of shape (n, latent_dim), float32
        A row's logits do not depend on the other rows, to the last bit.
    """
    if out is None:
        out = np.empty((len(rows), model.latent_dim), dtype=np.float32)
    size = model.encoder_rows
    for rows_slice in batches(len(rows), size):
        x = model.model_units(rows[rows_slice])
        out[rows_slice] = run_padded(model.network.encode, size, x).float().cpu().numpy()
    return out
