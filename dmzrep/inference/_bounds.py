"""The variational bound on the negative log-likelihood of samples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dmzrep._base._batching import pad_samples, padded_batches
from dmzrep._base._random import content_seeds
from dmzrep.data import Source
from dmzrep.diffusion._likelihood import gaussian_kl
from dmzrep.diffusion._objective import Denoised

if TYPE_CHECKING:
    from dmzrep.inference._decoder import Decoder


@torch.inference_mode()
def variational_bound(
    decoder: Decoder, samples: Source, codes: np.ndarray | None, n_terms: int
) -> np.ndarray:
    """Estimate the bound of each sample, given its code, from a stratified choice of its T terms.

    The term of timestep 0, the reconstruction, is always computed; the others are drawn one from each of
    `n_terms` - 1 equal slices. Timesteps and noise are seeded by the content of a sample. See
    `Decoder.bound`.

    Notes
    -----
    Where the reverse variance is not learned, that of the forward step is taken. With it, and a denoiser
    that is exact, the bound comes down to the negative log-likelihood of Gaussian data as steps grow
    many; with the posterior's it stays half a nat a dimension above.

    References
    ----------
    Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models", 2020, section 3.2 (both variances, the
    forward step's as the best for Gaussian data).
    """
    schedule = decoder.objective.schedule
    dimensions = math.prod(decoder.data_shape)
    n_slices = n_terms - 1
    edges = np.linspace(1, schedule.n_timesteps, n_slices + 1)
    bound = np.empty(len(samples))
    for part, size in padded_batches(len(samples), decoder.data_shape, decoder.denoiser_batch):
        n_samples = part.stop - part.start
        x0 = decoder.model_units(samples[part])
        seeds = content_seeds(x0.contiguous().cpu().numpy())
        generators = [np.random.Generator(np.random.Philox(seed)) for seed in seeds]
        x0 = pad_samples(x0, size)
        z = None if codes is None else decoder.padded(codes[part], size)

        def term(
            t: Tensor,
            x0: Tensor = x0,
            z: Tensor | None = z,
            generators: list = generators,
            size: int = size,
        ) -> Tensor:
            drawn = np.stack([g.standard_normal(x0.shape[1:], dtype=np.float32) for g in generators])
            return _bound_term(decoder, x0, t, z, decoder.padded(drawn, size))[: len(generators)]

        total = term(torch.zeros(size, dtype=torch.long, device=decoder.device)).double().cpu().numpy()
        terms = np.zeros(n_samples)
        for i in range(n_slices):
            uniform = np.array([g.random() for g in generators])
            drawn = np.floor(edges[i] + uniform * (edges[i + 1] - edges[i])).astype(np.int64)
            t = torch.from_numpy(np.clip(drawn, 1, schedule.n_timesteps - 1)).to(decoder.device)
            terms += term(pad_samples(t, size)).double().cpu().numpy()
        slice_size = (schedule.n_timesteps - 1) / n_slices
        total = total + slice_size * terms
        bound[part] = (total + _terminal_term(decoder, x0)[:n_samples]) * dimensions
    return bound


def _bound_term(decoder: Decoder, x0: Tensor, t: Tensor, z: Tensor | None, noise: Tensor) -> Tensor:
    """Term of the bound at timestep t, in nats a dimension, clean estimates clipped as in sampling."""
    x_t = decoder.objective.schedule.add_noise(x0, noise, t)
    denoised = decoder.objective.denoise(decoder.network, x_t, t, z)
    clipped = denoised.x0.clamp(-decoder.clip, decoder.clip)
    fraction = denoised.variance_fraction
    fraction = torch.ones_like(clipped) if fraction is None else fraction
    denoised = Denoised(clipped, denoised.epsilon, fraction)
    return decoder.objective.bound_terms(denoised, x0, x_t, t)


def _terminal_term(decoder: Decoder, x0: Tensor) -> np.ndarray:
    """KL from q(x_T | x_0) to the standard Gaussian, in nats a dimension."""
    schedule = decoder.objective.schedule
    last = torch.full((len(x0),), schedule.n_timesteps - 1, dtype=torch.long, device=x0.device)
    signal, sigma = schedule.signal_and_noise(last, x0)
    zero = torch.zeros_like(x0)
    kl = gaussian_kl(signal * x0, zero + 2.0 * sigma.log(), zero, zero)
    return kl.flatten(1).mean(dim=1).double().cpu().numpy()
