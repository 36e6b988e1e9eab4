"""Noise levels of a network that was trained with input perturbation."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dmzrep.diffusion._schedule import NoiseSchedule


@lru_cache(maxsize=16)
def matched_levels(schedule: NoiseSchedule, perturbation: float) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each timestep, the one whose perturbed training input has the same signal-to-noise ratio.

    With input perturbation g, x at timestep tau has noise of standard deviation sigma * sqrt(1 + g^2). A
    scaled x_t is thus a training input at the tau whose log-SNR is log(1 + g^2) above that of t. Returned are
    tau, fractional and at least 0, and its signal power, both float64 of shape (n_timesteps,).
    """
    log_snr = schedule.log_snr
    wanted = np.minimum(log_snr + np.log1p(perturbation**2), log_snr[0])
    tau = np.interp(wanted, log_snr[::-1], np.arange(schedule.n_timesteps)[::-1].astype(np.float64))
    return tau, 1.0 / (1.0 + np.exp(-wanted))
