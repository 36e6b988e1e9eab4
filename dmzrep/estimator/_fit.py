"""The steps of `fit` and `partial_fit`: build a new trainer, or continue a run, and train."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch

from dmzrep._base._random import draw_seed, seeded_torch
from dmzrep.data import ImageFormat, Source, VectorFormat
from dmzrep.errors import TrainingDivergedError
from dmzrep.estimator._attributes import (
    affords_probabilities,
    calibration_seconds,
    fitted_attributes,
    prior_seconds,
)
from dmzrep.estimator._custom_denoiser import has_custom_denoiser
from dmzrep.estimator._custom_extractor import open_extractor
from dmzrep.estimator._initialise import draw_initial_samples, initialise
from dmzrep.estimator._parameters import all_parameters
from dmzrep.estimator._resolve import (
    resolve_init,
    resolve_network,
    resolve_objective,
    resolve_training,
    with_gaussian_denoiser,
)
from dmzrep.estimator._run_identity import run_identity
from dmzrep.networks._custom_backbone import check_backbone, copy_module, keep_frozen
from dmzrep.networks._device import autocast, resolve_device, resolve_precision
from dmzrep.networks._feature_cache import FeatureCache
from dmzrep.networks._feature_encoder import FeatureEncoder
from dmzrep.networks._model import DiffusionAutoencoder, place
from dmzrep.training import (
    VALIDATION_SAMPLES,
    Budget,
    Checkpoints,
    HookList,
    Hooks,
    Processes,
    ProgressBar,
    RandomViews,
    Trainer,
    TrainingData,
    are_aligned,
    find_processes,
    split_indices,
)
from dmzrep.training._state import load_trainer_state


@contextlib.contextmanager
def begin_run(estimator: Any, continued: bool) -> Iterator[tuple[Budget, int]]:
    """Join the processes that train together, start the clock, and yield the budget and the seed.

    Raises ValueError if processes would not end at the same step.
    """
    distributed = all_parameters(estimator)["distributed"]
    with find_processes(estimator.device, distributed, estimator._clock) as processes:
        names = ("max_iter", "checkpoint_every", "early_stopping", "n_iter_no_change", "warm_start")
        values: dict[str, Any] = {name: repr(getattr(estimator, name)) for name in names}
        values["checkpoint_dir"] = estimator.checkpoint_dir is not None
        state = getattr(estimator, "_training_state", None) if continued else None
        values["the training state"] = (continued, None if state is None else state["counters"][:3])
        _check_equal(processes, values)
        seed = processes.broadcast_object(draw_seed(estimator.random_state))
        max_time = processes.broadcast_object(estimator.max_time)
        yield Budget(None if max_time is None else float(max_time), processes), seed


def open_checkpoints(
    estimator: Any, samples: Source, data_format: ImageFormat | VectorFormat, processes: Processes, seed: int
) -> tuple[Checkpoints | None, int]:
    """Return the checkpoints of a fit, if any, and the seed: that of the run to resume, if any."""
    if estimator.checkpoint_dir is None:
        return None, seed
    params = all_parameters(estimator)
    known_seed = None if estimator.random_state is None else seed
    checkpoints = Checkpoints(
        estimator.checkpoint_dir,
        run_identity(params, samples, data_format, known_seed),
        every=estimator.checkpoint_every,
        keep=params["checkpoint_keep"],
        processes=processes,
    )
    if estimator.random_state is None and checkpoints.seed is not None:
        seed = checkpoints.seed
    return checkpoints, seed


def build_trainer(
    estimator: Any,
    samples: Source,
    data_format: ImageFormat | VectorFormat,
    seed: int,
    continued: bool,
    overrides: dict[str, Any] | None = None,
    checkpoints: Checkpoints | None = None,
    budget: Budget | None = None,
) -> tuple[Trainer, dict[str, Any]]:
    """Return a trainer with new, fitted or resumed networks, and the resolved attributes.

    The resolved attributes are `init_`, `encoder_augment_` and `init_filters_`. `overrides` replaces
    parameters. Raises ValueError if parameters conflict with each other, the data, the fitted model or the
    number of processes.
    """
    params = all_parameters(estimator) | (overrides or {})
    budget = budget or Budget(params["max_time"], Processes(clock=estimator._clock))
    codes = params["prior"], params["latent_dim"], len(samples)
    to_probabilities = affords_probabilities(*codes, budget.limit)
    fitting = prior_seconds(*codes, to_probabilities=to_probabilities)
    budget.fixed = fitting + calibration_seconds(budget)
    if params["max_iter"] == 0:
        budget.skip_training()
    device = budget.processes.device or resolve_device(params["device"])

    @functools.cache
    def initial_samples() -> torch.Tensor:
        return draw_initial_samples(samples, data_format, seed, budget)

    @functools.cache
    def aligned() -> bool:
        return are_aligned(initial_samples(), RandomViews(), torch.Generator().manual_seed(seed))

    known = vars(estimator) if continued else checkpoints.resolved if checkpoints is not None else {}
    names = ("init", "encoder_augment", "init_filters")
    params |= {name: known[name + "_"] for name in names if params[name] == "auto" and name + "_" in known}
    params["max_time"] = budget.limit
    extractor, extractor_settings = open_extractor(params, data_format, device)
    params |= resolve_init(params, data_format, len(samples), aligned, extractor_settings)
    if params["max_iter"] == 0:
        _check_initialises(params, continued)
    resolved = {name + "_": params[name] for name in names}
    network = resolve_network(params, data_format, extractor_settings)
    objective = resolve_objective(params, data_format, network)
    network = with_gaussian_denoiser(params, network, objective)
    config = resolve_training(params, resolve_precision(params["precision"], device), data_format)
    custom = params["backbone"] if has_custom_denoiser(params) else None
    if continued:
        for requested, fitted in ((network, estimator.model_.config), (objective, estimator.objective_)):
            if requested != fitted:
                raise ValueError(
                    f"Training cannot continue: these parameters or data require {requested}, the fitted "
                    f"model has {fitted}. Set warm_start=False, or clone the estimator."
                )
        model = copy.deepcopy(estimator.model_)
        model.requires_grad_(True)
    else:
        with seeded_torch(seed):
            denoiser = None if custom is None else copy_module(custom, "backbone")
            model = DiffusionAutoencoder(network, denoiser, extractor)
    place(model, device)
    if extractor is not None:
        encoder: Any = model.encoder
        keep_frozen(encoder.extractor, extractor)
        # Augmented views do not repeat, and a GPU would wait for the look-up.
        if encoder.frozen and config.encoder_view is None and device.type == "cpu":
            encoder.cache = FeatureCache()
    if custom is not None:
        keep_frozen(model.denoiser, custom)
        shape = network.data_shape, network.latent_dim, network.learn_variance
        check_backbone(model.denoiser, *shape, device, autocast(config.precision, device))
    _check_shards(budget.processes, config.batch_size, samples, data_format, params, seed)
    resumes = not continued and checkpoints is not None and checkpoints.latest is not None
    if not continued and not resumes:
        # Before the trainer, which keeps references to buffers: moves between devices replace them.
        initialise(model, params["init"], initial_samples, config, objective, seed, budget)
        place(model, device)
    trainer = Trainer(model, objective, config, seed, budget)
    if checkpoints is not None:
        checkpoints.set_metadata(seed, resolved)
    state = getattr(estimator, "_training_state", None)
    if checkpoints is not None and resumes:
        checkpoints.resume(trainer)
    elif continued and state is not None:
        load_trainer_state(trainer, state, new_run=True)
    return trainer, resolved


def _check_initialises(params: dict[str, Any], continued: bool) -> None:
    """Raise unless a fit without training initialises the encoder from data."""
    if continued:
        raise ValueError(
            "max_iter=0 does not train, so the fitted model cannot continue with warm_start=True. Set "
            "max_iter >= 1, or warm_start=False to initialise a new encoder."
        )
    if params["conditioning"] == "none":
        raise ValueError(
            "max_iter=0 fits the encoder alone, but a model with conditioning='none' has no code. Set "
            "max_iter >= 1, or another conditioning."
        )
    if params["init"] == "random":
        raise ValueError(
            "max_iter=0 needs an initialisation from data, but init is 'random' (as is 'auto' with "
            "encoder='paper'). Use init='cca', 'itq' or 'pca', or max_iter >= 1."
        )


def _check_shards(
    processes: Processes,
    batch_size: int,
    samples: Source,
    data_format: ImageFormat | VectorFormat,
    params: dict[str, Any],
    seed: int,
) -> None:
    """Raise unless processes can share each batch, and have the same parameters and data."""
    if processes.size == 1:
        return
    if batch_size % processes.size:
        raise ValueError(
            f"{processes.size} processes share each batch evenly, so batch_size must be a multiple of "
            f"{processes.size}. Got batch_size={batch_size}."
        )
    _check_equal(processes, run_identity(params, samples, data_format, seed))


def _check_equal(processes: Processes, values: dict[str, Any]) -> None:
    """Raise unless all processes have the same values."""
    first, *others = processes.all_gather_object(values)
    differences = {name for other in others for name in first if other.get(name) != first[name]}
    if differences:
        raise ValueError(
            "All processes must fit the same parameters to the same data, but they differ in "
            f"{', '.join(sorted(differences))}. Pass all of X to each of them; they share its samples."
        )


def train(estimator: Any, trainer: Trainer, *run: Any, **options: Any) -> dict[str, Any]:
    """Run the trainer as `_train` does, then drop cached features."""
    try:
        return _train(estimator, trainer, *run, **options)
    finally:
        for model in (trainer.model, trainer.average.model):
            if isinstance(model.encoder, FeatureEncoder):
                model.encoder.cache = None


def _train(
    estimator: Any,
    trainer: Trainer,
    samples: Source,
    data_format: ImageFormat | VectorFormat,
    seed: int,
    hooks: list[Hooks],
    *,
    small_chunk: bool = False,
    freeze: bool = True,
) -> dict[str, Any]:
    """Run the trainer and return fitted attributes; the estimator is not changed.

    A small chunk does not represent the data: the statistics of batch normalisation, the prior and the
    reports are kept. With `freeze`, the encoder is frozen for the last steps.
    If training diverges, `fitted` of the error has the attributes for the last finite weights.
    """
    fraction = min(estimator.validation_fraction, VALIDATION_SAMPLES / len(samples))
    kept, held_out = split_indices(len(samples), fraction, seed)
    data, validation = (
        TrainingData(samples, data_format.to_model, part, trainer.device) for part in (kept, held_out)
    )
    if estimator.verbose and trainer.processes.is_first:
        hooks = [*hooks, ProgressBar()]
    first_step = trainer.step
    # Processes draw different dropout masks. Seeding locks torch's global generator, so it is done only if
    # something draws from it.
    seed_of_rank = seed + trainer.processes.rank
    with seeded_torch(seed_of_rank, trainer.device) if trainer.draws_from_torch else nullcontext():
        try:
            trainer.fit(data, validation, hooks=HookList(hooks), refresh=not small_chunk, freeze=freeze)
        except TrainingDivergedError as error:
            outcome = "The estimator is as it was before."
            if trainer.step > first_step:
                if not small_chunk:
                    trainer.refresh_statistics(data)
                # Codes may be non-finite if samples are.
                with contextlib.suppress(ValueError):
                    error.fitted = fitted_attributes(
                        estimator, trainer, samples, data_format, seed, small_chunk, held_out
                    )
                    outcome = (
                        f"The estimator keeps the averaged weights of step {trainer.step}; with "
                        "warm_start=True, fit continues from them."
                    )
            error.args = (f"{error} {outcome}",)
            raise
    return fitted_attributes(estimator, trainer, samples, data_format, seed, small_chunk, held_out)
