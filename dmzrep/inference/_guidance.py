"""The denoiser of a fitted model given codes, with or without guidance."""

from __future__ import annotations

import torch
from torch import Tensor

from dmzrep.diffusion._objective import Denoised
from dmzrep.diffusion._samplers import Denoiser
from dmzrep.inference._model import FittedModel
from dmzrep.networks._relaxation import MASKED_BIT


def code_denoiser(
    decoder: FittedModel, z: Tensor | None, *, guidance: float = 1.0, match_perturbation: bool = False
) -> Denoiser:
    """Return a denoiser (x_t, t) -> `Denoised` given codes z, or None for an unconditional model.

    With guidance g, estimates are those with the code plus (g - 1) times their difference from those without
    it: Ho, Salimans, "Classifier-Free Diffusion Guidance", 2022, equation 6, with g = 1 + w.
    """

    def denoise(x: Tensor, t: Tensor, code: Tensor | None = z) -> Denoised:
        return decoder.objective.denoise(decoder.network, x, t, code, match_perturbation=match_perturbation)

    if guidance == 1.0 or z is None:
        return denoise
    no_code = torch.full_like(z, MASKED_BIT)

    def guided(x: Tensor, t: Tensor) -> Denoised:
        conditional, unconditional = denoise(x, t), denoise(x, t, no_code)
        # Clean data and noise are linear in each other at a given x_t, so both are mixed alike.
        x0, epsilon = (
            known + (guidance - 1.0) * (known - unknown)
            for known, unknown in zip(conditional[:2], unconditional[:2], strict=True)
        )
        return Denoised(x0, epsilon, conditional.variance_fraction)

    return guided
