"""Gaussian terms of the variational bound."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def gaussian_kl(mean1: Tensor, log_variance1: Tensor, mean2: Tensor, log_variance2: Tensor) -> Tensor:
    """Return the KL divergence between diagonal Gaussians, elementwise, in nats."""
    return 0.5 * (
        log_variance2
        - log_variance1
        + (log_variance1 - log_variance2).exp()
        + (mean1 - mean2).square() * (-log_variance2).exp()
        - 1.0
    )


def discretised_gaussian_log_likelihood(
    x: Tensor, mean: Tensor, log_variance: Tensor, bin_width: float
) -> Tensor:
    """Return the log-probability of the bins around grey levels x in [-1, 1] under a Gaussian, in nats.

    The outermost bins extend to infinity. `bin_width` is 2 / 255 for uint8 (Ho et al., "Denoising Diffusion
    Probabilistic Models", 2020, equation 13).
    """
    scale = (-0.5 * log_variance).exp() / math.sqrt(2.0)
    upper = (x - mean + bin_width / 2) * scale
    lower = (x - mean - bin_width / 2) * scale
    upper = torch.where(x > 1.0 - bin_width / 2, torch.full_like(upper, math.inf), upper)
    lower = torch.where(x < -1.0 + bin_width / 2, torch.full_like(lower, -math.inf), lower)
    # Mirror the upper tail, where both edges would round to one, to the lower tail.
    flip = lower > 0
    upper, lower = torch.where(flip, -lower, upper), torch.where(flip, -upper, lower)
    mass = 0.5 * (torch.erfc(-upper) - torch.erfc(-lower))
    return mass.clamp(min=1e-12).log()
