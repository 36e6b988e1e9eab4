"""Encoding: data to codes."""

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from dmzrep._base._batching import padded_batches, run_padded
from dmzrep.data import Source
from dmzrep.inference._model import FittedModel
from dmzrep.networks._relaxation import MASKED_BIT

#: Dtype of codes by `output`.
CODE_DTYPES = {"probabilities": np.float32, "logits": np.float32, "bits": np.uint8}


@torch.inference_mode()
def encode(model: FittedModel, X: Source, output: str, out: np.ndarray | None = None) -> np.ndarray:
    """Encode samples to an `output` of `CODE_DTYPES`, shape (n, latent_dim), written to `out` if given.

    Batch-invariant up to float32 rounding.
    """
    if out is None:
        out = np.empty((len(X), model.latent_dim), dtype=CODE_DTYPES[output])
    for part, size in padded_batches(len(X), model.data_shape, model.encoder_batch):
        out[part] = encode_batch(model, model.model_units(X[part]), size, output)
    return out


def encode_batch(model: FittedModel, x: Tensor, size: int, output: str) -> np.ndarray:
    """Encode one batch in model units, computed with padding to `size` samples."""
    logits = run_padded(model.network.encode, size, x).float().cpu().numpy()
    if output == "logits":
        return logits
    # Bits threshold the probability, as users do: a tiny logit gives exactly 0.5 in float32.
    return expit(logits) > 0.5 if output == "bits" else expit(logits)


def mask_missing_bits(codes: np.ndarray, latent_dim: int) -> np.ndarray:
    """Return codes of `latent_dim` bits from prefixes; the missing bits are masked, that is 0.5."""
    missing = latent_dim - codes.shape[1]
    if not missing:
        return codes
    return np.concatenate([codes, np.full((len(codes), missing), MASKED_BIT, dtype=np.float32)], axis=1)
