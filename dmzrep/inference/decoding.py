"""Codes to rows, and rows to the noise they came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from dmzrep.batching import batches, pad_rows
from dmzrep.diffusion.objective import Denoised
from dmzrep.diffusion.samplers import Grid, invert_ddim, sample_ddim, sample_ddpm
from dmzrep.inference.trained import TrainedModel
from dmzrep.random import ImageNoise
from dmzrep.rows import Rows


def _denoiser(model: TrainedModel, z: Tensor | None) -> Callable[[Tensor, Tensor], Denoised]:
    def denoise(x: Tensor, t: Tensor) -> Denoised:
        return model.objective.denoise(model.network, x, t, z)

    return denoise


@torch.inference_mode()
def decode(
    model: TrainedModel,
    codes: np.ndarray | None,
    seeds: Sequence[int],
    grid: Grid,
    *,
    sampler: str = "ddim",
    eta: float = 0.0,
    start_noise: np.ndarray | None = None,
) -> np.ndarray:
    """Draw a row for each code.

    Parameters
    ----------
    model : TrainedModel
        The model.
    codes : ndarray of shape (n, latent_dim) or None
        Bits or probabilities; None for an unconditional model.
    seeds : sequence of n int
        One for each row; decides its noise, whatever batch it is in.
    grid : sequence of (t, t_prev)
        Timesteps to visit.
    sampler : {"ddim", "ddpm"}, default="ddim"
        See `dmzrep.diffusion.samplers`.
    eta : float, default=0.0
        Of DDIM.
    start_noise : ndarray of shape (n, *data_shape), float32, optional
        x at the first timestep, instead of noise drawn from `seeds`.

    Returns
    -------
    ndarray of shape (n, *row_shape)
        In the user's layout, dtype and range.
    """
    size = model.denoiser_rows
    out = np.empty((len(seeds), *model.data_format.row_shape), dtype=model.data_format.dtype)
    for rows in batches(len(seeds), size):
        n_rows = rows.stop - rows.start
        padded = [*seeds[rows], *[0] * (size - n_rows)]
        noise = ImageNoise(padded, model.data_shape, model.device)
        x = noise.draw()
        if start_noise is not None:
            x = model.padded(start_noise[rows], size)
        z = None if codes is None else model.padded(codes[rows], size)
        denoise, schedule = _denoiser(model, z), model.objective.schedule
        if sampler == "ddpm":
            x = sample_ddpm(denoise, x, grid, schedule, noise=noise.draw, clip=model.clip)
        else:
            x = sample_ddim(denoise, x, grid, schedule, eta=eta, noise=noise.draw, clip=model.clip)
        out[rows] = model.data_format.from_model(x[:n_rows])
    return out


@torch.inference_mode()
def invert(model: TrainedModel, rows: Rows, codes: np.ndarray | None, grid: Grid) -> np.ndarray:
    """Find the noise from which DDIM with the given codes gives the rows back.

    Parameters
    ----------
    model : TrainedModel
        The model.
    rows : ndarray or other row source, shape (n, *row_shape)
        Rows in the user's layout.
    codes : ndarray of shape (n, latent_dim) or None
        Their bits.
    grid : sequence of (t, t_prev)
        Timesteps, as they will be visited by the sampler.

    Returns
    -------
    ndarray of shape (n, *data_shape), float32
    """
    size = model.denoiser_rows
    out = np.empty((len(rows), *model.data_shape), dtype=np.float32)
    for part in batches(len(rows), size):
        x0 = pad_rows(model.model_units(rows[part]), size)
        z = None if codes is None else model.padded(codes[part], size)
        x = invert_ddim(_denoiser(model, z), x0, grid, model.objective.schedule)
        out[part] = x[: part.stop - part.start].cpu().numpy()
    return out
