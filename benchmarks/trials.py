"""Trials: variants of training that are not parameters of the package, compared with the defaults.

Each is a trainer that overrides one small method. `TRIALS` holds all by name, also those with the code of
`benchmarks.code_trials`; `benchmarks.contenders.Trial` trains with one and is used as binary codes are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor

from benchmarks.code_trials import FallingTemperature, ScaledLogits
from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._timesteps import TimestepSampler
from dmzrep.networks._model import DiffusionAutoencoder
from dmzrep.training import Budget, RandomViews, Trainer, TrainingConfig


class IndependentSampler(TimestepSampler):
    """Draws the timesteps of samples independently, instead of one from each of n equal slices."""

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        cumulative = torch.from_numpy(np.cumsum(self.probabilities()))
        drawn = torch.rand(n, generator=generator, dtype=torch.float64) * cumulative[-1]
        t = torch.searchsorted(cumulative, drawn, right=True).clamp_(max=self.n_timesteps - 1)
        return t, torch.ones(n)


class IndependentTimesteps(Trainer):
    """Timesteps of a batch are independent."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.timesteps = IndependentSampler(self.objective.schedule.n_timesteps, self.timesteps.kind)


class LogitNormalSampler(TimestepSampler):
    """Draws timesteps from a logit-normal distribution, one from each of n equal slices of it.

    References
    ----------
    Esser et al., "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis",
    2024, section 3.1.
    """

    def __init__(self, n_timesteps: int, mean: float):
        super().__init__(n_timesteps, "uniform")
        self.mean = mean

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        uniform = (torch.randperm(n, generator=generator) + torch.rand(n, generator=generator)) / n
        # Away from 0 and 1, where the normal quantile is infinite.
        normal = torch.special.ndtri(uniform.clamp(1e-6, 1.0 - 1e-6))
        t = torch.sigmoid(normal + self.mean) * self.n_timesteps
        return t.long().clamp_(max=self.n_timesteps - 1), torch.ones(n)


class LogitNormalTimesteps(Trainer):
    """Most timesteps lie about one place of the noise schedule."""

    def __init__(self, *arguments: Any, mean: float):
        super().__init__(*arguments)
        self.timesteps = LogitNormalSampler(self.objective.schedule.n_timesteps, mean)


class UniformEnd(Trainer):
    """Timesteps are uniform in the last part of the run, in which the encoder may be frozen."""

    def _batch_loss(self, x0: Tensor, n_rows: int) -> Tensor:
        if self._is_frozen(n_rows) and self.timesteps.kind != "uniform":
            self.timesteps = TimestepSampler(self.objective.schedule.n_timesteps, "uniform")
        return super()._batch_loss(x0, n_rows)


class SeveralTimesteps(Trainer):
    """Encodes each image once and denoises it at several timesteps, each with its own noise."""

    def __init__(self, *arguments: Any, n: int = 2):
        super().__init__(*arguments)
        self.n = n

    def _batch_loss(self, x0: Tensor, n_rows: int) -> Tensor:
        # Unlike Tensor.repeat, cat keeps the memory format.
        return super()._batch_loss(torch.cat([x0] * self.n), n_rows)

    def _code(self, x0: Tensor, n_rows: int) -> tuple[list[Tensor], Tensor]:
        views, z = super()._code(x0[: len(x0) // self.n], n_rows)
        return views, z.repeat(self.n, 1)


class WeightedSampler(TimestepSampler):
    """Draws uniform timesteps and gives each its weight."""

    def __init__(self, weights: np.ndarray):
        super().__init__(len(weights), "uniform")
        self.weights = torch.from_numpy(weights).float()

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        t, _ = super().sample(n, generator)
        return t, self.weights[t]


class MinSNR(Trainer):
    """Uniform timesteps, with weights that end at a ratio of signal to noise."""

    def __init__(self, *arguments: Any, gamma: float = 5.0):
        super().__init__(*arguments)
        self.timesteps = WeightedSampler(min_snr_weights(self.objective, gamma))


def min_snr_weights(objective: Objective, gamma: float) -> np.ndarray:
    """Return the weights of the loss at each timestep, with mean one, shape (n_timesteps,).

    References
    ----------
    Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy", 2023, section 3.4.
    """
    alpha_bar = objective.schedule.alpha_bar
    snr = alpha_bar / (1.0 - alpha_bar)
    # The weight is min(SNR, gamma) for errors of x_0; errors of other targets differ by a factor.
    larger = {"sample": 1.0, "epsilon": snr, "v": snr + 1.0}[objective.kind]
    weights = np.minimum(snr, gamma) / larger
    return weights / weights.mean()


def view_of(config: TrainingConfig) -> RandomViews:
    """The encoder's view, which some trials change."""
    if config.encoder_view is None:
        raise ValueError("encoder_augment=None leaves no view to change in this trial. Use 'affine'.")
    return config.encoder_view


class ScaledViews(Trainer):
    """The encoder's views are moved by a multiple of the usual amounts."""

    def __init__(
        self,
        model: DiffusionAutoencoder,
        objective: Objective,
        config: TrainingConfig,
        seed: int,
        budget: Budget | None = None,
        *,
        factor: float,
    ):
        view = view_of(config)
        amounts = {name: factor * getattr(view, name) for name in ("shift", "rotation", "shear")}
        view = clone(view).set_params(scale=view.scale**factor, **amounts)
        super().__init__(model, objective, replace(config, encoder_view=view), seed, budget)


class AugmentedImages(Trainer):
    """The denoiser's image is moved as the encoder's is, up to the end: augmentation of the data."""

    def __init__(
        self,
        model: DiffusionAutoencoder,
        objective: Objective,
        config: TrainingConfig,
        seed: int,
        budget: Budget | None = None,
    ):
        self.view = view_of(config)
        super().__init__(model, objective, replace(config, encoder_view=None), seed, budget)

    def _batch_loss(self, x0: Tensor, n_rows: int) -> Tensor:
        return super()._batch_loss(self.view(x0, self.order), n_rows)


class FrozenEncoder(Trainer):
    """The encoder is frozen for another fraction of training."""

    def __init__(self, *arguments: Any, share: float):
        super().__init__(*arguments)
        self.share = share

    def _is_frozen(self, n_rows: int) -> bool:
        # Never for a share of zero, not even at the very end.
        return self.progress(n_rows) > 1.0 - self.share


#: Trainers by name; each takes what `Trainer` takes.
TRIALS: dict[str, Callable[..., Trainer]] = {
    # Timesteps.
    "independent timesteps": IndependentTimesteps,
    "timesteps about the middle": partial(LogitNormalTimesteps, mean=0.0),
    "timesteps past the middle": partial(LogitNormalTimesteps, mean=0.75),
    "uniform timesteps at the end": UniformEnd,
    "two timesteps per encoding": SeveralTimesteps,
    "four timesteps per encoding": partial(SeveralTimesteps, n=4),
    "min-SNR weights": MinSNR,
    # The code.
    "temperature falls from 4 to 1": FallingTemperature,
    "logits of deviation 3": partial(ScaledLogits, scale=3.0),
    "logits of deviation 8": partial(ScaledLogits, scale=8.0),
    # What the encoder and the denoiser are shown.
    "weaker views": partial(ScaledViews, factor=0.5),
    "stronger views": partial(ScaledViews, factor=1.5),
    "the denoiser sees the augmented image too": AugmentedImages,
    "encoder frozen from the middle": partial(FrozenEncoder, share=0.5),
    "encoder never frozen": partial(FrozenEncoder, share=0.0),
}
