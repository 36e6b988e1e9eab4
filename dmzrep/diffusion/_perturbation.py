"""What a network that was trained with input perturbation takes its input to be."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dmzrep.diffusion._schedule import NoiseSchedule


@lru_cache(maxsize=16)
def matched_levels(schedule: NoiseSchedule, perturbation: float) -> tuple[np.ndarray, np.ndarray]:
    """Find, for each timestep, the training timestep whose perturbed input has its signal-to-noise ratio.

    In training with perturbation g, x at timestep tau holds noise of standard deviation
    sigma * sqrt(1 + g^2). Scaled to unit variance that is a row of the same forward process at another level:
    its log signal-to-noise ratio is log(1 + g^2) below that of tau. The network is thus an exact denoiser of
    x_t under the timestep tau whose log-SNR is log(1 + g^2) above that of t.

    Parameters
    ----------
    schedule : NoiseSchedule
        The forward process.
    perturbation : float
        g, at least 0.

    Returns
    -------
    tau : ndarray of shape (n_timesteps,), float64
        Timesteps, with fractions, linear in the log-SNR between whole ones. Where even timestep 0 has too low
        a ratio, it is 0.
    alpha_bar : ndarray of shape (n_timesteps,), float64
        Signal power at tau.

    Examples
    --------
    >>> from dmzrep.diffusion._perturbation import matched_levels
    >>> from dmzrep.diffusion._schedule import NoiseSchedule
    >>> tau, alpha_bar = matched_levels(NoiseSchedule.named("cosine", 1000), 0.15)
    >>> tau[500].round(2).item()
    496.43
    """
    log_snr = schedule.log_snr
    wanted = np.minimum(log_snr + np.log1p(perturbation**2), log_snr[0])
    tau = np.interp(wanted, log_snr[::-1], np.arange(schedule.n_timesteps)[::-1].astype(np.float64))
    return tau, 1.0 / (1.0 + np.exp(-wanted))
