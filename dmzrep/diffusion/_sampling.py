"""Samplers by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from dmzrep.diffusion._grids import Grid
from dmzrep.diffusion._samplers import Denoiser, Observer, sample_ddim, sample_ddpm
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.diffusion._solvers import sample_dpm_solver, sample_heun

SAMPLERS = ("ddpm", "ddim", "dpm++", "dpm++_sde", "heun")


def draws_noise(name: str, eta: float = 0.0) -> bool:
    """Return whether a sampler draws noise at its steps; the others solve an ODE."""
    return name in ("ddpm", "dpm++_sde") or (name == "ddim" and eta > 0.0)


def run_sampler(
    name: str,
    denoise: Denoiser,
    x: Tensor,
    grid: Grid,
    schedule: NoiseSchedule,
    *,
    eta: float = 0.0,
    noise: Callable[[], Tensor],
    clip: float | None = 1.0,
    observe: Observer | None = None,
) -> Tensor:
    """Run a sampler of `SAMPLERS`; arguments as in `sample_ddpm`, and `eta` of DDIM."""
    if name == "ddpm":
        return sample_ddpm(denoise, x, grid, schedule, noise=noise, clip=clip, observe=observe)
    if name == "ddim":
        return sample_ddim(denoise, x, grid, schedule, eta=eta, noise=noise, clip=clip, observe=observe)
    if name == "heun":
        return sample_heun(denoise, x, grid, schedule, clip=clip, observe=observe)
    stochastic = name == "dpm++_sde"
    return sample_dpm_solver(
        denoise, x, grid, schedule, stochastic=stochastic, noise=noise, clip=clip, observe=observe
    )
