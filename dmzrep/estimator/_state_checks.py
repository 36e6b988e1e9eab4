"""Parts of a fitted estimator from a file, checked as fitting would have made them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from dmzrep._base._device import PRECISIONS
from dmzrep._base._validation import is_finite, is_int
from dmzrep.data import ImageFormat, VectorFormat
from dmzrep.data._image_format import MAX_CHANNELS
from dmzrep.diffusion._objective import OBJECTIVES, Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.files._state import require, take
from dmzrep.networks._conditioning import CONDITIONINGS
from dmzrep.networks._custom_backbone import CUSTOM
from dmzrep.networks._model import NetworkConfig
from dmzrep.networks._relaxation import CODE_INPUTS
from dmzrep.priors import CodePrior

STOPPED = ("max_iter", "max_time", "early_stopping", "callback", "interrupted", "diverged", "loaded")
#: Legal values of the network's settings that are choices, and the least of those that are counts.
_CHOICES: dict[str, tuple[Any, ...]] = {
    "backbone": ("unet", "mlp", CUSTOM),
    "conditioning": (*CONDITIONINGS, CUSTOM),
    "code_input": CODE_INPUTS,
    "learn_variance": (False, True),
    "encoder_norm": ("batch", "group"),
    "init_features": (None, "values", "contrast", "responses"),
    "paired_logits": (False, True),
    "normalize_logits": (False, True),
}
_COUNTS = {"latent_dim": 1, "patch_size": 1, "encoder_width": 1, "encoder_depth": 0}


def _among(value: Any, legal: Iterable[Any]) -> bool:
    return any(type(value) is type(one) and value == one for one in legal)


def _check_counts(values: Any, least: int, name: str) -> None:
    counts = isinstance(values, tuple) and all(is_int(one) and one >= least for one in values)
    require(counts, f"{name} must be whole numbers from {least}")


def checked_config(
    values: dict[str, Any], data_format: ImageFormat | VectorFormat, latent_dim: int
) -> NetworkConfig:
    """Return the settings of networks for data of a format and codes of a length."""
    take(values, *(field.name for field in fields(NetworkConfig)))
    config = NetworkConfig.from_dict(values)
    for name, legal in _CHOICES.items():
        require(_among(getattr(config, name), legal), f"{name} is not among {legal}")
    for name, least in _COUNTS.items():
        _check_counts((getattr(config, name),), least, name)
    for name, least in (("data_shape", 1), ("widths", 1), ("depth", 1), ("attention_levels", 0)):
        _check_counts(getattr(config, name), least, name)
    require(config.data_shape == data_format.shape, "networks and data have different shapes")
    require(config.latent_dim == latent_dim, "networks and parameters have different numbers of bits")
    require(is_finite(config.dropout) and 0 <= config.dropout < 1, "dropout must be in [0, 1)")
    require(is_finite(config.encoder_slope), "encoder_slope must be finite")
    require(config.module is None or isinstance(config.module, str), "module must be text")
    require((config.module is None) == (config.backbone != CUSTOM), "a custom denoiser without a description")
    return config


def checked_format(values: dict[str, Any]) -> ImageFormat | VectorFormat:
    """Return the format of the data."""
    if "layout" not in values:
        return _vector_format(*take(values, "mean", "scale", "dtype", "bound"))
    take(values, *(field.name for field in fields(ImageFormat)))
    images = ImageFormat(**values)
    require(images.layout in ("HW", "HWC", "CHW"), "unknown layout")
    _check_counts(images.shape, 1, "shape")
    shape: tuple[int, ...] = images.shape
    require(len(shape) == 3 and shape[0] <= MAX_CHANNELS, "shape is not that of images")
    require(images.layout != "HW" or images.shape[0] == 1, "layout HW is for one channel")
    require(isinstance(values["flat"], bool), "flat must be a boolean")
    dtype = np.dtype(images.dtype)
    require(dtype.kind in "buif" and images.dtype == dtype.name, "unknown dtype")
    ordered = is_finite(images.low) and is_finite(images.high) and images.low < images.high
    require(ordered and math.isfinite(images.high - images.low), "the range of values is none")
    return images


def _vector_format(mean: Any, scale: Any, dtype: Any, bound: Any) -> VectorFormat:
    for name, array in (("mean", mean), ("scale", scale)):
        require(isinstance(array, np.ndarray) and array.dtype == np.float64, f"{name} must be float64")
        require(array.ndim == 1 and len(array) and np.isfinite(array).all(), f"{name} must be finite numbers")
    require(mean.shape == scale.shape and (scale > 0).all(), "scale must be positive, one for each feature")
    require(np.dtype(dtype).kind == "f" and dtype == np.dtype(dtype).name, "dtype must be a float")
    require(is_finite(bound) and bound >= 0, "bound must be finite")
    return VectorFormat(mean, scale, dtype, bound)


def checked_objective(
    values: dict[str, Any], config: NetworkConfig, data_format: ImageFormat | VectorFormat
) -> Objective:
    """Return what the denoiser predicts."""
    betas, kind, learn_variance, perturbation, data_bin = take(
        values, "betas", "kind", "learn_variance", "input_perturbation", "data_bin"
    )
    require(_among(kind, OBJECTIVES), f"the objective is not among {OBJECTIVES}")
    require(learn_variance is config.learn_variance, "networks and objective differ in learn_variance")
    require(is_finite(perturbation) and perturbation >= 0, "input_perturbation must be at least 0")
    require(data_bin == data_format.data_bin, "data and objective differ in data_bin")
    return Objective(checked_schedule(betas), kind, learn_variance, perturbation, data_bin)


def checked_schedule(betas: Any) -> NoiseSchedule:
    """Return a noise schedule in which each step adds noise and leaves signal."""
    array = isinstance(betas, np.ndarray) and betas.dtype == np.float64 and betas.ndim == 1 and len(betas) > 1
    require(array, "betas must be at least two float64 numbers")
    require(((betas > 0) & (betas < 1)).all(), "betas must lie between 0 and 1")
    schedule = NoiseSchedule(betas)
    require((schedule.alpha_bar > 0).all() and np.isfinite(schedule.log_snr).all(), "betas leave no signal")
    return schedule


def checked_prior(values: dict[str, Any], latent_dim: int) -> CodePrior:
    """Return a fitted prior whose arrays make probabilities of codes."""
    prior, state = take(values, "model", "state")
    require(isinstance(prior, CodePrior), "the prior is none")
    take(state, *prior.state_names)
    most = max([latent_dim, *(array.shape[0] for array in state.values() if array.ndim)])
    for name, array in state.items():
        require(array.dtype.kind in "buif", f"{name} must be numbers")
        require(array.dtype.kind != "f" or np.isfinite(array).all(), f"{name} must be finite")
        within = array.dtype.kind != "i" or not array.size or (array.min() >= -1 and array.max() < most)
        require(within, f"{name} has places that there are not")
    prior.restore(state, latent_dim)
    with np.errstate(all="ignore"):
        log_prob = prior.log_prob(np.repeat([[0], [1]], latent_dim, axis=1))
        samples = prior.sample(2, random_state=0)
    require(
        log_prob.shape == (2,) and np.isfinite(log_prob).all() and (log_prob < 1e-6).all(), "no probabilities"
    )
    require(samples.shape == (2, latent_dim), "samples of the prior have another length")
    return prior


def checked_results(
    values: dict[str, Any], data_format: ImageFormat | VectorFormat, config: NetworkConfig
) -> dict[str, Any]:
    """Return what training left beside the model."""
    require(is_int(values["n_iter_"]) and values["n_iter_"] >= 0, "n_iter_ must be a count")
    require(_among(values["stopped_"], STOPPED), f"stopped_ is not among {STOPPED}")
    require(_among(values["precision_"], PRECISIONS), f"precision_ is not among {PRECISIONS}")
    for name in ("init_", "encoder_augment_"):
        require(values[name] is None or isinstance(values[name], str), f"{name} must be text")
    dropout = values["code_dropout_"]
    require(is_finite(dropout) and 0 <= dropout < 1, "code_dropout_ must be in [0, 1)")
    require(isinstance(values["ordered_"], bool), "ordered_ must be a boolean")
    n_features = math.prod(data_format.sample_shape)
    require(_among(values["n_features_in_"], (n_features,)), "n_features_in_ is not that of the data")
    history, report, summary = (values[name] for name in ("history_", "code_report_", "code_summary_"))
    require(isinstance(history, pd.DataFrame) and _is_numeric(history), "history_ must be a table of numbers")
    if config.conditioning == "none":
        require(report is None and summary is None, "a report of codes that there are not")
        return values
    require(
        isinstance(report, pd.DataFrame) and _is_numeric(report), "code_report_ must be a table of numbers"
    )
    require(len(report) == config.latent_dim, "code_report_ must have a row for each bit")
    require(isinstance(summary, pd.Series) and summary.dtype.kind in "iufb", "code_summary_ must be numbers")
    return values


def _is_numeric(table: pd.DataFrame) -> bool:
    return all(isinstance(name, str) for name in table.columns) and all(
        dtype.kind in "biuf" for dtype in table.dtypes
    )
