"""What `fit` and `partial_fit` do: build or go on, train, describe the codes."""

from __future__ import annotations

import copy
import functools
import math
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import expit

from dmzrep.configuration import resolve_network, resolve_objective, resolve_start, resolve_training
from dmzrep.device import autocast, resolve_device, resolve_precision
from dmzrep.errors import TrainingInterruptedWarning
from dmzrep.images import ImageFormat, VectorFormat
from dmzrep.inference import TrainedModel, code_report, code_summary, encode_logits, warn_of_poor_code
from dmzrep.networks.model import DiffusionAutoencoder, place
from dmzrep.networks.own_backbone import check_backbone, copy_backbone, keep_frozen
from dmzrep.own_denoiser import has_own_denoiser
from dmzrep.priors import fit_prior
from dmzrep.rows import Rows, RowSubset, to_tensor
from dmzrep.training import (
    VALIDATION_ROWS,
    HookList,
    Hooks,
    ProgressBar,
    RandomAffine,
    Trainer,
    TrainingData,
    are_aligned,
    prefix_lengths,
    set_invariant_start,
    set_layout_start,
    set_linear_start,
    split_indices,
)

#: Rows from which the encoder's start is computed, at most, and fewer of large images: numbers in all.
START_ROWS, START_NUMBERS, START_ROWS_LEAST = 10_000, 2**26, 512
#: Rows from which the prior and the code's report are computed, at most.
REPORT_ROWS = 20_000


def build_trainer(
    estimator: Any,
    rows: Rows,
    data_format: ImageFormat | VectorFormat,
    seed: int,
    continued: bool,
    overrides: dict[str, Any] | None = None,
) -> tuple[Trainer, dict[str, str | None]]:
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

    Returns
    -------
    trainer : Trainer
    start : dict
        The attributes `init_` and `encoder_augment_`: what the parameters of these names came to.

    Raises
    ------
    ValueError
        Parameters do not go together, with the data, or with the fitted model.
    """
    begun = time.perf_counter()
    params = estimator.get_params(deep=False) | (overrides or {})
    device = resolve_device(params["device"])

    @functools.cache
    def sample() -> torch.Tensor:
        return _some_rows(rows, data_format, seed)

    @functools.cache
    def aligned() -> bool:
        return are_aligned(sample(), RandomAffine(), torch.Generator().manual_seed(seed))

    if continued:
        names = [name for name in ("init", "encoder_augment") if params[name] == "auto"]
        params |= {name: getattr(estimator, name + "_") for name in names}
    params |= resolve_start(params, data_format, aligned)
    network = resolve_network(params, data_format)
    objective = resolve_objective(params, data_format, network)
    config = resolve_training(params, resolve_precision(params["precision"], device), data_format)
    if continued:
        for wanted, present in ((network, estimator.model_.config), (objective, estimator.objective_)):
            if wanted != present:
                raise ValueError(
                    f"Training cannot go on: these parameters or data ask for {wanted}, the fitted model "
                    f"has {present}. Set warm_start=False, or clone the estimator."
                )
        model = copy.deepcopy(estimator.model_)
        model.requires_grad_(True)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            own = copy_backbone(params["backbone"]) if has_own_denoiser(params) else None
            model = DiffusionAutoencoder(network, own)
    place(model, device)
    if has_own_denoiser(params):
        keep_frozen(model.denoiser, params["backbone"])
        shape = network.data_shape, network.latent_dim, network.learn_variance
        check_backbone(model.denoiser, *shape, device, autocast(config.precision, device))
    trainer = Trainer(model, objective, config, seed)
    state = getattr(estimator, "_training_state", None)
    if continued and state is not None:
        trainer.load_state(state, new_run=True)
    elif not continued and model.encoder.start is not None:
        generator = torch.Generator().manual_seed(seed)
        view = config.encoder_view or RandomAffine()
        stages = prefix_lengths(network.latent_dim) if config.ordered else None
        if params["init"] == "views":
            set_invariant_start(model.encoder.start, sample(), view, generator, stages)
        elif params["init"] == "layout":
            set_layout_start(model.encoder.start, sample(), generator)
        else:
            set_linear_start(model.encoder.start, sample(), params["init"], generator, stages)
        trainer.average.restart(model)
        # The start counts as training: it is a part of what `max_time` allows.
        trainer.seconds = time.perf_counter() - begun
    return trainer, {name + "_": params[name] for name in ("init", "encoder_augment")}


def _some_rows(rows: Rows, data_format: ImageFormat | VectorFormat, seed: int) -> torch.Tensor:
    """Rows from which the encoder's start is computed, in model units, on the CPU."""
    n_rows = max(START_ROWS_LEAST, min(START_ROWS, START_NUMBERS // math.prod(data_format.shape)))
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:n_rows]
    return data_format.to_model(to_tensor(rows[chosen.sort().values.numpy()], torch.device("cpu")))


def train(
    estimator: Any,
    trainer: Trainer,
    rows: Rows,
    data_format: ImageFormat | VectorFormat,
    seed: int,
    hooks: list[Hooks],
    *,
    small_chunk: bool = False,
) -> dict[str, Any]:
    """Run the trainer; nothing of the estimator changes.

    Parameters
    ----------
    estimator : DMZEncoder
        Gives its parameters.
    trainer : Trainer
        From `build_trainer`.
    rows, data_format, seed
        As there.
    hooks : list of Hooks
        Called around steps and epochs, beside the progress bar.
    small_chunk : bool, default=False
        The rows are too few to stand for all: the statistics of batch normalisation, the prior and the
        report stay as they are.

    Returns
    -------
    dict
        Fitted attributes by name.
    """
    fraction = min(estimator.validation_fraction, VALIDATION_ROWS / len(rows))
    kept, held_out = split_indices(len(rows), fraction, seed)
    data, validation = (
        TrainingData(rows, data_format.to_model, part, trainer.device) for part in (kept, held_out)
    )
    if estimator.verbose:
        hooks = [*hooks, ProgressBar()]
    devices = list(range(torch.cuda.device_count())) if trainer.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)  # Dropout draws from torch's own generator.
        trainer.fit(data, validation, hooks=HookList(hooks), refresh=not small_chunk)
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
        probabilities = _some_probabilities(model, rows, seed)
        fitted["code_report_"] = code_report(probabilities)
        fitted["code_summary_"] = code_summary(probabilities, fitted["history_"])
        fitted["prior_"] = fit_prior(estimator.prior, probabilities > 0.5, seed)
    return fitted


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


def _some_probabilities(model: TrainedModel, rows: Rows, seed: int) -> np.ndarray:
    """Probabilities of the bits of (at most `REPORT_ROWS`) training rows."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:REPORT_ROWS])
    return expit(encode_logits(model, RowSubset(rows, chosen)))
