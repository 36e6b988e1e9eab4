"""Gaussian terms of the variational bound."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def gaussian_kl(mean1: Tensor, log_variance1: Tensor, mean2: Tensor, log_variance2: Tensor) -> Tensor:
    """KL divergence between diagonal Gaussians, elementwise, in nats.

    Examples
    --------
    >>> import torch
    >>> from dmzrep.diffusion._likelihood import gaussian_kl
    >>> zero = torch.zeros(1)
    >>> gaussian_kl(zero, zero, zero + 1.0, zero).item()
    0.5
    """
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
    """Log-probability of a grey level under a Gaussian, elementwise, in nats.

    The mass of the bin of width `bin_width` around x; the outermost bins reach to infinity.

    Parameters
    ----------
    x : Tensor
        Grey levels scaled to [-1, 1].
    mean, log_variance : Tensor
        Parameters of the Gaussian, broadcastable with x.
    bin_width : float
        Distance between neighbouring grey levels, 2 / 255 for uint8.

    References
    ----------
    Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models", 2020, equation 13.
    """
    scale = (-0.5 * log_variance).exp() / math.sqrt(2.0)
    upper = (x - mean + bin_width / 2) * scale
    lower = (x - mean - bin_width / 2) * scale
    upper = torch.where(x > 1.0 - bin_width / 2, torch.full_like(upper, math.inf), upper)
    lower = torch.where(x < -1.0 + bin_width / 2, torch.full_like(lower, -math.inf), lower)
    # In the upper tail both values of erf round to one; by symmetry the lower tail is exact.
    flip = lower > 0
    upper, lower = torch.where(flip, -lower, upper), torch.where(flip, -upper, lower)
    mass = 0.5 * (torch.erfc(-upper) - torch.erfc(-lower))
    return mass.clamp(min=1e-12).log()
