"""Codes to rows, from noise or from rows that are noised or inverted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from dmzrep._base._batching import batches, pad_rows
from dmzrep._base._random import ImageNoise
from dmzrep.data import Source
from dmzrep.diffusion._grids import Grid
from dmzrep.diffusion._samplers import invert_ddim
from dmzrep.diffusion._sampling import run_sampler
from dmzrep.diffusion._scheduler_adapter import SchedulerSampler
from dmzrep.inference._guidance import code_denoiser
from dmzrep.inference._monitor import SamplingMonitor, StepCallback
from dmzrep.inference._trained import TrainedModel
from dmzrep.networks._relaxation import UNKNOWN_BIT


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

    def at(self, model: TrainedModel, grid: Grid, part: slice, noise: Tensor, **options: Any) -> Tensor:
        """Give some of the rows at the grid's first timestep, filled up to the rows of `noise`.

        `options` are those of `code_denoiser`, with which rows are inverted.
        """


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

    rows: Source
    inverted: bool = False
    codes: np.ndarray | None = None

    def at(self, model: TrainedModel, grid: Grid, part: slice, noise: Tensor, **options: Any) -> Tensor:
        """Give some of the rows at the grid's first timestep, filled up to the rows of `noise`.

        `options` are those of `code_denoiser`, with which rows are inverted.
        """
        size, schedule = len(noise), model.objective.schedule
        x0 = pad_rows(model.model_units(self.rows[part]), size)
        if not self.inverted:
            first = torch.full((size,), grid[0][0], dtype=torch.long, device=model.device)
            return schedule.add_noise(x0, noise, first)
        z = None if self.codes is None else model.padded(self.codes[part], size)
        return invert_ddim(code_denoiser(model, z, **options), x0, grid, schedule)


@torch.inference_mode()
def decode(
    model: TrainedModel,
    codes: np.ndarray | None,
    seeds: Sequence[int],
    grid: Grid,
    *,
    sampler: str | SchedulerSampler = "ddim",
    eta: float = 0.0,
    guidance: float = 1.0,
    match_perturbation: bool = False,
    start: Start | None = None,
    progress: bool = False,
    callback: StepCallback | None = None,
    return_trajectory: bool = False,
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
        Timesteps to visit; empty for a `SchedulerSampler`, which has its own.
    sampler : {"ddpm", "ddim", "dpm++", "dpm++_sde", "heun"} or SchedulerSampler, default="ddim"
        See `dmzrep.diffusion._sampling`.
    eta : float, default=0.0
        Of DDIM.
    guidance : float, default=1.0
        Weight of classifier-free guidance; 1 is without.
    match_perturbation : bool, default=False
        See `Objective.denoise`.
    start : StartingRows or StartingNoise, optional
        What x at the first timestep is made of; None begins with noise from `seeds`.
    progress : bool, default=False
        Show a bar of steps.
    callback : callable, optional
        Called as ``callback(step, n_steps, rows)`` after each step with estimates of a batch's clean rows.
    return_trajectory : bool, default=False
        Give the estimates of all steps, the rows themselves last.

    Returns
    -------
    ndarray of shape (n, *row_shape), or (n_steps, n, *row_shape) with `return_trajectory`
        In the user's layout, dtype and range.
    """
    size = model.denoiser_rows
    parts = list(batches(len(seeds), size))
    out = np.empty((len(seeds), *model.data_format.sample_shape), dtype=model.data_format.dtype)
    options: dict[str, Any] = {"guidance": guidance, "match_perturbation": match_perturbation}
    n_steps = len(grid) if isinstance(sampler, str) else sampler.n_steps
    with SamplingMonitor(
        model.data_format,
        len(seeds),
        len(parts),
        n_steps,
        progress=progress,
        callback=callback,
        keep=return_trajectory,
    ) as watcher:
        for rows in parts:
            n_rows = rows.stop - rows.start
            padded = [*seeds[rows], *[0] * (size - n_rows)]
            noise = ImageNoise(padded, model.data_shape, model.device)
            x = noise.draw()
            if start is not None:
                x = start.at(model, grid, rows, x, **options)
            z = None if codes is None else model.padded(codes[rows], size)
            denoise, observe = code_denoiser(model, z, **options), watcher.observer(rows)
            if isinstance(sampler, str):
                x = run_sampler(
                    sampler,
                    denoise,
                    x,
                    grid,
                    model.objective.schedule,
                    eta=eta,
                    noise=noise.draw,
                    clip=model.clip,
                    observe=observe,
                )
            else:
                x = sampler.run(denoise, x, generators=noise.generators, observe=observe)
            out[rows] = model.data_format.from_model(x[:n_rows])
    if watcher.trajectory is None:
        return out
    watcher.trajectory[-1] = out
    return watcher.trajectory
