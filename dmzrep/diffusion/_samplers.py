"""First-order samplers: pure functions of a denoiser and an explicit grid of timesteps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dmzrep.diffusion._grids import Grid
from dmzrep.diffusion._objective import Denoised
from dmzrep.diffusion._schedule import NoiseSchedule

#: (x_t, integer timesteps of shape (n,)) -> estimates of the clean data and the noise.
Denoiser = Callable[[Tensor, Tensor], Denoised]
#: Called at each step with its index, from 0, and the estimate of the clean data.
Observer = Callable[[int, Tensor], None]


def estimate_clean(denoise: Denoiser, x: Tensor, timestep: int, clip: float | None) -> Denoised:
    """Run the denoiser on x at one timestep and clip its clean estimate to [-clip, clip]."""
    t = torch.full((len(x),), timestep, dtype=torch.long, device=x.device)
    denoised = denoise(x, t)
    return denoised if clip is None else denoised._replace(x0=denoised.x0.clamp(-clip, clip))


def sample_ddpm(
    denoise: Denoiser,
    x: Tensor,
    grid: Grid,
    schedule: NoiseSchedule,
    *,
    noise: Callable[[], Tensor],
    clip: float | None = 1.0,
    observe: Observer | None = None,
) -> Tensor:
    """Sample ancestrally over a grid of any stride, from x at the grid's first timestep.

    `noise` returns fresh unit noise of the shape of x. Clean estimates are clipped to [-clip, clip].
    `observe` is called at each step with its index and the (clipped) estimate. Ho et al., "Denoising
    Diffusion Probabilistic Models", 2020, algorithm 2; strided as in Nichol, Dhariwal, 2021, section 4.
    """
    t, t_prev = torch.tensor(list(grid)).unbind(dim=1)
    to_x0, to_xt, _, beta = schedule.posterior(t, t_prev)
    lower, upper = schedule.reverse_log_variance(None, t, t_prev, beta), beta.log()
    for i, (step, step_prev) in enumerate(grid):
        denoised = estimate_clean(denoise, x, step, clip)
        if observe is not None:
            observe(i, denoised.x0)
        x = to_x0[i].item() * denoised.x0 + to_xt[i].item() * x
        if step_prev < 0:
            continue
        fraction = denoised.variance_fraction
        if fraction is None:
            x = x + torch.exp(0.5 * lower[i]).item() * noise()
        else:
            log_variance = fraction * (upper[i] - lower[i]).item() + lower[i].item()
            x = x + (0.5 * log_variance).exp() * noise()
    return x


def sample_ddim(
    denoise: Denoiser,
    x: Tensor,
    grid: Grid,
    schedule: NoiseSchedule,
    *,
    eta: float = 0.0,
    noise: Callable[[], Tensor] | None = None,
    clip: float | None = 1.0,
    observe: Observer | None = None,
) -> Tensor:
    """Sample by DDIM; arguments as in `sample_ddpm`.

    `eta` in [0, 1] is the standard deviation of fresh noise relative to that of the posterior. Song, Meng,
    Ermon, "Denoising Diffusion Implicit Models", 2021, equations 12 and 16.
    """
    t, t_prev = torch.tensor(list(grid)).unbind(dim=1)
    variance = eta**2 * schedule.posterior(t, t_prev)[2]
    direction = (1.0 - schedule.alpha_bar_at(t_prev) - variance).clamp(min=0.0).sqrt()
    for i, (step, step_prev) in enumerate(grid):
        x0 = estimate_clean(denoise, x, step, clip).x0
        if observe is not None:
            observe(i, x0)
        signal, sigma = schedule.levels(step)
        # The noise estimate for x and a (clipped) x0 is (x - signal * x0) / sigma.
        kept = direction[i].item() / sigma
        x = (schedule.levels(step_prev)[0] - kept * signal) * x0 + kept * x
        if eta > 0.0 and step_prev >= 0:
            if noise is None:
                raise ValueError("sample_ddim needs `noise` when eta is above 0.")
            x = x + variance[i].sqrt().item() * noise()
    return x


def invert_ddim(
    denoise: Denoiser, x0: Tensor, grid: Grid, schedule: NoiseSchedule, *, n_refinements: int = 2
) -> Tensor:
    """Return the noise from which deterministic DDIM over the same grid reconstructs x0.

    Each step of `sample_ddim` is inverted by 1 + `n_refinements` fixed-point iterations, since its estimates
    are evaluated at the point that is being solved for.
    """
    x = x0
    for step, step_prev in reversed(list(grid)):
        t = torch.full((len(x0),), step, dtype=torch.long, device=x0.device)
        (signal, sigma), (signal_prev, sigma_prev) = schedule.levels(step), schedule.levels(step_prev)
        # A step rotates (x, v): x_prev = cos * x_t - sin * v(x_t). Solved for x_t, this iteration converges
        # at every timestep; in terms of the noise, it would stall near pure noise.
        cosine = signal * signal_prev + sigma * sigma_prev
        sine = sigma * signal_prev - signal * sigma_prev
        guess = x
        for _ in range(1 + n_refinements):
            denoised = denoise(guess, t)
            velocity = signal * denoised.epsilon - sigma * denoised.x0
            guess = (x + sine * velocity) / cosine
        x = guess
    return x
