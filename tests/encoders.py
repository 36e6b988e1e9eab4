"""Encoders and trainers from flat parameters, so that tests can merge dictionaries of them."""

from __future__ import annotations

from typing import Any

from dmzrep import DMZEncoder
from dmzrep.estimator._parameters import split_parameters
from dmzrep.training import Training, TrainingConfig


def make_encoder(latent_dim: int = 64, **params: Any) -> DMZEncoder:
    """Return a `DMZEncoder` whose parameters may be those of its groups; its prior is the fastest to fit."""
    return DMZEncoder(latent_dim, **split_parameters({"prior": "independent"} | params))


def make_config(**settings: Any) -> TrainingConfig:
    """Return a `TrainingConfig` whose settings may be those of `Training`."""
    options = {name: settings.pop(name) for name in Training._parameter_constraints if name in settings}
    return TrainingConfig(
        **{"max_epochs": 1, "batch_size": 128, "learning_rate": 1e-3} | settings,
        options=Training(**{"timestep_sampling": "uniform", "temperature": 1.0} | options),
    )
