"""Fitted attributes of the estimator, and warnings about them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from dmzrep._base._batching import batches
from dmzrep._base._warnings import warn
from dmzrep.codes._report import code_report, code_summary, warn_of_poor_code
from dmzrep.data import ImageFormat, Source, Subset, VectorFormat
from dmzrep.errors import TrainingInterruptedWarning
from dmzrep.inference import CALIBRATION_LEVELS, Decoder, calibrate, encode
from dmzrep.priors import PRIORS, CodePrior, fit_prior
from dmzrep.training import HISTORY_COLUMNS, REPORT_SAMPLES, Budget, Trainer

#: Number of samples encoded at a time if time is limited.
BLOCK = 256
#: Estimated seconds to fit a prior to the bits of many codes of 64 bits, those of priors that are not listed,
#: and the fraction of them that few codes take.
CHEAP_PRIORS = ("uniform", "independent", "chow_liu", "dataset")
PRIOR_SECONDS = dict.fromkeys(CHEAP_PRIORS, 0.0) | {"auto": 9.0, "resampled": 9.0}
OTHER_SECONDS, FEW_CODES = 5.0, 0.3
#: Additional seconds if an autoregressive prior is fitted to probabilities, the fraction of them that few
#: codes take, and the largest fraction of the time limit for them.
PROBABILITIES_SECONDS, FEW_PROBABILITIES, PROBABILITIES_SHARE = 12.0, 0.2, 0.06
#: Largest fraction of the time after training for the prior; the rest is for the codes it is fitted to.
PRIOR_SHARE = 0.8
#: Limits for the time of the calibration if time is limited, in seconds and as a fraction of the limit.
CALIBRATION_SECONDS, CALIBRATION_SHARE = 5.0, 0.03
#: Smallest number of held-out samples for the calibration; with fewer, it uses all samples.
HELD_OUT_SAMPLES = 32

#: Attributes that are estimated from samples after training.
DESCRIBING = ("prior_", "code_report_", "code_summary_", "calibration_")


def decoder_attributes(decoder: Decoder) -> dict[str, Any]:
    """Return the fitted attributes of a model; those that are estimated from samples are None."""
    described = dict.fromkeys((*DESCRIBING, "_training_state"))
    return described | {
        "model_": decoder.network,
        "objective_": decoder.objective,
        "data_format_": decoder.data_format,
        "device_": decoder.device,
        "code_dropout_": decoder.code_dropout,
        "_n_features_out": decoder.latent_dim,
    }


def model_attributes(trainer: Trainer, data_format: ImageFormat | VectorFormat) -> dict[str, Any]:
    """Return the fitted attributes of a run; those that are estimated from samples are None."""
    history = pd.DataFrame(trainer.history)
    if history.empty:
        history = pd.DataFrame(columns=HISTORY_COLUMNS, dtype=np.float64)
    return decoder_attributes(_decoder(trainer, data_format)) | {
        "precision_": trainer.config.precision,
        "history_": history,
        "n_iter_": trainer.epoch,
        "stopped_": trainer.stopped,
        "ordered_": trainer.config.ordered,
    }


def _decoder(trainer: Trainer, data_format: ImageFormat | VectorFormat) -> Decoder:
    config = trainer.config
    return Decoder(trainer.average.model, trainer.objective, data_format, trainer.device, config.code_dropout)


def fitted_attributes(
    estimator: Any,
    trainer: Trainer,
    samples: Source,
    data_format: ImageFormat | VectorFormat,
    seed: int,
    small_chunk: bool,
    held_out: np.ndarray,
) -> dict[str, Any]:
    """Return the fitted attributes after a run; a small chunk keeps those that are estimated from samples.

    Raises ValueError if the codes of samples are non-finite.
    """
    fitted, decoder = model_attributes(trainer, data_format), _decoder(trainer, data_format)
    if small_chunk:
        return fitted | {name: getattr(estimator, name) for name in DESCRIBING}
    budget = trainer.budget
    if decoder.has_code:
        fitted |= code_attributes(estimator.prior, decoder, samples, fitted["history_"], seed, budget)
    if not trainer.images_seen:
        return fitted | {"calibration_": None}
    if len(held_out) >= HELD_OUT_SAMPLES:
        samples = Subset(samples, held_out)
    # No more work than training, which matters for a few steps on few samples.
    n_samples = trainer.images_seen // CALIBRATION_LEVELS
    keep = max(0.0, budget.left() - calibration_seconds(budget))
    calibration = calibrate(
        decoder, samples, seed, n_samples=n_samples, is_over=lambda: budget.left(keep) <= 0.0
    )
    return fitted | {"calibration_": calibration}


def calibration_seconds(budget: Budget) -> float:
    """Return the largest duration of the calibration, 0 without a limit of time."""
    return min(CALIBRATION_SECONDS, CALIBRATION_SHARE * (budget.limit or 0.0))


def prior_seconds(
    prior: str | CodePrior, latent_dim: int, n_samples: int, *, to_probabilities: bool = False
) -> float:
    """Estimate the seconds to fit a prior on one core to the codes of at most `REPORT_SAMPLES` samples."""
    name = prior if isinstance(prior, str) else prior.name
    width, share = max(1.0, latent_dim / 64), min(1.0, n_samples / REPORT_SAMPLES)
    seconds = PRIOR_SECONDS.get(name, OTHER_SECONDS) * width * max(share, FEW_CODES)
    if to_probabilities and (name == "auto" or (name in PRIORS and PRIORS[name].uses_probabilities)):
        seconds += PROBABILITIES_SECONDS * width * max(share, FEW_PROBABILITIES)
    return seconds


def affords_probabilities(
    prior: str | CodePrior, latent_dim: int, n_samples: int, limit: float | None
) -> bool:
    """Return whether a time limit suffices to fit a prior to probabilities rather than bits."""
    longer = prior_seconds(prior, latent_dim, n_samples, to_probabilities=True)
    more = longer - prior_seconds(prior, latent_dim, n_samples)
    return limit is None or more <= PROBABILITIES_SHARE * limit


def affordable_prior(latent_dim: int, n_samples: int, seconds: float) -> str:
    """Return what to fit for ``prior="auto"`` within a time, which also has to suffice to encode samples."""
    for name in ("auto", "autoregressive"):
        if prior_seconds(name, latent_dim, n_samples) <= PRIOR_SHARE * seconds:
            return name
    return "chow_liu"


def code_attributes(
    prior: str | CodePrior,
    decoder: Decoder,
    samples: Source,
    history: pd.DataFrame,
    seed: int,
    budget: Budget | None = None,
) -> dict[str, Any]:
    """Return the attributes that describe codes, from at most `REPORT_SAMPLES` samples.

    When time is short, priors are fitted to bits instead of probabilities, fewer samples are encoded, at
    least `BLOCK`, and ``"auto"`` is ``"autoregressive"`` or ``"chow_liu"``; the latter also without training,
    whose codes should take little time.
    """
    budget = budget or Budget(None)
    n_bits, n_samples = decoder.latent_dim, len(samples)
    chosen = np.random.default_rng(seed).permutation(n_samples)[:REPORT_SAMPLES]
    if prior == "auto":
        prior = "chow_liu" if history.empty else affordable_prior(n_bits, n_samples, budget.left())
    parts = []
    longest = PRIOR_SHARE * budget.left()
    to_probabilities = (
        affords_probabilities(prior, n_bits, n_samples, budget.limit)
        and prior_seconds(prior, n_bits, n_samples, to_probabilities=True) <= longest
    )
    keep = min(prior_seconds(prior, n_bits, n_samples, to_probabilities=to_probabilities), longest)
    size = len(chosen) if budget.limit is None else BLOCK
    for part in batches(len(chosen), size):
        parts.append(encode(decoder, Subset(samples, np.sort(chosen[part])), "probabilities"))
        if budget.left(keep) <= 0:
            break
    probabilities = np.concatenate(parts)
    return {
        "code_report_": code_report(probabilities),
        "code_summary_": code_summary(probabilities, history),
        "prior_": fit_prior(prior, probabilities if to_probabilities else probabilities > 0.5, seed),
    }


def warn_of_training(fitted: dict[str, Any], n_steps: int) -> None:
    """Warn about an interrupted run and a poor code."""
    if fitted["stopped_"] == "interrupted":
        warn(
            f"Training was interrupted in epoch {fitted['n_iter_']}, after {n_steps} steps; "
            "the model keeps its current weights.",
            TrainingInterruptedWarning,
        )
    if fitted["code_report_"] is not None:
        warn_of_poor_code(fitted["code_report_"], fitted["history_"])
