"""Rows to codes."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import expit

from dmzrep._base._batching import batches, run_padded
from dmzrep.data import Source
from dmzrep.inference._trained import TrainedModel

#: Type of what is given, by `output`.
CODE_DTYPES = {"probabilities": np.float32, "logits": np.float32, "bits": np.uint8}


@torch.inference_mode()
def encode(model: TrainedModel, rows: Source, output: str, out: np.ndarray | None = None) -> np.ndarray:
    """Encode every row, a batch at a time.

    Parameters
    ----------
    model : TrainedModel
        The model.
    rows : ndarray or other row source of length n
        Rows in the user's layout.
    output : {"probabilities", "logits", "bits"}
        What is given; a bit is one where the probability is above 0.5.
    out : ndarray of shape (n, latent_dim), optional
        Where codes are written, of the dtype in `CODE_DTYPES`; a new array by default.

    Returns
    -------
    ndarray of shape (n, latent_dim), float32 or uint8
        A row's code does not depend on the other rows, to the last bit.
    """
    if out is None:
        out = np.empty((len(rows), model.latent_dim), dtype=CODE_DTYPES[output])
    size = model.encoder_rows
    for part in batches(len(rows), size):
        x = model.model_units(rows[part])
        logits = run_padded(model.network.encode, size, x).float().cpu().numpy()
        # Bits by the probability, as users threshold it: a tiny logit gives exactly 0.5 in float32.
        codes = logits if output == "logits" else expit(logits)
        out[part] = codes > 0.5 if output == "bits" else codes
    return out
