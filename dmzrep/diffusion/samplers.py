"""Samplers: pure functions of a denoiser and an explicit grid of timesteps."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from dmzrep.diffusion.objective import Denoised
from dmzrep.diffusion.schedule import NoiseSchedule

SAMPLERS = ("ddpm", "ddim")
SPACINGS = ("trailing", "uniform")

#: (x_t, integer timesteps of shape (n,)) -> what the network says of x_t.
Denoiser = Callable[[Tensor, Tensor], Denoised]
#: Pairs (t, t_prev), from the noisiest; the last t_prev is -1, clean data.
Grid = Sequence[tuple[int, int]]


def timesteps_from(n_timesteps: int, start: float) -> int:
    """Give how many timesteps lie below a start in (0, 1], round(start * T); raise where none does.

    Examples
    --------
    >>> from dmzrep.diffusion.samplers import timesteps_from
    >>> timesteps_from(1000, 0.9)
    900
    """
    if not isinstance(start, (int, float)) or isinstance(start, bool) or not 0.0 < start <= 1.0:
        raise ValueError(
            f"start must be a number in (0, 1], got {start!r}: 1 begins at noise, less keeps more of the row."
        )
    count = round(float(start) * n_timesteps)
    if count < 1:
        raise ValueError(
            f"start={start!r} leaves none of the {n_timesteps} timesteps. Use at least {1 / n_timesteps:g}."
        )
    return count


def timestep_grid(
    n_timesteps: int, n_steps: int, spacing: str = "trailing", *, start: float = 1.0
) -> list[tuple[int, int]]:
    """Timesteps to visit, as pairs (t, t_prev).

    The first t is round(start * T) - 1 and the last t_prev is -1 (clean data), whatever the number of
    steps.

    Parameters
    ----------
    n_timesteps : int
        T.
    n_steps : int
        Network evaluations, from 1 to round(start * T).
    spacing : {"trailing", "uniform"}, default="trailing"
        ``"trailing"``: equal strides counted from the first t, so that the last step is as long as
        the others. ``"uniform"``: equal strides from the first t to 0, so that the last step is a
        single timestep.
    start : float, default=1.0
        Where to begin, in (0, 1]; 1 is noise without a picture in it.

    Returns
    -------
    list of (int, int)

    Raises
    ------
    ValueError
        `n_steps` is not from 1 to round(start * T), or `start` leaves no timestep.

    References
    ----------
    Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", 2024, table 2.

    Examples
    --------
    >>> from dmzrep.diffusion.samplers import timestep_grid
    >>> timestep_grid(1000, 4)
    [(999, 749), (749, 499), (499, 249), (249, -1)]
    >>> timestep_grid(1000, 3, start=0.9)
    [(899, 599), (599, 299), (299, -1)]
    """
    n_visited = timesteps_from(n_timesteps, start)
    if not 1 <= n_steps <= n_visited:
        limit = "n_timesteps" if n_visited == n_timesteps else "round(start * n_timesteps)"
        raise ValueError(f"n_steps must be from 1 to {limit}={n_visited}, got {n_steps}.")
    if spacing == "uniform":
        values = np.rint(np.linspace(n_visited - 1, 0, n_steps)).astype(int)
        if n_steps == 1:
            values = np.array([n_visited - 1])
    else:
        values = np.rint(n_visited * np.arange(n_steps, 0, -1) / n_steps).astype(int) - 1
    steps = [*values.tolist(), -1]
    return list(itertools.pairwise(steps))


def _expand(coefficient: Tensor, like: Tensor) -> Tensor:
    return coefficient.to(like.dtype).view((-1,) + (1,) * (like.dim() - 1))


def _clipped(
    denoised: Denoised, x: Tensor, t: Tensor, schedule: NoiseSchedule, clip: float | None
) -> Denoised:
    """Clip the clean estimate to [-clip, clip] and make the noise estimate agree with it."""
    if clip is None:
        return denoised
    signal, sigma = schedule.signal_and_noise(t, x)
    x0 = denoised.x0.clamp(-clip, clip)
    return Denoised(x0, (x - signal * x0) / sigma, denoised.variance_fraction)


def sample_ddpm(
    denoise: Denoiser,
    x: Tensor,
    grid: Grid,
    schedule: NoiseSchedule,
    *,
    noise: Callable[[], Tensor],
    clip: float | None = 1.0,
) -> Tensor:
    """Ancestral sampling over a grid of any stride.

    Parameters
    ----------
    denoise : callable
        (x_t, t) -> `Denoised`.
    x : Tensor of shape (n, ...)
        x at the grid's first timestep.
    grid : sequence of (t, t_prev)
        Timesteps to visit.
    schedule : NoiseSchedule
        The forward process.
    noise : callable
        Gives fresh unit noise of the shape of x at each call.
    clip : float or None, default=1.0
        Largest absolute value of clean estimates; 1 for images in [-1, 1]. None does not clip.

    Returns
    -------
    Tensor of shape (n, ...)
        x at the grid's last t_prev.

    References
    ----------
    Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models", 2020, algorithm 2; the strided
    form is Nichol, Dhariwal, 2021, section 4.
    """
    for step, step_prev in grid:
        t = torch.full((len(x),), step, dtype=torch.long, device=x.device)
        t_prev = torch.full_like(t, step_prev)
        denoised = _clipped(denoise(x, t), x, t, schedule, clip)
        to_x0, to_xt, _, _ = schedule.posterior(t, t_prev)
        mean = _expand(to_x0, x) * denoised.x0 + _expand(to_xt, x) * x
        if step_prev < 0:
            x = mean
        else:
            log_variance = schedule.reverse_log_variance(denoised.variance_fraction, t, t_prev, x)
            x = mean + (0.5 * log_variance).exp() * noise()
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
) -> Tensor:
    """Denoising diffusion implicit sampling.

    Parameters
    ----------
    denoise, x, grid, schedule, clip
        As in `sample_ddpm`.
    eta : float, default=0.0
        Share of the posterior's standard deviation that is drawn anew at each step, in [0, 1];
        zero is deterministic.
    noise : callable, optional
        Gives fresh unit noise of the shape of x; needed for eta above 0.

    Returns
    -------
    Tensor of shape (n, ...)

    References
    ----------
    Song, Meng, Ermon, "Denoising Diffusion Implicit Models", 2021, equations 12 and 16.
    """
    for step, step_prev in grid:
        t = torch.full((len(x),), step, dtype=torch.long, device=x.device)
        t_prev = torch.full_like(t, step_prev)
        denoised = _clipped(denoise(x, t), x, t, schedule, clip)
        alpha_bar_prev = schedule.alpha_bar_at(t_prev)
        variance = eta**2 * schedule.posterior(t, t_prev)[2]
        direction = (1.0 - alpha_bar_prev - variance).clamp(min=0.0).sqrt()
        x = _expand(alpha_bar_prev.sqrt(), x) * denoised.x0 + _expand(direction, x) * denoised.epsilon
        if eta > 0.0 and step_prev >= 0:
            if noise is None:
                raise ValueError("sample_ddim needs `noise` when eta is above 0.")
            x = x + _expand(variance.sqrt(), x) * noise()
    return x


def invert_ddim(
    denoise: Denoiser, x0: Tensor, grid: Grid, schedule: NoiseSchedule, *, n_refinements: int = 2
) -> Tensor:
    """Find the noise from which deterministic DDIM over the same grid gives back x0.

    Each step of `sample_ddim` is undone by fixed-point iteration: the noise estimate is taken at
    the point that is being looked for, as the forward step will take it.

    Parameters
    ----------
    denoise, grid, schedule
        As in `sample_ddpm`.
    x0 : Tensor of shape (n, ...)
        Clean data.
    n_refinements : int, default=2
        Fixed-point iterations after the first guess, at least 0.

    Returns
    -------
    Tensor of shape (n, ...)
        x at the grid's first timestep.
    """
    x = x0
    for step, step_prev in reversed(list(grid)):
        t = torch.full((len(x0),), step, dtype=torch.long, device=x0.device)
        alpha_bar, alpha_bar_prev = (
            schedule.alpha_bar_at(t),
            schedule.alpha_bar_at(torch.full_like(t, step_prev)),
        )
        signal, sigma = alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt()
        signal_prev, sigma_prev = alpha_bar_prev.sqrt(), (1.0 - alpha_bar_prev).sqrt()
        # A step turns (x, v) by an angle: x_prev = cos * x_t - sin * v(x_t). Solved for x_t this way the
        # iteration converges at every timestep; in terms of the noise it would stall near pure noise.
        cosine = _expand(signal * signal_prev + sigma * sigma_prev, x)
        sine = _expand(sigma * signal_prev - signal * sigma_prev, x)
        guess = x
        for _ in range(1 + n_refinements):
            denoised = denoise(guess, t)
            velocity = _expand(signal, x) * denoised.epsilon - _expand(sigma, x) * denoised.x0
            guess = (x + sine * velocity) / cosine
        x = guess
    return x
