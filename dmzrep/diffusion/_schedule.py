"""Noise schedules: how much signal and noise x_t holds at each timestep."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

NOISE_SCHEDULES = ("cosine", "linear")


def cosine_betas(n_timesteps: int, max_beta: float = 0.999) -> np.ndarray:
    """Betas of the cosine schedule, shape (n_timesteps,), float64.

    References
    ----------
    Nichol, Dhariwal, "Improved Denoising Diffusion Probabilistic Models", 2021, equation 17.
    """
    time = np.arange(n_timesteps + 1, dtype=np.float64) / n_timesteps
    alpha_bar = np.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2
    return np.minimum(1.0 - alpha_bar[1:] / alpha_bar[:-1], max_beta)


def linear_betas(n_timesteps: int) -> np.ndarray:
    """Betas growing linearly from 1e-4 to 0.02 at 1000 timesteps, rescaled for other counts.

    References
    ----------
    Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models", 2020, section 4.
    """
    scale = 1000.0 / n_timesteps
    return np.minimum(np.linspace(scale * 1e-4, scale * 0.02, n_timesteps, dtype=np.float64), 0.999)


class NoiseSchedule:
    """A discrete variance-preserving noise schedule.

    x_t = sqrt(alpha_bar[t]) * x_0 + sqrt(1 - alpha_bar[t]) * noise, for t in 0 .. T - 1.

    Parameters
    ----------
    betas : ndarray of shape (n_timesteps,)
        Variance added at each step, in (0, 1).

    Attributes
    ----------
    n_timesteps : int
        T.
    betas, alpha_bar : ndarray of shape (n_timesteps,)
        In float64.
    log_snr : ndarray of shape (n_timesteps,)
        log(alpha_bar / (1 - alpha_bar)), in float64; falls strictly.

    References
    ----------
    Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models", 2020, equations 2, 4, 6 and 7.

    Examples
    --------
    >>> from dmzrep.diffusion._schedule import NoiseSchedule
    >>> schedule = NoiseSchedule.named("cosine", 1000)
    >>> schedule.n_timesteps
    1000
    >>> bool(schedule.alpha_bar[0] > 0.999)
    True
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
        # Tables on a GPU could not be read where there is none.
        return self.__dict__ | {"_tables": {}}

    def __repr__(self) -> str:
        return f"NoiseSchedule(n_timesteps={self.n_timesteps}, last signal={self.alpha_bar[-1] ** 0.5:.3g})"

    @classmethod
    def named(cls, name: str, n_timesteps: int = 1000) -> NoiseSchedule:
        """Build the ``"cosine"`` or ``"linear"`` schedule of `n_timesteps` steps."""
        betas = cosine_betas(n_timesteps) if name == "cosine" else linear_betas(n_timesteps)
        return cls(betas)

    def network_time(self, t: Tensor) -> Tensor:
        """Timesteps on the scale [0, 1000) that networks see, float32."""
        return t.to(torch.float32) * (1000.0 / self.n_timesteps)

    def levels(self, t: int) -> tuple[float, float]:
        """Give sqrt(alpha_bar) and sqrt(1 - alpha_bar) of one timestep in float64; (1, 0) at t = -1.

        Examples
        --------
        >>> from dmzrep.diffusion._schedule import NoiseSchedule
        >>> NoiseSchedule.named("cosine").levels(-1)
        (1.0, 0.0)
        """
        alpha_bar = 1.0 if t < 0 else float(self.alpha_bar[t])
        return math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar)

    def alpha_bar_at(self, t: Tensor) -> Tensor:
        """Signal power at integer timesteps, float64 of the shape of t; one where t is -1 (clean data)."""
        if t.device not in self._tables:
            # Apple's MPS has no float64.
            precision = torch.float32 if t.device.type == "mps" else torch.float64
            self._tables[t.device] = torch.from_numpy(self.alpha_bar).to(precision).to(t.device)
        values = self._tables[t.device][t.clamp(min=0)]
        return torch.where(t < 0, torch.ones_like(values), values)

    def signal_and_noise(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Give sqrt(alpha_bar) and sqrt(1 - alpha_bar), shaped to multiply `like`."""
        alpha_bar = self.alpha_bar_at(t)
        shape = (-1,) + (1,) * (like.dim() - 1)
        signal, noise = alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt()
        return signal.to(like.dtype).view(shape), noise.to(like.dtype).view(shape)

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Draw x_t given x_0 and unit noise (Ho et al., equation 4)."""
        signal, sigma = self.signal_and_noise(t, x0)
        return signal * x0 + sigma * noise

    def posterior(self, t: Tensor, t_prev: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Coefficients of q(x_prev | x_t, x_0) between any two timesteps of a grid.

        Parameters
        ----------
        t, t_prev : Tensor of int64
            Timesteps with t_prev < t; -1 is clean data.

        Returns
        -------
        x0_coefficient, xt_coefficient, variance, beta : Tensor of float64
            Mean is ``x0_coefficient * x_0 + xt_coefficient * x_t``; `variance` is the posterior's
            (zero for t_prev = -1) and `beta` the variance added between the two.
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
        """Log-variance of p(x_prev | x_t), shaped to broadcast with `like`.

        Parameters
        ----------
        fraction : Tensor of the shape of `like`, or None
            Learned place between the posterior's log-variance (0) and the log of the variance
            added between the two timesteps (1). None gives the posterior's.
        t, t_prev : Tensor of shape (n,), int64
            Timesteps with t_prev < t.
        like : Tensor of shape (n, ...)
            Gives dtype and number of axes.

        Notes
        -----
        The posterior's variance is zero where t_prev is -1; as in DDPM, that of the step before
        takes its place.

        References
        ----------
        Nichol, Dhariwal, "Improved Denoising Diffusion Probabilistic Models", 2021, equation 15.
        """
        shape = (-1,) + (1,) * (like.dim() - 1)
        _, _, variance, beta = self.posterior(t, t_prev)
        floor = self.posterior(torch.ones_like(t), torch.zeros_like(t))[2]
        lower = torch.where(t_prev < 0, torch.minimum(floor, beta), variance).log()
        lower = lower.to(like.dtype).view(shape)
        if fraction is None:
            return lower
        upper = beta.log().to(like.dtype).view(shape)
        return fraction * upper + (1.0 - fraction) * lower
