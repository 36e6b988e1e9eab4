"""What `fit` and `partial_fit` do: build a trainer, or go on with one, and train."""

from __future__ import annotations

import contextlib
import copy
import functools
import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch

from dmzrep._base._device import autocast, resolve_device, resolve_precision
from dmzrep._base._random import draw_seed, seeded_torch
from dmzrep.codes._prefixes import prefix_lengths
from dmzrep.data import ImageFormat, Source, VectorFormat, to_tensor
from dmzrep.errors import TrainingDivergedError
from dmzrep.estimator._attributes import fitted_attributes, prior_seconds
from dmzrep.estimator._custom_denoiser import has_own_denoiser
from dmzrep.estimator._parameters import all_parameters
from dmzrep.estimator._resolve import (
    resolve_network,
    resolve_objective,
    resolve_start,
    resolve_training,
)
from dmzrep.estimator._run_identity import run_identity
from dmzrep.networks._custom_backbone import check_backbone, copy_backbone, keep_frozen
from dmzrep.networks._model import DiffusionAutoencoder, place
from dmzrep.training import (
    VALIDATION_SAMPLES,
    Budget,
    Checkpoints,
    HookList,
    Hooks,
    Processes,
    ProgressBar,
    RandomAffine,
    Trainer,
    TrainingConfig,
    TrainingData,
    are_aligned,
    find_processes,
    init_cca,
    init_contrast_pca,
    init_linear,
    split_indices,
)

#: Samples from which the encoder is initialised, at most, and fewer of large images: numbers in all.
INITIAL_SAMPLES, INITIAL_NUMBERS, INITIAL_SAMPLES_LEAST = 10_000, 2**26, 512
#: Samples that are read at a time where time is limited.
READ_SAMPLES = 256


@contextlib.contextmanager
def begin_run(estimator: Any, continued: bool) -> Iterator[tuple[Budget, int]]:
    """Join the processes that train together for as long as the context lasts, and start the clock.

    Parameters
    ----------
    estimator : DMZEncoder
        Its parameters are used.
    continued : bool
        Whether training goes on from the fitted model.

    Yields
    ------
    budget : Budget
    seed : int

    Raises
    ------
    ValueError
        Processes want runs that end at different places; or see `find_processes`.
    """
    distributed = all_parameters(estimator)["distributed"]
    with find_processes(estimator.device, distributed, estimator._clock) as processes:
        names = ("max_iter", "checkpoint_every", "early_stopping", "n_iter_no_change", "warm_start")
        wanted: dict[str, Any] = {name: repr(getattr(estimator, name)) for name in names}
        wanted["checkpoint_dir"] = estimator.checkpoint_dir is not None
        state = getattr(estimator, "_training_state", None) if continued else None
        wanted["the fitted model's training"] = (continued, None if state is None else state["counters"][:3])
        _check_alike(processes, wanted)
        seed = processes.broadcast_object(draw_seed(estimator.random_state))
        max_time = processes.broadcast_object(estimator.max_time)
        yield Budget(None if max_time is None else float(max_time), processes), seed


def open_checkpoints(
    estimator: Any, rows: Source, data_format: ImageFormat | VectorFormat, processes: Processes, seed: int
) -> tuple[Checkpoints | None, int]:
    """Return the checkpoints of a fit, or None, and the seed: that of the run to resume if there is one."""
    if estimator.checkpoint_dir is None:
        return None, seed
    params = all_parameters(estimator)
    known_seed = None if estimator.random_state is None else seed
    checkpoints = Checkpoints(
        estimator.checkpoint_dir,
        run_identity(params, rows, data_format, known_seed),
        every=estimator.checkpoint_every,
        keep=params["checkpoint_keep"],
        processes=processes,
    )
    if estimator.random_state is None and checkpoints.seed is not None:
        seed = checkpoints.seed
    return checkpoints, seed


def build_trainer(
    estimator: Any,
    rows: Source,
    data_format: ImageFormat | VectorFormat,
    seed: int,
    continued: bool,
    overrides: dict[str, Any] | None = None,
    checkpoints: Checkpoints | None = None,
    budget: Budget | None = None,
) -> tuple[Trainer, dict[str, str | None]]:
    """Build the networks, or take the fitted ones or a checkpoint's, and what trains them.

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
    checkpoints : Checkpoints, optional
        Their run is taken up where there is one and training does not go on from the fitted model.
    budget : Budget, optional
        From `begin_run`; by default `max_time` from here on, in this process alone.

    Returns
    -------
    trainer : Trainer
    start : dict
        The attributes `init_` and `encoder_augment_`: what the parameters of these names came to.

    Raises
    ------
    ValueError
        Parameters do not go together, with the data, with the fitted model, or with the number of processes.
    PersistenceError
        The state of the checkpoint does not fit the run.
    """
    params = all_parameters(estimator) | (overrides or {})
    budget = budget or Budget(params["max_time"], Processes(clock=estimator._clock))
    budget.fixed = prior_seconds(params["prior"], params["latent_dim"])
    device = budget.processes.device or resolve_device(params["device"])

    @functools.cache
    def sample() -> torch.Tensor:
        return _initial_samples(rows, data_format, seed, budget)

    @functools.cache
    def aligned() -> bool:
        return are_aligned(sample(), RandomAffine(), torch.Generator().manual_seed(seed))

    resumed = not continued and checkpoints is not None and checkpoints.latest is not None
    known = vars(estimator) if continued else checkpoints.resolved if checkpoints is not None else {}
    names = ("init", "encoder_augment")
    params |= {name: known[name + "_"] for name in names if params[name] == "auto" and name + "_" in known}
    params["max_time"] = budget.limit
    params |= resolve_start(params, data_format, aligned)
    settled = {name + "_": params[name] for name in names}
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
        with seeded_torch(seed):
            own = copy_backbone(params["backbone"]) if has_own_denoiser(params) else None
            model = DiffusionAutoencoder(network, own)
    place(model, device)
    if has_own_denoiser(params):
        keep_frozen(model.denoiser, params["backbone"])
        shape = network.data_shape, network.latent_dim, network.learn_variance
        check_backbone(model.denoiser, *shape, device, autocast(config.precision, device))
    trainer = Trainer(model, objective, config, seed, budget)
    _check_shards(trainer, rows, data_format, params, seed)
    if checkpoints is not None:
        checkpoints.set_metadata(seed, settled)
    state = getattr(estimator, "_training_state", None)
    if checkpoints is not None and resumed:
        # Its encoder has long left its start, which is not computed again.
        checkpoints.resume(trainer)
    elif continued and state is not None:
        trainer.load_state(state, new_run=True)
    elif not continued and model.encoder.linear_init is not None:
        _set_start(model, params["init"], sample(), config, seed, budget)
        trainer.average.restart(model)
    return trainer, settled


def _check_shards(
    trainer: Trainer, rows: Source, data_format: ImageFormat | VectorFormat, params: dict[str, Any], seed: int
) -> None:
    """Check that several processes can share each batch, and train one model on one data set."""
    processes, batch_size = trainer.processes, trainer.config.batch_size
    if processes.size == 1:
        return
    if batch_size % processes.size:
        raise ValueError(
            f"{processes.size} processes share each batch evenly, so batch_size must be a multiple of "
            f"{processes.size}. Got batch_size={batch_size}."
        )
    _check_alike(processes, run_identity(params, rows, data_format, seed))


def _check_alike(processes: Processes, wanted: dict[str, Any]) -> None:
    """Check that all processes want the same; names are those of parameters, or "data"."""
    first, *others = processes.all_gather_object(wanted)
    differences = {name for other in others for name in first if other.get(name) != first[name]}
    if differences:
        raise ValueError(
            "All processes must fit the same parameters to the same data, but they differ in "
            f"{', '.join(sorted(differences))}. Give each of them all of X; they share its samples."
        )


def _set_start(
    model: DiffusionAutoencoder,
    init: str,
    sample: torch.Tensor,
    config: TrainingConfig,
    seed: int,
    budget: Budget,
) -> None:
    """Initialise the encoder's linear branch from samples in model units."""
    generator = torch.Generator().manual_seed(seed)
    stages = prefix_lengths(model.config.latent_dim) if config.ordered else None
    start: Any = model.encoder.linear_init
    if init == "cca":
        view = config.encoder_view or RandomAffine()
        init_cca(start, sample, view, generator, stages, budget.left_to_initialise)
    elif init == "contrast_pca":
        init_contrast_pca(start, sample, generator)
    else:
        init_linear(start, sample, init, generator, stages, budget.left_to_initialise)


def _initial_samples(
    rows: Source, data_format: ImageFormat | VectorFormat, seed: int, budget: Budget
) -> torch.Tensor:
    """Samples from which the encoder is initialised, in model units, on the CPU; fewer if time is short."""
    n_samples = INITIAL_NUMBERS // math.prod(data_format.shape)
    n_samples = max(INITIAL_SAMPLES_LEAST, min(INITIAL_SAMPLES, n_samples))
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:n_samples]
    parts = []
    for part in chosen.split(n_samples if budget.limit is None else READ_SAMPLES):
        parts.append(to_tensor(rows[part.sort().values.numpy()], torch.device("cpu")))
        # Two thirds are for what is computed from them.
        if budget.left_to_initialise(2 / 3) <= 0:
            break
    return data_format.to_model(torch.cat(parts))


def train(
    estimator: Any,
    trainer: Trainer,
    rows: Source,
    data_format: ImageFormat | VectorFormat,
    seed: int,
    hooks: list[Hooks],
    *,
    small_chunk: bool = False,
    freeze: bool = True,
) -> dict[str, Any]:
    """Run the trainer and describe its codes; nothing of the estimator changes.

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
    freeze : bool, default=True
        End with steps in which the encoder is frozen, where it trains on augmented views.

    Returns
    -------
    dict
        Fitted attributes by name.

    Raises
    ------
    TrainingDivergedError
        The run went wrong. Its `fitted` has the attributes with the last weights that were numbers.
    """
    fraction = min(estimator.validation_fraction, VALIDATION_SAMPLES / len(rows))
    kept, held_out = split_indices(len(rows), fraction, seed)
    data, validation = (
        TrainingData(rows, data_format.to_model, part, trainer.device) for part in (kept, held_out)
    )
    if estimator.verbose and trainer.processes.is_first:
        hooks = [*hooks, ProgressBar()]
    devices = list(range(torch.cuda.device_count())) if trainer.device.type == "cuda" else []
    begun = trainer.step
    # Where nothing draws from torch's own generators, fits in several threads need not wait.
    # What dropout draws differs between processes, whose rows do.
    seed_of_rank = seed + trainer.processes.rank
    with seeded_torch(seed_of_rank, devices) if trainer.draws_from_torch else nullcontext():
        try:
            trainer.fit(data, validation, hooks=HookList(hooks), refresh=not small_chunk, freeze=freeze)
        except TrainingDivergedError as error:
            outcome = "The estimator is as it was before."
            if trainer.step > begun:
                if not small_chunk:
                    trainer.refresh_statistics(data)
                # Samples that are no numbers have no codes to describe.
                with contextlib.suppress(ValueError):
                    error.fitted = fitted_attributes(estimator, trainer, rows, data_format, seed, small_chunk)
                    outcome = (
                        f"The estimator keeps the averaged weights of step {trainer.step}; with "
                        "warm_start=True, fit goes on from them."
                    )
            error.args = (f"{error} {outcome}",)
            raise
    return fitted_attributes(estimator, trainer, rows, data_format, seed, small_chunk)
