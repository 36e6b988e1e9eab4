"""What a run of training leaves in the estimator, and what it warns of."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from dmzrep.codes import code_report, code_summary, warn_of_poor_code
from dmzrep.data import ImageFormat, Source, Subset, VectorFormat
from dmzrep.errors import TrainingInterruptedWarning
from dmzrep.inference import TrainedModel, encode
from dmzrep.priors import CodePrior, fit_prior
from dmzrep.training import Trainer

#: Samples from which the prior and the code's report are computed, at most.
REPORT_ROWS = 20_000


def fitted_attributes(
    estimator: Any,
    trainer: Trainer,
    rows: Source,
    data_format: ImageFormat | VectorFormat,
    seed: int,
    small_chunk: bool,
) -> dict[str, Any]:
    """Give what a trainer has learned, its codes described.

    Parameters
    ----------
    estimator : DMZEncoder
        Gives `prior` and, with `small_chunk`, the fitted prior and reports.
    trainer : Trainer
        After its run.
    rows : ndarray or other row source
        The training rows.
    data_format : ImageFormat or VectorFormat
        Their format.
    seed : int
        Decides which rows are described, and the prior.
    small_chunk : bool
        The rows are too few to stand for all: prior and reports stay as they are.

    Returns
    -------
    dict
        By name.

    Raises
    ------
    ValueError
        The codes of some rows are no numbers.
    """
    network = trainer.average.model
    fitted = {
        "model_": network,
        "objective_": trainer.objective,
        "data_format_": data_format,
        "device_": trainer.device,
        "precision_": trainer.config.precision,
        "history_": pd.DataFrame(trainer.history),
        "n_iter_": trainer.epoch,
        "stopped_": trainer.stopped,
        "prior_": None,
        "code_report_": None,
        "code_summary_": None,
        "code_dropout_": trainer.config.code_dropout,
        "ordered_": trainer.config.ordered,
        "_n_features_out": network.config.latent_dim,
    }
    if small_chunk:
        kept_names = ("prior_", "code_report_", "code_summary_")
        fitted |= {name: getattr(estimator, name) for name in kept_names}
    elif network.config.conditioning != "none":
        model = TrainedModel(network, trainer.objective, data_format, trainer.device)
        fitted |= described_codes(estimator.prior, model, rows, fitted["history_"], seed)
    return fitted


def described_codes(
    prior: str | CodePrior, model: TrainedModel, rows: Source, history: pd.DataFrame, seed: int
) -> dict[str, Any]:
    """Give the attributes that describe a model's codes of (at most `REPORT_ROWS`) rows.

    Parameters
    ----------
    prior : str or CodePrior
        The estimator's parameter.
    model : TrainedModel
        The model.
    rows : ndarray or other row source
        The training rows, or others of their kind.
    history : DataFrame
        Of the training.
    seed : int
        Decides which rows, and the prior.

    Returns
    -------
    dict
        ``code_report_``, ``code_summary_`` and ``prior_``.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:REPORT_ROWS])
    probabilities = encode(model, Subset(rows, chosen), "probabilities")
    return {
        "code_report_": code_report(probabilities),
        "code_summary_": code_summary(probabilities, history),
        "prior_": fit_prior(prior, probabilities > 0.5, seed),
    }


def warn_of_training(fitted: dict[str, Any], n_steps: int, stacklevel: int) -> None:
    """Warn of an interrupted run and of a poor code.

    Parameters
    ----------
    fitted : dict
        From `train`.
    n_steps : int
        Steps that were made.
    stacklevel : int
        Frames up to the user's call.
    """
    if fitted["stopped_"] == "interrupted":
        warnings.warn(
            f"Training was interrupted in epoch {fitted['n_iter_']}, after {n_steps} steps; "
            "the model keeps what it has learned.",
            TrainingInterruptedWarning,
            stacklevel=stacklevel + 1,
        )
    if fitted["code_report_"] is not None:
        warn_of_poor_code(fitted["code_report_"], fitted["history_"], stacklevel + 1)
