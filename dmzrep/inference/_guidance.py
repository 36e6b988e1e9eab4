"""The denoiser of a trained model under codes, with or without guidance."""

from __future__ import annotations

import torch
from torch import Tensor

from dmzrep.diffusion._objective import Denoised
from dmzrep.diffusion._samplers import Denoiser
from dmzrep.inference._trained import TrainedModel
from dmzrep.networks._relaxation import MASKED_BIT


def code_denoiser(
    model: TrainedModel, z: Tensor | None, *, guidance: float = 1.0, match_perturbation: bool = False
) -> Denoiser:
    """Make a denoiser (x_t, t) -> `Denoised` under given codes.

    Parameters
    ----------
    model : TrainedModel
        The model.
    z : Tensor of shape (n, latent_dim) or None
        Bits or probabilities; None for an unconditional model.
    guidance : float, default=1.0
        Weight g of classifier-free guidance: estimates are those with the code plus (g - 1) times their
        difference from those without. 1 runs the network once, other values twice, in two batches of the same
        shape, so that a row's result does not depend on its company.
    match_perturbation : bool, default=False
        See `Objective.denoise`.

    Returns
    -------
    callable

    References
    ----------
    Ho, Salimans, "Classifier-Free Diffusion Guidance", 2022, equation 6, with g = 1 + w.
    """

    def denoise(x: Tensor, t: Tensor, code: Tensor | None = z) -> Denoised:
        return model.objective.denoise(model.network, x, t, code, match_perturbation=match_perturbation)

    if guidance == 1.0 or z is None:
        return denoise
    no_code = torch.full_like(z, MASKED_BIT)

    def guided(x: Tensor, t: Tensor) -> Denoised:
        conditional, unconditional = denoise(x, t), denoise(x, t, no_code)
        # Clean data, noise and velocity are linear in each other at one x_t: mixing one mixes all alike.
        x0, epsilon = (
            known + (guidance - 1.0) * (known - unknown)
            for known, unknown in zip(conditional[:2], unconditional[:2], strict=True)
        )
        return Denoised(x0, epsilon, conditional.variance_fraction)

    return guided
