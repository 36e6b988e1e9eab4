"""Estimates of clean data that are calibrated for the likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dmzrep.diffusion._schedule import NoiseSchedule


@dataclass(frozen=True)
class Calibration:
    """Linear estimates of clean data from the network's estimate and x_t, fitted by least squares.

    In model units, channel c of the clean data is estimated at timestep ``timesteps[k]`` by
    ``a * estimate + b * x_t + constant``, with the clipped estimate of the network and
    ``coefficients[k, c]`` = (a, b, constant), and has the mean squared error ``variances[k, c]``. All
    features of vectors are one channel. Values for other timesteps are interpolated over the log-SNR. At low
    noise x_t is more accurate than a network after short training, at high noise it is of no use; nothing is
    assumed about the errors of either. The variance minimises the bound: Bao, Li, Zhu, Zhang, "Analytic-DPM",
    2022.
    """

    #: Increasing, from 0 to the last.
    timesteps: np.ndarray
    #: Of shape (n_levels, n_channels, 3).
    coefficients: np.ndarray
    #: Of shape (n_levels, n_channels).
    variances: np.ndarray
    #: Bits per dimension of the same samples under a Gaussian with the mean and variance of each channel.
    gaussian_bits: float

    def tables(self, schedule: NoiseSchedule) -> tuple[np.ndarray, np.ndarray]:
        """Return coefficients and variances of all timesteps, (T, n_channels, 3) and (T, n_channels)."""
        values = np.concatenate([self.coefficients, np.log(self.variances)[..., None]], axis=2)
        positions = -schedule.log_snr  # Increasing, as np.interp needs.
        flat = values.reshape(len(values), -1).T
        columns = [np.interp(positions, positions[self.timesteps], column) for column in flat]
        table = np.stack(columns, axis=1).reshape(-1, *values.shape[1:])
        return table[..., :3], np.exp(table[..., 3])

    def expected_terms(self, schedule: NoiseSchedule) -> np.ndarray:
        """Return the expected terms of the bound at timesteps 1 to T - 1, in nats per dimension."""
        t = torch.arange(1, schedule.n_timesteps)
        to_x0, _, variance, _ = (c.numpy()[:, None] for c in schedule.posterior(t, t - 1))
        return 0.5 * np.log1p(to_x0**2 * self.tables(schedule)[1][1:] / variance).mean(axis=1)
