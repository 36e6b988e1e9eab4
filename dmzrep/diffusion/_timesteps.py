"""How training draws its timesteps."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

TIMESTEP_SAMPLINGS = ("uniform", "high_noise", "loss_second_moment")


class TimestepSampler:
    """Draw the timesteps of a training batch and the weights of their losses.

    Draws are stratified: a batch of n takes one timestep from each of n equal slices of the
    distribution, which lowers the variance of the loss and changes no expectation.

    Parameters
    ----------
    n_timesteps : int
        T.
    kind : {"uniform", "high_noise", "loss_second_moment"}, default="uniform"
        ``"high_noise"`` draws t = T * sqrt(u), u uniform, without correcting weights: a choice of
        emphasis, since what a code can tell matters most where little else is seen.
        ``"loss_second_moment"`` draws in proportion to the root mean square of each timestep's
        recent losses, with weights that keep the expectation of the uniform loss.

    References
    ----------
    Nichol, Dhariwal, "Improved Denoising Diffusion Probabilistic Models", 2021, equation 18.
    """

    history_length = 10
    uniform_share = 0.001

    def __init__(self, n_timesteps: int, kind: str = "uniform"):
        self.n_timesteps = n_timesteps
        self.kind = kind
        self.history = np.zeros((n_timesteps, self.history_length))
        self.counts = np.zeros(n_timesteps, dtype=np.int64)

    @property
    def learns(self) -> bool:
        """Whether it heeds `update`."""
        return self.kind == "loss_second_moment"

    def probabilities(self) -> np.ndarray:
        """Probability of each timestep, shape (n_timesteps,), summing to one."""
        if self.kind == "high_noise":
            edges = np.arange(self.n_timesteps + 1) / self.n_timesteps
            return np.diff(edges**2)
        if self.kind == "loss_second_moment" and (self.counts >= self.history_length).all():
            weights = np.sqrt((self.history**2).mean(axis=1))
            if weights.sum() == 0.0:
                return np.full(self.n_timesteps, 1.0 / self.n_timesteps)
            weights = weights / weights.sum()
            return (1.0 - self.uniform_share) * weights + self.uniform_share / self.n_timesteps
        return np.full(self.n_timesteps, 1.0 / self.n_timesteps)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw n timesteps.

        Parameters
        ----------
        n : int
            Batch size.
        generator : torch.Generator
            A CPU generator.

        Returns
        -------
        t : Tensor of shape (n,), int64
        weights : Tensor of shape (n,), float32
            Factors for the losses.
        """
        uniform = (torch.randperm(n, generator=generator) + torch.rand(n, generator=generator)) / n
        if self.kind == "loss_second_moment":
            probabilities = self.probabilities()
            cumulative = np.cumsum(probabilities)
            t = np.searchsorted(cumulative, uniform.double().numpy() * cumulative[-1], side="right")
            t = np.minimum(t, self.n_timesteps - 1)
            weights = 1.0 / (self.n_timesteps * probabilities[t])
            return torch.from_numpy(t), torch.from_numpy(weights).float()
        if self.kind == "high_noise":
            uniform = uniform.sqrt()
        t = (uniform * self.n_timesteps).long().clamp_(max=self.n_timesteps - 1)
        return t, torch.ones(n)

    def update(self, t: Tensor, losses: Tensor) -> None:
        """Record the losses of a batch, shape (n,); used by ``"loss_second_moment"`` only."""
        if not self.learns:
            return
        for step, loss in zip(t.tolist(), losses.tolist(), strict=True):
            self.history[step, self.counts[step] % self.history_length] = loss
            self.counts[step] += 1
