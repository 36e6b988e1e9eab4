"""Second-order solvers of the sampling ODE and SDE: pure functions of a denoiser and an explicit grid.

Both use the clean estimate x0, which is bounded at every noise level. With a = signal and s = sigma of a
timestep, the ODE is d(x / s) / d(a / s) = x0(x); a step with constant x0 is a DDIM step. The last step, to
clean data (s = 0, an infinite signal-to-noise ratio), is such a first-order step, which returns x0.
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
    """Sample by DPM-Solver++ (2M): multistep, second order, one network evaluation per step.

    Arguments as in `sample_ddpm`; `stochastic` solves the SDE and needs `noise`. Each step extrapolates the
    clean estimate from the last two; the first and the last step are first-order: DDIM steps, or DDPM steps
    for the SDE. Lu et al., "DPM-Solver++", 2022, algorithm 2 and, for the SDE, section 5.
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
        # exp(-width), in a form that is zero for clean data.
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
    """Sample by Heun's method, second order, on d(x / s) / d(a / s) = x0(x); arguments as in `sample_ddpm`.

    Each step costs two network evaluations, the last only one; `observe` gets the estimate of the first.
    Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", 2022, algorithm 1,
    integrate x / a over s / a, where the correction grows with the ratio of the noise levels of a step,
    without bound at the noisy end of the cosine schedule. Integration over a / s averages two clean
    estimates, which is stable for any step.
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
