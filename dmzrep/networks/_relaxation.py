"""Relaxation of binary codes in training, and their encodings for the denoiser."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CODE_INPUTS = ("signed", "one_hot")

#: Value of a masked bit: zero in the signed input.
MASKED_BIT = 0.5


def relaxed_bernoulli(
    logits: Tensor,
    temperature: float = 1.0,
    *,
    straight_through: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return a reparameterised sample of relaxed bits in (0, 1), given the log-odds of each bit being one.

    The binary concrete distribution (Maddison, Mnih, Teh, "The Concrete Distribution", 2017, appendix B): the
    first column of a two-class Gumbel-softmax sample whose logits differ by `logits`. `straight_through`
    returns hard bits whose gradient is that of the relaxed sample.
    """
    uniform = torch.rand(logits.shape, generator=generator, device=logits.device, dtype=torch.float32)
    # eps keeps the logistic noise log(u) - log(1 - u) finite in float32.
    noise = torch.logit(uniform, eps=1e-6).to(logits.dtype)
    soft = torch.sigmoid((logits + noise) / temperature)
    if not straight_through:
        return soft
    return _StraightThrough.apply(soft)


class _StraightThrough(torch.autograd.Function):
    """Threshold at 0.5 forward, identity backward."""

    @staticmethod
    def forward(ctx: Any, soft: Tensor) -> Tensor:
        return hard_bits(soft)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def hard_bits(probabilities: Tensor) -> Tensor:
    """Return ones where probabilities are above 0.5, else zeros, in their dtype."""
    return (probabilities > 0.5).to(probabilities.dtype)


def code_columns(latent_dim: int, code_input: str) -> int:
    """Return the number of the denoiser's input features for a code of `latent_dim` bits."""
    return 2 * latent_dim if code_input == "one_hot" else latent_dim


def code_features(z: Tensor, code_input: str) -> Tensor:
    """Map (relaxed) bits to -1 or +1 (``"signed"``), or to all 1 - z, then all z (``"one_hot"``)."""
    if code_input == "one_hot":
        return torch.cat([1.0 - z, z], dim=1)
    return 2.0 * z - 1.0
