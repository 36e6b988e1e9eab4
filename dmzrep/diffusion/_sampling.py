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
    """Whether a sampler draws noise at its steps; the others solve an ODE.

    Examples
    --------
    >>> from dmzrep.diffusion._sampling import draws_noise
    >>> draws_noise("ddim"), draws_noise("ddim", eta=0.5), draws_noise("dpm++_sde")
    (False, True, True)
    """
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
    """Run the sampler of a name.

    Parameters
    ----------
    name : {"ddpm", "ddim", "dpm++", "dpm++_sde", "heun"}
        `sample_ddpm`, `sample_ddim`, `sample_dpm_solver` for the ODE and for the SDE, or `sample_heun`.
    denoise, x, grid, schedule, clip, observe
        As in `dmzrep.diffusion._samplers.sample_ddpm`.
    eta : float, default=0.0
        Of DDIM.
    noise : callable
        Gives fresh unit noise of the shape of x; not called by samplers that draw none.

    Returns
    -------
    Tensor of shape (n, ...)
    """
    if name == "ddpm":
        return sample_ddpm(denoise, x, grid, schedule, noise=noise, clip=clip, observe=observe)
    if name == "ddim":
        return sample_ddim(denoise, x, grid, schedule, eta=eta, noise=noise, clip=clip, observe=observe)
    if name == "heun":
        return sample_heun(denoise, x, grid, schedule, clip=clip, observe=observe)
    if name in ("dpm++", "dpm++_sde"):
        stochastic = name == "dpm++_sde"
        return sample_dpm_solver(
            denoise, x, grid, schedule, stochastic=stochastic, noise=noise, clip=clip, observe=observe
        )
    raise ValueError(f"sampler must be one of {SAMPLERS}, got {name!r}.")
