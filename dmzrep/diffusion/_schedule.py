"""Noise schedules: the levels of signal and noise in x_t at each timestep."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

NOISE_SCHEDULES = ("cosine", "linear")
#: Largest variance added in a step.
MAX_BETA = 0.999


def cosine_betas(n_timesteps: int) -> np.ndarray:
    """Return the betas of the cosine schedule (Nichol, Dhariwal, "Improved DDPM", 2021, equation 17)."""
    time = np.arange(n_timesteps + 1, dtype=np.float64) / n_timesteps
    alpha_bar = np.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2
    return np.minimum(1.0 - alpha_bar[1:] / alpha_bar[:-1], MAX_BETA)


def linear_betas(n_timesteps: int) -> np.ndarray:
    """Return linearly increasing betas, from 1e-4 to 0.02 at 1000 timesteps (Ho et al., 2020, section 4)."""
    scale = 1000.0 / n_timesteps
    return np.minimum(np.linspace(scale * 1e-4, scale * 0.02, n_timesteps, dtype=np.float64), MAX_BETA)


class NoiseSchedule:
    """A discrete variance-preserving noise schedule, defined by the variance added at each step.

    x_t = sqrt(alpha_bar[t]) * x_0 + sqrt(1 - alpha_bar[t]) * noise, for t in 0 .. T - 1. `betas`, `alpha_bar`
    and `log_snr` = log(alpha_bar / (1 - alpha_bar)), strictly decreasing, are float64 of shape
    (n_timesteps,). Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models", 2020, equations 2, 4, 6 and
    7.
    """

    def __init__(self, betas: np.ndarray):
        self.betas = np.asarray(betas, dtype=np.float64)
        self.n_timesteps = len(self.betas)
        self.alpha_bar = np.cumprod(1.0 - self.betas)
        self.log_snr = np.log(self.alpha_bar) - np.log1p(-self.alpha_bar)
        self._tables: dict[torch.device, Tensor] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NoiseSchedule) and np.array_equal(self.betas, other.betas)

    def __hash__(self) -> int:
        return hash(self.betas.tobytes())

    def __getstate__(self) -> dict[str, Any]:
        # Tables on a GPU could not be unpickled on a machine without one.
        return self.__dict__ | {"_tables": {}}

    def __repr__(self) -> str:
        return f"NoiseSchedule(n_timesteps={self.n_timesteps}, last signal={self.alpha_bar[-1] ** 0.5:.3g})"

    @classmethod
    def named(cls, name: str, n_timesteps: int = 1000) -> NoiseSchedule:
        """Build the ``"cosine"`` or ``"linear"`` schedule of `n_timesteps` steps."""
        return cls(cosine_betas(n_timesteps) if name == "cosine" else linear_betas(n_timesteps))

    def network_time(self, t: Tensor) -> Tensor:
        """Return timesteps on the scale [0, 1000) of the networks, float32."""
        return t.to(torch.float32) * (1000.0 / self.n_timesteps)

    def levels(self, t: int) -> tuple[float, float]:
        """Return sqrt(alpha_bar) and sqrt(1 - alpha_bar) of one timestep in float64; (1, 0) at t = -1."""
        alpha_bar = 1.0 if t < 0 else float(self.alpha_bar[t])
        return math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar)

    def alpha_bar_at(self, t: Tensor) -> Tensor:
        """Return the signal power at integer timesteps, float64; 1 for t = -1 (clean data)."""
        if t.device not in self._tables:
            # Apple's MPS has no float64.
            precision = torch.float32 if t.device.type == "mps" else torch.float64
            self._tables[t.device] = torch.from_numpy(self.alpha_bar).to(precision).to(t.device)
        values = self._tables[t.device][t.clamp(min=0)]
        return torch.where(t < 0, torch.ones_like(values), values)

    def signal_and_noise(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return sqrt(alpha_bar) and sqrt(1 - alpha_bar), shaped to multiply `like`."""
        alpha_bar = self.alpha_bar_at(t)
        return per_sample(alpha_bar.sqrt(), like), per_sample((1.0 - alpha_bar).sqrt(), like)

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return x_t given x_0 and unit noise (Ho et al., equation 4)."""
        signal, sigma = self.signal_and_noise(t, x0)
        return signal * x0 + sigma * noise

    def posterior(self, t: Tensor, t_prev: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the coefficients of q(x_prev | x_t, x_0) for any t_prev < t; -1 is clean data.

        Returned are the coefficients of x_0 and x_t in its mean, its variance (zero for t_prev = -1), and
        beta, the variance added between the two timesteps; all float64.
        """
        alpha_bar, alpha_bar_prev = self.alpha_bar_at(t), self.alpha_bar_at(t_prev)
        alpha = alpha_bar / alpha_bar_prev
        beta = 1.0 - alpha
        x0_coefficient = alpha_bar_prev.sqrt() * beta / (1.0 - alpha_bar)
        xt_coefficient = alpha.sqrt() * (1.0 - alpha_bar_prev) / (1.0 - alpha_bar)
        variance = beta * (1.0 - alpha_bar_prev) / (1.0 - alpha_bar)
        return x0_coefficient, xt_coefficient, variance, beta

    def reverse_log_variance(
        self, fraction: Tensor | None, t: Tensor, t_prev: Tensor, like: Tensor
    ) -> Tensor:
        """Return the log-variance of p(x_prev | x_t), shaped to broadcast with `like`.

        `fraction` interpolates between the log-variance of the posterior (0 or None) and that added by the
        step (1) (Nichol, Dhariwal, 2021, equation 15). For t_prev = -1, the posterior variance is zero and,
        as in DDPM, replaced by that of the preceding timestep.
        """
        _, _, variance, beta = self.posterior(t, t_prev)
        floor = self.posterior(torch.ones_like(t), torch.zeros_like(t))[2]
        lower = per_sample(torch.where(t_prev < 0, torch.minimum(floor, beta), variance).log(), like)
        if fraction is None:
            return lower
        return fraction * per_sample(beta.log(), like) + (1.0 - fraction) * lower


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """Return one value per sample in the dtype of `like`, shaped to broadcast with it."""
    return values.to(like.dtype).view(-1, *[1] * (like.dim() - 1))
