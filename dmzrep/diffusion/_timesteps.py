"""The distribution of timesteps in training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

TIMESTEP_SAMPLINGS = ("uniform", "high_noise", "loss_second_moment")


class TimestepSampler:
    """Draws the timesteps of training batches and the weights of their losses.

    Draws are stratified, with one timestep from each of n equal slices of the distribution, which reduces the
    variance of the loss. ``"high_noise"`` draws t = T * u^(2/3), u uniform, without importance
    weights.
    ``"loss_second_moment"`` draws in proportion to the root mean square of recent losses per timestep,
    with weights that preserve the expected uniform loss (Nichol, Dhariwal, "Improved Denoising
    Diffusion Probabilistic Models", 2021, equation 18).
    """

    HIGH_NOISE_POWER = 2.0 / 3.0
    history_length = 10
    uniform_share = 0.001

    def __init__(self, n_timesteps: int, kind: str = "uniform"):
        self.n_timesteps = n_timesteps
        self.kind = kind
        self.history = np.zeros((n_timesteps, self.history_length))
        self.counts = np.zeros(n_timesteps, dtype=np.int64)

    @property
    def learns(self) -> bool:
        """Whether `update` has an effect."""
        return self.kind == "loss_second_moment"

    def probabilities(self) -> np.ndarray:
        """Return the probability of each timestep, shape (n_timesteps,)."""
        if self.kind == "high_noise":
            return np.diff(
                (np.arange(self.n_timesteps + 1) / self.n_timesteps) ** (1.0 / self.HIGH_NOISE_POWER)
            )
        weights = np.sqrt((self.history**2).mean(axis=1))
        if not self.learns or (self.counts < self.history_length).any() or weights.sum() == 0.0:
            return np.full(self.n_timesteps, 1.0 / self.n_timesteps)
        weights = weights / weights.sum()
        return (1.0 - self.uniform_share) * weights + self.uniform_share / self.n_timesteps

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw n timesteps (int64) and the weights of their losses (float32), with a CPU generator."""
        uniform = (torch.randperm(n, generator=generator) + torch.rand(n, generator=generator)) / n
        if self.learns:
            probabilities = self.probabilities()
            cumulative = np.cumsum(probabilities)
            t = np.searchsorted(cumulative, uniform.double().numpy() * cumulative[-1], side="right")
            t = np.minimum(t, self.n_timesteps - 1)
            weights = 1.0 / (self.n_timesteps * probabilities[t])
            return torch.from_numpy(t), torch.from_numpy(weights).float()
        if self.kind == "high_noise":
            uniform = uniform**self.HIGH_NOISE_POWER
        t = (uniform * self.n_timesteps).long().clamp_(max=self.n_timesteps - 1)
        return t, torch.ones(n)

    def update(self, t: Tensor, losses: Tensor) -> None:
        """Record the losses of a batch, shape (n,); only used by "loss_second_moment"."""
        if not self.learns:
            return
        for step, loss in zip(t.tolist(), losses.tolist(), strict=True):
            self.history[step, self.counts[step] % self.history_length] = loss
            self.counts[step] += 1
