"""Trials: variants of the code that are not parameters of the package."""

from __future__ import annotations

from dataclasses import replace

from sklearn.base import clone

from dmzrep.diffusion._objective import Objective
from dmzrep.networks._encoders import LogitNorm
from dmzrep.networks._model import DiffusionAutoencoder
from dmzrep.training import Budget, Trainer, TrainingConfig


class FallingTemperature(Trainer):
    """The temperature falls exponentially with the progress of the run."""

    def __init__(
        self,
        model: DiffusionAutoencoder,
        objective: Objective,
        config: TrainingConfig,
        seed: int,
        budget: Budget | None = None,
        *,
        first: float = 4.0,
        last: float = 1.0,
    ):
        # Validation uses the final temperature.
        options = clone(config.options).set_params(temperature=last)
        super().__init__(model, objective, replace(config, options=options), seed, budget)
        self.first, self.last = first, last

    def _temperature(self, n_rows: int) -> float:
        return self.first * (self.last / self.first) ** self.progress(n_rows)


class ScaledLogits(Trainer):
    """Normalised logits have another deviation than usual."""

    def __init__(
        self,
        model: DiffusionAutoencoder,
        objective: Objective,
        config: TrainingConfig,
        seed: int,
        budget: Budget | None = None,
        *,
        scale: float,
    ):
        if not isinstance(model.encoder.norm, LogitNorm):
            raise ValueError("normalize_logits=False leaves no deviation to change in this trial. Use True.")
        # Before the weights' average copies the model.
        model.encoder.norm.SCALE = scale
        super().__init__(model, objective, config, seed, budget)
