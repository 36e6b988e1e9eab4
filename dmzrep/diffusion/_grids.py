"""Timestep grids of samplers, as explicit pairs (t, t_prev)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from dmzrep._base._validation import check_number
from dmzrep.diffusion._schedule import NoiseSchedule

SPACINGS = ("trailing", "uniform", "quadratic", "log_snr")

#: Pairs (t, t_prev) from the noisiest on; the last t_prev is -1, clean data.
Grid = Sequence[tuple[int, int]]

#: Log-SNR below which "log_snr" takes a single stride: almost pure noise, where the cosine schedule has many
#: timesteps. The authors of DPM-Solver and diffusers clip half the log-SNR at -5.1.
LOWEST_LOG_SNR = -10.2


def check_strength(strength: Any) -> None:
    """Raise unless `strength`, the fraction of the timesteps that are denoised, is a number in (0, 1]."""
    check_number(strength, "strength", 0, 1, "right", " (1 begins from noise, less keeps more of the sample)")


def timesteps_from(n_timesteps: int, strength: float) -> int:
    """Return round(strength * T), the number of timesteps that are visited."""
    check_strength(strength)
    count = round(float(strength) * n_timesteps)
    if count < 1:
        raise ValueError(
            f"strength={strength!r} leaves none of the {n_timesteps} timesteps. Use at least "
            f"{1 / n_timesteps:g}."
        )
    return count


def timestep_grid(
    n_timesteps: int,
    n_steps: int,
    spacing: str = "trailing",
    *,
    strength: float = 1.0,
    schedule: NoiseSchedule | None = None,
) -> list[tuple[int, int]]:
    """Return the n_steps timesteps to visit, at most round(strength * T), as pairs (t, t_prev).

    The first t is round(strength * T) - 1 and the last t_prev is -1 (clean data). Strides are equal in t
    (``"trailing"``: all of them; ``"uniform"``: all but the last, of a single timestep), in sqrt(t)
    (``"quadratic"``) or in the log signal-to-noise ratio (``"log_snr"``, from `LOWEST_LOG_SNR`, of
    `schedule`).

    References
    ----------
    Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", 2024, table 2 (trailing);
    Song, Meng, Ermon, "Denoising Diffusion Implicit Models", 2021, appendix D.2 (quadratic); Lu et al.,
    "DPM-Solver", 2022, section 3.4 (log-SNR).

    Examples
    --------
    >>> from dmzrep.diffusion._grids import timestep_grid
    >>> timestep_grid(1000, 4)
    [(999, 749), (749, 499), (499, 249), (249, -1)]
    >>> timestep_grid(1000, 4, "quadratic")
    [(999, 444), (444, 111), (111, 0), (0, -1)]
    """
    n_visited = timesteps_from(n_timesteps, strength)
    share = np.linspace(1.0, 0.0, n_steps)
    if spacing == "trailing":
        wanted = n_visited * np.arange(n_steps, 0, -1) / n_steps - 1.0
    elif spacing == "uniform":
        wanted = (n_visited - 1) * share
    elif spacing == "quadratic":
        wanted = (n_visited - 1) * share**2
    else:
        wanted = _even_in_log_snr(n_timesteps, n_visited, share, schedule)
    steps = [*_strictly_decreasing(np.rint(wanted).astype(int)).tolist(), -1]
    return list(itertools.pairwise(steps))


def _even_in_log_snr(
    n_timesteps: int, n_visited: int, share: np.ndarray, schedule: NoiseSchedule | None
) -> np.ndarray:
    """Return fractional timesteps at equal strides in the log signal-to-noise ratio."""
    if schedule is None or schedule.n_timesteps != n_timesteps:
        found = "none" if schedule is None else f"one of {schedule.n_timesteps}"
        raise ValueError(f"spacing='log_snr' needs `schedule` of {n_timesteps} timesteps, got {found}.")
    log_snr = schedule.log_snr[:n_visited]
    highest = log_snr[0]
    lowest = min(highest, max(log_snr[-1], LOWEST_LOG_SNR))
    wanted = np.interp(highest + (lowest - highest) * share, log_snr[::-1], np.arange(n_visited)[::-1])
    wanted[0] = n_visited - 1
    return wanted


def _strictly_decreasing(timesteps: np.ndarray) -> np.ndarray:
    """Change integers as little as possible so that they decrease strictly and are at least 0."""
    position = np.arange(len(timesteps))
    decreasing = np.minimum.accumulate(timesteps + position) - position
    return np.maximum(decreasing, len(timesteps) - 1 - position)
