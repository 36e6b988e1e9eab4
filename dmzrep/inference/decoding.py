"""Codes to rows, from noise or from rows that are noised or inverted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dmzrep.batching import batches, pad_rows
from dmzrep.diffusion.objective import Denoised
from dmzrep.diffusion.samplers import Grid, invert_ddim, sample_ddim, sample_ddpm
from dmzrep.inference.trained import TrainedModel
from dmzrep.networks.codes import UNKNOWN_BIT
from dmzrep.random import ImageNoise
from dmzrep.rows import Rows


def _denoiser(model: TrainedModel, z: Tensor | None) -> Callable[[Tensor, Tensor], Denoised]:
    def denoise(x: Tensor, t: Tensor) -> Denoised:
        return model.objective.denoise(model.network, x, t, z)

    return denoise


def whole_codes(codes: np.ndarray, latent_dim: int) -> np.ndarray:
    """Fill the first bits of codes up to whole codes with 0.5, bits that are not told.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.inference import whole_codes
    >>> whole_codes(np.array([[1, 0]]), 4).tolist()
    [[1.0, 0.0, 0.5, 0.5]]
    """
    missing = latent_dim - codes.shape[1]
    if not missing:
        return codes
    unknown = np.full((len(codes), missing), UNKNOWN_BIT, dtype=np.float32)
    return np.concatenate([codes, unknown], axis=1)


class Start(Protocol):
    """What sampling begins from."""

    def at(self, model: TrainedModel, grid: Grid, part: slice, noise: Tensor) -> Tensor:
        """Give some of the rows at the grid's first timestep, filled up to the rows of `noise`."""


@dataclass(frozen=True)
class StartingRows:
    """Clean rows that sampling begins from, so that something of them stays.

    Parameters
    ----------
    rows : ndarray or other row source, shape (n, *row_shape)
        In the user's layout.
    inverted : bool, default=False
        False noises them to the first timestep. True runs deterministic DDIM backwards to it, so that
        the sampler would give the rows back under the same codes.
    codes : ndarray of shape (n, latent_dim) or None, default=None
        Bits of the rows, for the inversion; None for an unconditional model.
    """

    rows: Rows
    inverted: bool = False
    codes: np.ndarray | None = None

    def at(self, model: TrainedModel, grid: Grid, part: slice, noise: Tensor) -> Tensor:
        """Give some of the rows at the grid's first timestep, filled up to the rows of `noise`."""
        size, schedule = len(noise), model.objective.schedule
        x0 = pad_rows(model.model_units(self.rows[part]), size)
        if not self.inverted:
            first = torch.full((size,), grid[0][0], dtype=torch.long, device=model.device)
            return schedule.add_noise(x0, noise, first)
        z = None if self.codes is None else model.padded(self.codes[part], size)
        return invert_ddim(_denoiser(model, z), x0, grid, schedule)


@torch.inference_mode()
def decode(
    model: TrainedModel,
    codes: np.ndarray | None,
    seeds: Sequence[int],
    grid: Grid,
    *,
    sampler: str = "ddim",
    eta: float = 0.0,
    start: Start | None = None,
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
    start : StartingRows or StartingNoise, optional
        What x at the first timestep is made of; None begins with noise from `seeds`.

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
        if start is not None:
            x = start.at(model, grid, rows, x)
        z = None if codes is None else model.padded(codes[rows], size)
        denoise, schedule = _denoiser(model, z), model.objective.schedule
        if sampler == "ddpm":
            x = sample_ddpm(denoise, x, grid, schedule, noise=noise.draw, clip=model.clip)
        else:
            x = sample_ddim(denoise, x, grid, schedule, eta=eta, noise=noise.draw, clip=model.clip)
        out[rows] = model.data_format.from_model(x[:n_rows])
    return out
