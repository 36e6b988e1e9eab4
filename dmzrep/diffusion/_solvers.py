"""Second-order solvers of the sampling ODE and SDE: pure functions of a denoiser and an explicit grid.

Both are written in terms of the clean estimate, which stays bounded at every noise level. With a = signal and
s = sigma of a timestep, x / s moves along d(x / s) / d(a / s) = x0(x): a step that takes x0 as constant is
DDIM's, and is exact where it is. Clean data (s = 0, an infinite signal-to-noise ratio) are reached by such a
first-order step, which gives the clean estimate itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from dmzrep.diffusion._grids import Grid
from dmzrep.diffusion._samplers import Denoiser, Observer, estimate_clean
from dmzrep.diffusion._schedule import NoiseSchedule


def sample_dpm_solver(
    denoise: Denoiser,
    x: Tensor,
    grid: Grid,
    schedule: NoiseSchedule,
    *,
    stochastic: bool = False,
    noise: Callable[[], Tensor] | None = None,
    clip: float | None = 1.0,
    observe: Observer | None = None,
) -> Tensor:
    """DPM-Solver++ (2M): multistep, second order, one network evaluation a step.

    Each step extrapolates the clean estimate from the last two. The first step, which has but one, and the
    last, to clean data, are of first order: DDIM's.

    Parameters
    ----------
    denoise, x, grid, schedule, clip, observe
        As in `dmzrep.diffusion._samplers.sample_ddpm`.
    stochastic : bool, default=False
        Solve the SDE in place of the ODE (SDE-DPM-Solver++ 2M). Its first-order step is DDPM's.
    noise : callable, optional
        Gives fresh unit noise of the shape of x; needed by the SDE.

    Returns
    -------
    Tensor of shape (n, ...)
        x at the grid's last t_prev.

    References
    ----------
    Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models", 2022,
    algorithm 2 and, for the SDE, section 5.
    """
    if stochastic and noise is None:
        raise ValueError("sample_dpm_solver needs `noise` when stochastic is True.")
    previous: tuple[Tensor, float] | None = None
    for i, (step, step_prev) in enumerate(grid):
        (a, s), (a_prev, s_prev) = schedule.levels(step), schedule.levels(step_prev)
        x0 = estimate_clean(denoise, x, step, clip).x0
        if observe is not None:
            observe(i, x0)
        slope = x0
        if s_prev > 0.0:
            width = math.log(a_prev / s_prev) - math.log(a / s)
            if previous is not None:
                last_x0, last_width = previous
                weight = 0.5 * width / last_width
                slope = (1.0 + weight) * x0 - weight * last_x0
            previous = (x0, width)
        # exp(-width), written so that it is zero at clean data.
        shrink = (s_prev / s) * (a / a_prev)
        if not stochastic:
            x = (s_prev / s) * x + a_prev * (1.0 - shrink) * slope
            continue
        x = (s_prev / s) * shrink * x + a_prev * (1.0 - shrink**2) * slope
        if s_prev > 0.0 and noise is not None:
            x = x + s_prev * math.sqrt(1.0 - shrink**2) * noise()
    return x


def sample_heun(
    denoise: Denoiser,
    x: Tensor,
    grid: Grid,
    schedule: NoiseSchedule,
    *,
    clip: float | None = 1.0,
    observe: Observer | None = None,
) -> Tensor:
    """Heun's method, second order, on d(x / s) / d(a / s) = x0(x).

    A step costs two network evaluations, the one to clean data a single one: 2 n - 1 for n steps.

    Parameters
    ----------
    denoise, x, grid, schedule, clip, observe
        As in `dmzrep.diffusion._samplers.sample_ddpm`; `observe` gets the estimate at a step's beginning.

    Returns
    -------
    Tensor of shape (n, ...)
        x at the grid's last t_prev.

    Notes
    -----
    Karras et al. integrate x / a over s / a. There the correction of a step grows with the ratio of its two
    noise levels, which is beyond bounds at the noisy end of the cosine schedule; over a / s the two clean
    estimates are averaged, and a step is stable whatever its length.

    References
    ----------
    Karras, Aittala, Aila, Laine, "Elucidating the Design Space of Diffusion-Based Generative Models", 2022,
    algorithm 1 (Heun's method for sampling).
    """
    for i, (step, step_prev) in enumerate(grid):
        (a, s), (a_prev, s_prev) = schedule.levels(step), schedule.levels(step_prev)
        x0 = estimate_clean(denoise, x, step, clip).x0
        if observe is not None:
            observe(i, x0)
        kept, taken = s_prev / s, a_prev - s_prev * a / s
        end = kept * x + taken * x0
        if s_prev > 0.0:
            x0_end = estimate_clean(denoise, end, step_prev, clip).x0
            end = kept * x + (0.5 * taken) * (x0 + x0_end)
        x = end
    return x
