"""The variational bound on the negative log-likelihood of rows."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from dmzrep._base._batching import batches, pad_rows
from dmzrep._base._random import content_seeds
from dmzrep.data import Source
from dmzrep.diffusion._likelihood import gaussian_kl
from dmzrep.diffusion._objective import Denoised
from dmzrep.inference._trained import TrainedModel


@torch.inference_mode()
def variational_bound(
    model: TrainedModel, rows: Source, codes: np.ndarray | None, n_terms: int
) -> np.ndarray:
    """Estimate each row's bound, given its code, from a stratified choice of its T terms.

    The term of timestep 0, the reconstruction, is always computed; the others are drawn one from
    each of `n_terms` - 1 equal slices. Timesteps and noise follow from a row's content alone.

    Parameters
    ----------
    model : TrainedModel
        The model.
    rows : ndarray of shape (n, *row_shape)
        Rows in the user's layout.
    codes : ndarray of shape (n, latent_dim) or None
        Their bits.
    n_terms : int
        Network evaluations a row, from 2 to T; T visits every timestep.

    Returns
    -------
    ndarray of shape (n,), float64
        In nats for the whole row. Without bias; exact, noise aside, with every timestep.

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
    schedule = model.objective.schedule
    size, dimensions = model.denoiser_rows, math.prod(model.data_shape)
    n_slices = n_terms - 1
    edges = np.linspace(1, schedule.n_timesteps, n_slices + 1)
    bound = np.empty(len(rows))
    for part in batches(len(rows), size):
        n_rows = part.stop - part.start
        x0 = model.model_units(rows[part])
        seeds = content_seeds(x0.contiguous().cpu().numpy())
        generators = [np.random.Generator(np.random.Philox(seed)) for seed in seeds]
        x0 = pad_rows(x0, size)
        z = None if codes is None else model.padded(codes[part], size)

        def term(t: Tensor, x0: Tensor = x0, z: Tensor | None = z, generators: list = generators) -> Tensor:
            drawn = np.stack([g.standard_normal(x0.shape[1:], dtype=np.float32) for g in generators])
            return _bound_term(model, x0, t, z, model.padded(drawn, size))[: len(generators)]

        total = term(torch.zeros(size, dtype=torch.long, device=model.device)).double().cpu().numpy()
        terms = np.zeros(n_rows)
        for i in range(n_slices):
            uniform = np.array([g.random() for g in generators])
            drawn = np.floor(edges[i] + uniform * (edges[i + 1] - edges[i])).astype(np.int64)
            t = torch.from_numpy(np.clip(drawn, 1, schedule.n_timesteps - 1)).to(model.device)
            terms += term(pad_rows(t, size)).double().cpu().numpy()
        slice_size = (schedule.n_timesteps - 1) / n_slices
        total = total + slice_size * terms
        bound[part] = (total + _terminal_term(model, x0)[:n_rows]) * dimensions
    return bound


def _bound_term(model: TrainedModel, x0: Tensor, t: Tensor, z: Tensor | None, noise: Tensor) -> Tensor:
    """Term of the bound at timestep t, in nats a dimension, clean estimates clipped as in sampling."""
    x_t = model.objective.schedule.add_noise(x0, noise, t)
    denoised = model.objective.denoise(model.network, x_t, t, z)
    clipped = denoised.x0.clamp(-model.clip, model.clip)
    fraction = denoised.variance_fraction
    fraction = torch.ones_like(clipped) if fraction is None else fraction
    denoised = Denoised(clipped, denoised.epsilon, fraction)
    return model.objective.bound_terms(denoised, x0, x_t, t)


def _terminal_term(model: TrainedModel, x0: Tensor) -> np.ndarray:
    """KL from q(x_T | x_0) to the standard Gaussian, in nats a dimension."""
    schedule = model.objective.schedule
    last = torch.full((len(x0),), schedule.n_timesteps - 1, dtype=torch.long, device=x0.device)
    signal, sigma = schedule.signal_and_noise(last, x0)
    zero = torch.zeros_like(x0)
    kl = gaussian_kl(signal * x0, zero + 2.0 * sigma.log(), zero, zero)
    return kl.flatten(1).mean(dim=1).double().cpu().numpy()
