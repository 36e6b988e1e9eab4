"""Initialisation of the networks from data."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import repeat
from typing import Any

import torch

from dmzrep.codes._prefixes import prefix_lengths
from dmzrep.data import ImageFormat, Source, VectorFormat, to_tensor
from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.networks._feature_encoder import FeatureEncoder, extract_features
from dmzrep.networks._gaussian_denoiser import CorrectedDenoiser
from dmzrep.networks._linear_init import LinearInit
from dmzrep.networks._model import DiffusionAutoencoder
from dmzrep.training import (
    GAUSSIAN_IMAGES,
    Budget,
    RandomViews,
    TrainingConfig,
    init_cca,
    init_gaussian,
    init_linear,
    init_neighbour_cca,
    init_neighbours,
)

#: Limits for the samples from which the encoder is initialised: largest number, largest total number of
#: values, and smallest number, which takes precedence.
INIT_SAMPLES, INIT_VALUES, MIN_INIT_SAMPLES = 20_000, 2**26, 512
#: Number of samples read at a time if time is limited.
READ_SAMPLES = 256
#: Share of the time for initialisation that is kept for the denoiser, and samples encoded for it at a time.
DENOISER_SHARE, ENCODED_AT_A_TIME = 0.15, 64


def initialise(
    model: DiffusionAutoencoder,
    init: str,
    samples: Callable[[], torch.Tensor],
    config: TrainingConfig,
    objective: Objective,
    seed: int,
    budget: Budget,
) -> None:
    """Initialise the encoder and then, given its codes, the denoiser, where they are initialised from data.

    `samples` returns samples in model units on the CPU, where initialised parts of the model stay.
    """
    features = None
    if isinstance(model.encoder, FeatureEncoder):
        features = _initialise_on_features(model.encoder, init, samples(), config, seed, budget)
    elif model.encoder.linear_init is not None:
        _initialise_encoder(model, init, samples(), config, seed, budget)
    if isinstance(model.denoiser, CorrectedDenoiser):
        _initialise_denoiser(model, samples(), features, objective.schedule, seed, budget)


def _initialise_encoder(
    model: DiffusionAutoencoder,
    init: str,
    samples: torch.Tensor,
    config: TrainingConfig,
    seed: int,
    budget: Budget,
) -> None:
    """Initialise the encoder's linear branch, on the CPU, from samples in model units."""
    generator = torch.Generator().manual_seed(seed)
    stages = prefix_lengths(model.config.latent_dim) if config.ordered else None
    linear: Any = model.encoder.linear_init
    linear.cpu()
    if init == "cca" and linear.responses is not None:
        view = config.encoder_view or RandomViews()
        time_left = partial(budget.left_to_initialise, DENOISER_SHARE)
        init_cca(linear, samples, view, generator, stages, time_left)
    elif init == "contrast_pca":
        init_linear(linear, samples, "scaled_itq", generator, stages, budget.left_to_initialise)
    else:
        _initialise_linear(linear, init, samples, generator, stages, budget)


def _initialise_linear(
    linear: LinearInit,
    init: str,
    features: torch.Tensor,
    generator: torch.Generator,
    stages: list[int] | None,
    budget: Budget,
) -> None:
    """Initialise a linear map of features by "cca", "itq", "neighbours" or "pca"."""
    if init == "cca":
        init_neighbour_cca(linear, features, generator, stages, budget.left_to_initialise)
    elif init == "neighbours":
        init_neighbours(linear, features, generator, stages, budget.left_to_initialise)
    else:
        init_linear(linear, features, init, generator, stages, budget.left_to_initialise)


def _initialise_on_features(
    encoder: FeatureEncoder,
    init: str,
    samples: torch.Tensor,
    config: TrainingConfig,
    seed: int,
    budget: Budget,
) -> torch.Tensor:
    """Centre and scale the features of an extractor, initialise the linear map from them, and return them.

    They are those of the first samples if time is short.
    """
    # A third of the time is for computations on the features.
    features = extract_features(encoder, samples, lambda: budget.left_to_initialise(1 / 3))
    encoder.learn_scale(features)
    features = (features - encoder.centre) / encoder.scale
    if init == "random":
        return features
    generator = torch.Generator().manual_seed(seed)
    stages = prefix_lengths(encoder.linear_init.linear.out_features) if config.ordered else None
    _initialise_linear(encoder.linear_init, init, features, generator, stages, budget)
    return features


@torch.no_grad()
def _initialise_denoiser(
    model: DiffusionAutoencoder,
    samples: torch.Tensor,
    features: torch.Tensor | None,
    schedule: NoiseSchedule,
    seed: int,
    budget: Budget,
) -> None:
    """Initialise the denoiser's Gaussian model of images given the codes of the initialised encoder.

    `features` are those of the encoder's extractor, if any. Fewer samples are used if time is short.
    """
    encoder: Any = model.encoder
    denoiser: Any = model.denoiser
    images, bits = samples[:GAUSSIAN_IMAGES], None
    if model.config.conditioning != "none":
        device = next(denoiser.parameters()).device
        was_training = encoder.training
        encoder.to(device).eval()
        found: list[torch.Tensor] = []
        time_left = budget.phase_of_initialisation(DENOISER_SHARE)
        extracted = repeat(None) if features is None else features[: len(images)].split(ENCODED_AT_A_TIME)
        for part, its_features in zip(images.split(ENCODED_AT_A_TIME), extracted, strict=False):
            # The head is initialised to zero, so the linear map of the features suffices.
            logits = encoder(part.to(device)) if its_features is None else encoder.linear_init(its_features)
            found.append(logits > 0.0)
            if time_left() <= 0:
                break
        encoder.train(was_training)
        bits = torch.cat(found)
        images = images[: len(bits)]
    log_snr = torch.from_numpy(schedule.log_snr)
    init_gaussian(denoiser.gaussian.cpu(), images, bits, log_snr, torch.Generator().manual_seed(seed))


def draw_initial_samples(
    samples: Source, data_format: ImageFormat | VectorFormat, seed: int, budget: Budget
) -> torch.Tensor:
    """Return samples for initialising the encoder, in model units, on the CPU; fewer if time is short."""
    n_samples = INIT_VALUES // math.prod(data_format.shape)
    n_samples = max(MIN_INIT_SAMPLES, min(INIT_SAMPLES, n_samples))
    chosen = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed))[:n_samples]
    parts = []
    for part in chosen.split(n_samples if budget.limit is None else READ_SAMPLES):
        parts.append(to_tensor(samples[part.sort().values.numpy()], torch.device("cpu")))
        # Two thirds of the time are for computations on the samples.
        if budget.left_to_initialise(2 / 3) <= 0:
            break
    return data_format.to_model(torch.cat(parts))
