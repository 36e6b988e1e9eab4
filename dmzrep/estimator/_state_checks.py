"""Checks of the parts of a fitted estimator from a file."""

from __future__ import annotations

import math
from dataclasses import fields
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints

from dmzrep._base._validation import is_finite, is_int
from dmzrep.data import ImageFormat, VectorFormat
from dmzrep.data._image_format import MAX_CHANNELS
from dmzrep.diffusion._calibration import Calibration
from dmzrep.diffusion._objective import OBJECTIVES, Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.errors import PersistenceError
from dmzrep.files._state import require, take
from dmzrep.networks._conditioning import CONDITIONINGS
from dmzrep.networks._custom_backbone import CUSTOM
from dmzrep.networks._device import PRECISIONS
from dmzrep.networks._model import NetworkConfig
from dmzrep.networks._relaxation import CODE_INPUTS
from dmzrep.priors import CodePrior
from dmzrep.training import RandomViews

_POSITIVE_INT, _COUNT = Interval(Integral, 1, None, closed="left"), Interval(Integral, 0, None, closed="left")
_FINITE, _NON_NEGATIVE = Interval(Real, None, None, closed="neither"), Interval(Real, 0, None, closed="left")
_RATE = Interval(Real, 0, 1, closed="left")
#: Why training ended; "" during training, for callbacks.
_STOPPED = {"", "max_iter", "max_time", "early_stopping", "callback", "interrupted", "diverged", "loaded"}
#: Constraints, like those of scikit-learn's parameters.
_CONSTRAINTS: dict[str, dict[str, Any]] = {
    "network": {
        **{
            name: [_POSITIVE_INT]
            for name in ("latent_dim", "patch_size", "encoder_width", "init_filters", "n_timesteps")
        },
        **{name: [bool] for name in ("learn_variance", "paired_logits", "normalize_logits")},
        "backbone": [StrOptions({"unet", "mlp", CUSTOM})],
        "conditioning": [StrOptions({*CONDITIONINGS, CUSTOM})],
        "code_input": [StrOptions(set(CODE_INPUTS))],
        "dropout": [_RATE],
        "encoder_depth": [_COUNT],
        "encoder_norm": [StrOptions({"batch", "group"})],
        "init_features": [StrOptions({"values", "contrast", "responses"}), None],
        "encoder_slope": [_FINITE],
        "module": [str, None],
        "extractor": [str, None],
        "extractor_features": [_COUNT],
        "extractor_frozen": [bool],
        "gaussian": [StrOptions(set(OBJECTIVES)), None],
    },
    "images": {"layout": [StrOptions({"HW", "HWC", "CHW"})], "flat": [bool]},
    "vectors": {"bound": [_NON_NEGATIVE]},
    "objective": {"kind": [StrOptions(set(OBJECTIVES))], "input_perturbation": [_NON_NEGATIVE]},
    "results": {
        "n_iter_": [_COUNT],
        "stopped_": [StrOptions(_STOPPED)],
        "precision_": [StrOptions(set(PRECISIONS))],
        "init_": [str, None],
        "encoder_augment_": [str, RandomViews, None],
        "init_filters_": [_POSITIVE_INT],
        "code_dropout_": [_RATE],
        "ordered_": [bool],
        "n_features_in_": [_POSITIVE_INT],
        "history_": [pd.DataFrame],
        "code_report_": [pd.DataFrame, None],
        "code_summary_": [pd.Series, None],
    },
}
#: Fields that files of earlier versions lack, with their values.
_ADDED = {"extractor": None, "extractor_features": 0, "extractor_frozen": False}
_ADDED |= {"gaussian": None, "n_timesteps": 1000}
#: Fitted attributes that are stored unchanged.
RESULTS = tuple(_CONSTRAINTS["results"])


def _check(part: str, values: dict[str, Any]) -> None:
    validate_parameter_constraints(_CONSTRAINTS[part], values, part)


def _check_integers(values: Any, least: int, name: str) -> None:
    valid = isinstance(values, tuple) and all(is_int(value) and value >= least for value in values)
    require(valid, f"{name} must be integers of at least {least}")


def _check_table(table: pd.DataFrame, name: str) -> None:
    numeric = all(dtype.kind in "biuf" for dtype in table.dtypes)
    require(numeric and all(isinstance(column, str) for column in table.columns), f"{name} must be numeric")


def checked_config(
    values: dict[str, Any], data_format: ImageFormat | VectorFormat, latent_dim: int
) -> NetworkConfig:
    values = _ADDED | values
    take(values, *(field.name for field in fields(NetworkConfig)))
    config = NetworkConfig.from_dict(values)
    _check("network", vars(config))
    for name, least in (("data_shape", 1), ("widths", 1), ("depth", 1), ("attention_levels", 0)):
        _check_integers(getattr(config, name), least, name)
    require(config.data_shape == data_format.shape, "networks and data have different shapes")
    require(config.latent_dim == latent_dim, "networks and parameters differ in latent_dim")
    require((config.module is None) == (config.backbone != CUSTOM), "a custom denoiser without a description")
    require((config.extractor is None) == (config.extractor_features == 0), "an extractor without features")
    return config


def checked_format(values: dict[str, Any]) -> ImageFormat | VectorFormat:
    if "layout" not in values:
        return _vector_format(*take(values, "mean", "scale", "dtype", "bound"))
    take(values, *(field.name for field in fields(ImageFormat)))
    _check("images", values)
    images = ImageFormat(**values)
    _check_integers(images.shape, 1, "shape")
    shape: tuple[int, ...] = images.shape
    require(len(shape) == 3 and shape[0] <= MAX_CHANNELS, "invalid shape of images")
    require(images.layout != "HW" or shape[0] == 1, "layout HW is for one channel")
    dtype = np.dtype(images.dtype)
    require(dtype.kind in "buif" and images.dtype == dtype.name, "unknown dtype")
    valid = images.low < images.high and math.isfinite(images.high - images.low)
    require(valid and is_finite(images.low), "invalid value range")
    return images


def _vector_format(mean: Any, scale: Any, dtype: Any, bound: Any) -> VectorFormat:
    _check("vectors", {"bound": bound})
    for name, array in (("mean", mean), ("scale", scale)):
        valid = array.dtype == np.float64 and array.ndim == 1 and len(array) and np.isfinite(array).all()
        require(valid, f"{name} must be finite float64 values")
    require(mean.shape == scale.shape and (scale > 0).all(), "scale must be positive, one for each feature")
    require(np.dtype(dtype).kind == "f" and dtype == np.dtype(dtype).name, "dtype must be a float")
    return VectorFormat(mean, scale, dtype, bound)


def checked_objective(
    values: dict[str, Any], config: NetworkConfig, data_format: ImageFormat | VectorFormat
) -> Objective:
    """Return what the denoiser predicts, with its noise schedule."""
    betas, kind, learn_variance, perturbation, data_bin = take(
        values, "betas", "kind", "learn_variance", "input_perturbation", "data_bin"
    )
    _check("objective", values)
    require(learn_variance is config.learn_variance, "networks and objective differ in learn_variance")
    require(data_bin == data_format.data_bin, "data and objective differ in data_bin")
    require(betas.dtype == np.float64 and betas.ndim == 1 and len(betas) > 1, "betas must be float64 values")
    require(((betas > 0) & (betas < 1)).all(), "betas must lie between 0 and 1")
    schedule = NoiseSchedule(betas)
    require((schedule.alpha_bar > 0).all() and np.isfinite(schedule.log_snr).all(), "betas leave no signal")
    return Objective(schedule, kind, learn_variance, perturbation, data_bin)


def checked_calibration(
    values: dict[str, Any], schedule: NoiseSchedule, data_format: ImageFormat | VectorFormat
) -> Calibration:
    take(values, *(field.name for field in fields(Calibration)))
    calibration = Calibration(**values)
    timesteps, variances = calibration.timesteps, calibration.variances
    n_channels = data_format.shape[0] if isinstance(data_format, ImageFormat) else 1
    valid = timesteps.dtype == np.int64 and timesteps.ndim == 1 and len(timesteps) > 1
    require(valid and (np.diff(timesteps) > 0).all(), "timesteps must be increasing integers")
    ends = timesteps[0] == 0 and timesteps[-1] == schedule.n_timesteps - 1
    require(ends, "timesteps of the calibration are not those of the noise schedule")
    for array, shape in ((calibration.coefficients, (n_channels, 3)), (variances, (n_channels,))):
        valid = array.dtype == np.float64 and array.shape == (len(timesteps), *shape)
        require(valid and np.isfinite(array).all(), "a calibration must have finite values for each channel")
    require((variances > 0).all() and is_finite(calibration.gaussian_bits), "variances must be positive")
    return calibration


def checked_prior(values: dict[str, Any], latent_dim: int) -> CodePrior:
    prior, state = take(values, "model", "state")
    require(isinstance(prior, CodePrior), "model must be a prior")
    try:
        return prior.restore(state, latent_dim)
    except PersistenceError as error:
        raise ValueError(f"prior: {error}") from error  # The file's name is added by the caller.


def checked_results(
    values: dict[str, Any], data_format: ImageFormat | VectorFormat, config: NetworkConfig
) -> dict[str, Any]:
    """Return the attributes that are stored unchanged."""
    take(values, *RESULTS)
    _check("results", values)
    n_features = math.prod(data_format.sample_shape)
    require(values["n_features_in_"] == n_features, "n_features_in_ is not that of the data")
    report, summary = values["code_report_"], values["code_summary_"]
    _check_table(values["history_"], "history_")
    # Both are None in callbacks and without codes.
    require((report is None) == (summary is None), "code_report_ and code_summary_ must be stored together")
    if report is not None:
        require(config.conditioning != "none", "a report of codes, but the model has none")
        _check_table(report, "code_report_")
        require(len(report) == config.latent_dim, "code_report_ must have a row for each bit")
        require(summary.dtype.kind in "iufb", "code_summary_ must be numeric")
    return values
