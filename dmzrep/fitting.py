"""What `fit` and `partial_fit` do: build or go on, train, describe the codes."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import expit

from dmzrep.configuration import resolve_init, resolve_network, resolve_objective, resolve_training
from dmzrep.device import resolve_device, resolve_precision
from dmzrep.errors import TrainingInterruptedWarning
from dmzrep.images import ImageFormat, VectorFormat
from dmzrep.inference import TrainedModel, code_report, encode_logits, warn_of_poor_code
from dmzrep.networks.model import DiffusionAutoencoder, place
from dmzrep.priors import fit_prior
from dmzrep.rows import Rows
from dmzrep.training import (
    HookList,
    Hooks,
    ProgressBar,
    Trainer,
    TrainingData,
    set_linear_start,
    split_indices,
)

#: Rows set aside for validation, at most.
VALIDATION_ROWS = 1024
#: Rows from which the encoder's start, and the prior and the code's report, are computed, at most.
START_ROWS, REPORT_ROWS = 10_000, 20_000


def build_trainer(
    estimator: Any,
    rows: Rows,
    data_format: ImageFormat | VectorFormat,
    seed: int,
    continued: bool,
    overrides: dict[str, Any] | None = None,
) -> Trainer:
    """Build the networks, or take the fitted ones, and what trains them.

    Parameters
    ----------
    estimator : DMZEncoder
        Gives its parameters and, when training goes on, its model and training state.
    rows : ndarray or other row source
        The training rows.
    data_format : ImageFormat or VectorFormat
        Their format.
    seed : int
        Decides the start and everything after it.
    continued : bool
        Whether training goes on from the fitted model.
    overrides : dict, optional
        Parameters that differ from the estimator's.

    Raises
    ------
    ValueError
        Parameters do not go together, with the data, or with the fitted model.
    """
    params = estimator.get_params(deep=False) | (overrides or {})
    device = resolve_device(params["device"])
    network = resolve_network(params, data_format)
    objective = resolve_objective(params, data_format, network)
    config = resolve_training(params, resolve_precision(params["precision"], device))
    if continued:
        if network != estimator.model_.config:
            raise ValueError(
                f"Training cannot go on with other networks: these parameters or data ask for {network}, "
                f"the fitted model has {estimator.model_.config}. "
                "Set warm_start=False, or clone the estimator."
            )
        model = copy.deepcopy(estimator.model_)
        model.requires_grad_(True)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = DiffusionAutoencoder(network)
    trainer = Trainer(place(model, device), objective, config, seed)
    state = getattr(estimator, "_training_state", None)
    if continued and state is not None:
        trainer.load_state(state, new_run=True)
    elif not continued and model.encoder.start is not None:
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(rows), generator=generator)[:START_ROWS].sort().values.numpy()
        sample = data_format.to_model(torch.from_numpy(np.array(rows[chosen])))
        set_linear_start(model.encoder.start, sample, resolve_init(params), generator)
        trainer.average.restart(model)
    return trainer


def train(
    estimator: Any,
    trainer: Trainer,
    rows: Rows,
    data_format: ImageFormat | VectorFormat,
    seed: int,
    hooks: list[Hooks],
) -> None:
    """Run the trainer, and give the estimator what it learned.

    Parameters
    ----------
    estimator : DMZEncoder
        Gets its fitted attributes, once training has ended.
    trainer : Trainer
        From `build_trainer`.
    rows, data_format, seed
        As there.
    hooks : list of Hooks
        Called around steps and epochs, beside the progress bar.
    """
    fraction = min(estimator.validation_fraction, VALIDATION_ROWS / len(rows))
    kept, held_out = split_indices(len(rows), fraction, seed)
    data, validation = (
        TrainingData(rows, data_format.to_model, part, trainer.device) for part in (kept, held_out)
    )
    if estimator.verbose:
        hooks = [*hooks, ProgressBar()]
    devices = [trainer.device] if trainer.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)  # Dropout draws from torch's own generator.
        trainer.fit(data, validation, hooks=HookList(hooks))
    estimator.model_ = trainer.average.model
    estimator.objective_ = trainer.objective
    estimator.data_format_ = data_format
    estimator.device_ = trainer.device
    estimator.precision_ = trainer.config.precision
    estimator.history_ = pd.DataFrame(trainer.history)
    estimator.n_iter_ = trainer.epoch
    estimator.stopped_ = trainer.stopped
    estimator._n_features_out = trainer.model.config.latent_dim
    _describe_codes(estimator, rows, seed)
    if trainer.stopped == "interrupted":
        warnings.warn(
            f"Training was interrupted in epoch {trainer.epoch + 1}, after {trainer.step} steps; "
            "the model keeps what it has learned.",
            TrainingInterruptedWarning,
            stacklevel=3,
        )


def _describe_codes(estimator: Any, rows: Rows, seed: int) -> None:
    """Fit the prior and the report on codes of the training rows."""
    if estimator.model_.config.conditioning == "none":
        estimator.prior_, estimator.code_report_ = None, None
        return
    chosen = np.random.default_rng(seed).permutation(len(rows))[:REPORT_ROWS]
    chosen.sort()
    subset = rows if len(chosen) == len(rows) else rows[chosen]
    model = TrainedModel(estimator.model_, estimator.objective_, estimator.data_format_, estimator.device_)
    probabilities = expit(encode_logits(model, subset))
    estimator.code_report_ = code_report(probabilities)
    estimator.prior_ = fit_prior(estimator.prior, probabilities > 0.5, seed)
    warn_of_poor_code(estimator.code_report_, estimator.history_)
