"""The binary code: one logit per bit, relaxed in training, deterministic at inference."""

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
    """Draw a reparameterised sample of relaxed bits (the binary concrete distribution).

    Equal in distribution to the first column of a two-class Gumbel-softmax sample whose
    two logits differ by `logits`.

    Parameters
    ----------
    logits : Tensor of shape (n, latent_dim)
        Log-odds of each bit being one.
    temperature : float, default=1.0
        Temperature of the relaxation, above 0; towards 0 samples become hard bits.
    straight_through : bool, default=False
        Return hard bits whose gradient is that of the relaxed sample.
    generator : torch.Generator, optional
        Source of randomness, on the device of `logits`.

    Returns
    -------
    Tensor of shape (n, latent_dim)
        Values in (0, 1), or in {0, 1} with `straight_through`.

    References
    ----------
    Maddison, Mnih, Teh, "The Concrete Distribution", 2017, appendix B.

    Examples
    --------
    >>> import torch
    >>> from dmzrep.networks._relaxation import relaxed_bernoulli
    >>> generator = torch.Generator().manual_seed(0)
    >>> relaxed_bernoulli(torch.full((2, 3), 20.0), generator=generator).round().tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    uniform = torch.rand(logits.shape, generator=generator, device=logits.device, dtype=torch.float32)
    # Away from 0 and 1 the logistic noise log(u) - log(1 - u) stays finite in float32.
    noise = torch.logit(uniform, eps=1e-6).to(logits.dtype)
    soft = torch.sigmoid((logits + noise) / temperature)
    if not straight_through:
        return soft
    return _StraightThrough.apply(soft)


class _StraightThrough(torch.autograd.Function):
    """Threshold at 0.5 forward, identity backward; exactly zeros and ones."""

    @staticmethod
    def forward(ctx: Any, soft: Tensor) -> Tensor:
        return hard_bits(soft)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def hard_bits(probabilities: Tensor) -> Tensor:
    """Threshold probabilities to bits: one where the probability is above 0.5.

    Parameters
    ----------
    probabilities : Tensor
        Values in [0, 1].

    Returns
    -------
    Tensor of the same shape and dtype
        Zeros and ones.

    Examples
    --------
    >>> import torch
    >>> from dmzrep.networks._relaxation import hard_bits
    >>> hard_bits(torch.tensor([0.2, 0.5, 0.7])).tolist()
    [0.0, 0.0, 1.0]
    """
    return (probabilities > 0.5).to(probabilities.dtype)


def code_columns(latent_dim: int, code_input: str) -> int:
    """Number of the denoiser's input features for a code of `latent_dim` bits."""
    return 2 * latent_dim if code_input == "one_hot" else latent_dim


def code_features(z: Tensor, code_input: str) -> Tensor:
    """Map (relaxed) bits to the denoiser's input features.

    Parameters
    ----------
    z : Tensor of shape (n, latent_dim)
        Bits or relaxed bits in [0, 1].
    code_input : {"signed", "one_hot"}
        ``"signed"`` maps a bit to -1 or +1; ``"one_hot"`` is two features per bit, all 1 - z then all z.

    Returns
    -------
    Tensor of shape (n, latent_dim) or (n, 2 * latent_dim)

    Examples
    --------
    >>> import torch
    >>> from dmzrep.networks._relaxation import code_features
    >>> code_features(torch.tensor([[0.0, 1.0]]), "signed").tolist()
    [[-1.0, 1.0]]
    """
    if code_input == "one_hot":
        return torch.cat([1.0 - z, z], dim=1)
    return 2.0 * z - 1.0
