"""Data to codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import expit

from dmzrep._base._batching import padded_batches, run_padded
from dmzrep.data import Source

if TYPE_CHECKING:
    from dmzrep.inference._decoder import Decoder

#: Dtype of codes by `output`.
CODE_DTYPES = {"probabilities": np.float32, "logits": np.float32, "bits": np.uint8}


@torch.inference_mode()
def encode(decoder: Decoder, samples: Source, output: str, out: np.ndarray | None = None) -> np.ndarray:
    """Encode samples, a batch at a time.

    Parameters
    ----------
    decoder : Decoder
        The fitted model.
    samples : ndarray or other source of n samples
        In the user's layout.
    output : {"probabilities", "logits", "bits"}
        Kind of codes; a bit is one where the probability is above 0.5.
    out : ndarray of shape (n, latent_dim), optional
        Where codes are written, of the dtype in `CODE_DTYPES`; a new array by default.

    Returns
    -------
    ndarray of shape (n, latent_dim), float32 or uint8
        Batch-invariant up to rounding of float32.
    """
    if out is None:
        out = np.empty((len(samples), decoder.latent_dim), dtype=CODE_DTYPES[output])
    for part, size in padded_batches(len(samples), decoder.data_shape, decoder.encoder_batch):
        x = decoder.model_units(samples[part])
        logits = run_padded(decoder.network.encode, size, x).float().cpu().numpy()
        # Bits from the probability, as users threshold it: a tiny logit gives exactly 0.5 in float32.
        codes = logits if output == "logits" else expit(logits)
        out[part] = codes > 0.5 if output == "bits" else codes
    return out
