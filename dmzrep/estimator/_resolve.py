"""Resolution of validated parameters of the estimator to settings without "auto"."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from numbers import Integral
from typing import Any

from dmzrep.data import ImageFormat, VectorFormat
from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.estimator._custom_denoiser import denoiser_settings, has_custom_denoiser, pretrained_objective
from dmzrep.estimator._custom_extractor import INITS, has_extractor
from dmzrep.networks._defaults import (
    attention_levels,
    default_objective,
    default_patch_size,
    default_widths,
)
from dmzrep.networks._model import NetworkConfig
from dmzrep.training import RandomViews, Training, TrainingConfig

#: Hidden features and residual blocks of the networks for vectors.
VECTOR_WIDTH, VECTOR_DEPTH = 256, 3
ENCODER_WIDTH, ENCODER_DEPTH = 32, 0
#: Negative slope of the encoder's activation, and that of the authors' encoder.
ENCODER_SLOPE, PAPER_SLOPE = 0.2, 0.01
#: Features of images for the encoder's linear branch, by `init`.
INIT_FEATURES = {
    "random": None,
    "pca": "values",
    "itq": "values",
    "contrast_pca": "contrast",
    "cca": "responses",
}
#: Smallest number of samples and time in seconds for many filters in the encoder's linear branch.
MANY_SAMPLES, LONG_TIME = 10_000, 30.0
#: Filters of images of at most 16 pixels, of few samples or a short time, and of many samples.
FILTERS = (32, 64, 256)
#: Second views of spatially aligned images, whose codes keep positions.
ALIGNED_VIEWS = RandomViews(shift=0.0, scale=1.0, rotation=0.0, shear=0.0, colour=0.15)
#: Learning rate of the encoder relative to that of the denoiser, for encoders whose initialisation training
#: would spoil at the full rate: of vectors by ``"neighbours"``, of others without agreement of two views.
NEIGHBOURS_ENCODER_RATE, SLOW_ENCODER_RATE = 0.02, 0.15
#: Legal values of parameters for vectors, the default first; other values need images.
VECTOR_VALUES: dict[str, tuple[Any, ...]] = {
    "augment": (None,),
    "encoder_augment": ("auto", None),
    "init": INITS,
    "encoder": ("auto",),
    "conditioning": ("auto", "bias", "cross_attention", "adagn", "timestep", "none"),
    "encoder_depth": ("auto", 0),
    "backbone": ("auto", "mlp"),
}
#: Parameters that act on the code, with the values that disable them.
CODE_PARAMETERS: dict[str, Any] = {
    "marginal_entropy": 0.0,
    "decorrelation": 0.0,
    "kl_weight": 0.0,
    "mmd_weight": 0.0,
    "code_dropout": 0.0,
    "ordered": False,
}
#: Those that compare the samples of a batch.
BATCH_PARAMETERS = ("marginal_entropy", "decorrelation", "mmd_weight")


def resolve_network(
    params: dict[str, Any],
    data_format: ImageFormat | VectorFormat,
    extractor: dict[str, Any] | None = None,
) -> NetworkConfig:
    """Return the network shapes; raise if parameters conflict with each other or with the data.

    `extractor` has the fields of a feature extractor, if any.
    """
    shape = data_format.shape
    is_image, custom = len(shape) == 3, has_custom_denoiser(params)
    config: dict[str, Any] = {
        "data_shape": shape,
        "latent_dim": int(params["latent_dim"]),
        "learn_variance": bool(params["learn_variance"]),
        "init_features": None if extractor else _init_features(params["init"], is_image),
        "normalize_logits": bool(params["normalize_logits"]),
        **(extractor or {}),
    }
    if custom:
        config |= denoiser_settings(params, shape)
    else:
        automatic = "spatial_bias" if is_image else "bias"
        config |= {
            "conditioning": automatic if params["conditioning"] == "auto" else params["conditioning"],
            "code_input": params["code_input"],
            "dropout": float(params["dropout"]),
        }
    if is_image:
        config |= {
            "encoder_width": _integer(params["encoder_width"], "encoder_width", ENCODER_WIDTH),
            "init_filters": _integer(params["init_filters"], "init_filters", FILTERS[1]),
            "encoder_depth": _integer(params["encoder_depth"], "encoder_depth", ENCODER_DEPTH),
            "paired_logits": params["encoder"] == "paper",
            "encoder_slope": PAPER_SLOPE if params["encoder"] == "paper" else ENCODER_SLOPE,
        }
    else:
        _check_vectors(params, shape[0], custom)
        config["encoder_width"] = _integer(params["encoder_width"], "encoder_width", VECTOR_WIDTH)
    if not custom:
        config |= _unet_settings(params, shape) if is_image else _mlp_settings(params)
    return NetworkConfig(**config)


def _init_features(init: str, is_image: bool) -> str | None:
    """Return the features of the encoder's linear branch."""
    return INIT_FEATURES[init] if is_image or init == "random" else "values"


def _check_vectors(params: dict[str, Any], n_features: int, custom: bool) -> None:
    for name, values in VECTOR_VALUES.items():
        taken = has_extractor(params["encoder"]) if name == "encoder" else custom and name == "backbone"
        if not taken and params[name] not in values:
            raise ValueError(
                f"{name}={params[name]!r} needs images, but X holds vectors of {n_features} features. Use "
                f"{name}={values[0]!r}, or pass image_shape=(H, W) or (H, W, C) if they are flattened images."
            )


def _mlp_settings(params: dict[str, Any]) -> dict[str, Any]:
    width = _integer(params["width"], "width", VECTOR_WIDTH)
    depth = _integer(params["depth"], "depth", VECTOR_DEPTH)
    return {"backbone": "mlp", "widths": (4 * math.ceil(width / 4),), "depth": (depth,)}


def _unet_settings(params: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    if params["backbone"] == "mlp":
        raise ValueError(
            f"backbone='mlp' is for vectors, but X holds images of shape {shape[1:]}. "
            "Use backbone='auto', or flatten the images and leave image_shape=None."
        )
    patch_size = default_patch_size(shape) if params["patch_size"] == "auto" else int(params["patch_size"])
    if patch_size > min(shape[1:3]):
        raise ValueError(
            f"patch_size={patch_size} is larger than the images, {' x '.join(map(str, shape[1:]))} pixels."
        )
    widths = _widths(params["width"], default_widths(shape, patch_size))
    attention = params["attention"]
    attention = attention if isinstance(attention, str) else tuple(attention)
    levels = attention_levels(attention, shape, patch_size, len(widths))
    if params["conditioning"] == "cross_attention" and not levels:
        if attention != "auto":
            raise ValueError(
                "conditioning='cross_attention' needs attention at one level or more, got "
                f"attention={attention!r}. Name a resolution of the feature maps, or use 'auto'."
            )
        levels = (len(widths) - 1,)
    return {
        "backbone": "unet",
        "widths": widths,
        "depth": _depth(params["depth"]),
        "attention_levels": levels,
        "patch_size": patch_size,
    }


def resolve_init(
    params: dict[str, Any],
    data_format: ImageFormat | VectorFormat,
    n_samples: int,
    aligned: Callable[[], bool],
    extractor: dict[str, Any],
) -> dict[str, Any]:
    """Return `init`, `encoder_augment` and `init_filters`, none of them "auto".

    `aligned` returns whether the images are spatially aligned; it is called only if needed. `extractor` has
    the fields of a feature extractor, if any; the features of a frozen one are computed once, without views.
    """
    init, augment = params["init"], params["encoder_augment"]
    is_image = isinstance(data_format, ImageFormat)
    has_code = params["conditioning"] != "none"
    if init == "neighbours" and is_image and not extractor:
        raise ValueError(
            "init='neighbours' compares vectors or the features of an extractor, but X holds images and "
            f"encoder={params['encoder']!r}. Use init='auto', or pass a feature extractor as encoder."
        )
    if augment == "auto":
        views = is_image and has_code and not extractor.get("extractor_frozen", False)
        augment = "affine" if views and not aligned() else None
    if init == "auto":
        if params["encoder"] == "paper" or not has_code:
            init = "random"
        elif extractor or augment is not None:
            init = "cca"
        elif not is_image:
            init = "neighbours"
        else:
            init = "contrast_pca" if aligned() else "itq"
    filters = params["init_filters"]
    if filters == "auto":
        small = n_samples < MANY_SAMPLES or (params["max_time"] or math.inf) < LONG_TIME
        filters = FILTERS[0 if max(data_format.shape[1:], default=0) <= 16 else 1 if small else 2]
    return {"init": init, "encoder_augment": augment, "init_filters": filters}


def views_of(augment: str | RandomViews | None) -> RandomViews | None:
    """Return the views of a resolved `encoder_augment`."""
    if augment is None or isinstance(augment, RandomViews):
        return augment
    return RandomViews(mirror=augment == "affine_flip")


def resolve_objective(
    params: dict[str, Any], data_format: ImageFormat | VectorFormat, network: NetworkConfig
) -> Objective:
    """Return what the denoiser predicts, with its noise schedule."""
    params = params | pretrained_objective(params)
    kind, schedule = params["objective"], params["noise_schedule"]
    if kind == "auto" and has_custom_denoiser(params):
        kind = "v"
    elif kind == "auto":
        kind = default_objective(network.data_shape, network.patch_size, network.widths)
    if not isinstance(schedule, NoiseSchedule):
        name = "cosine" if schedule == "auto" else schedule
        schedule = NoiseSchedule.named(name, int(params["n_timesteps"]))
    return Objective(
        schedule,
        kind=kind,
        learn_variance=network.learn_variance,
        input_perturbation=float(params["input_perturbation"]),
        data_bin=data_format.data_bin,
    )


def with_gaussian_denoiser(
    params: dict[str, Any], network: NetworkConfig, objective: Objective
) -> NetworkConfig:
    """Return network shapes whose denoiser is initialised from data, if `params` ask for one."""
    possible = network.backbone == "unet" and not network.learn_variance
    if params["gaussian_denoiser"] == "auto":
        wanted = possible and params["init"] != "random"
    else:
        wanted = bool(params["gaussian_denoiser"])
    if not wanted:
        return network
    if not possible:
        raise ValueError(
            "gaussian_denoiser=True needs images, the built-in denoiser and learn_variance=False. Set "
            "gaussian_denoiser='auto'."
        )
    return replace(network, gaussian=objective.kind, n_timesteps=objective.schedule.n_timesteps)


def resolve_training(
    params: dict[str, Any], precision: str, data_format: ImageFormat | VectorFormat
) -> TrainingConfig:
    """Return the settings of a training run; raise if they need a code or a larger batch."""
    _check_code_parameters(params)
    view = views_of(params["encoder_augment"]) if isinstance(data_format, ImageFormat) else None
    second_view = view or (ALIGNED_VIEWS if params["init"] == "contrast_pca" else None)
    if params["init"] == "random":
        second_view = None  # There are no initial bits to agree with.
    return TrainingConfig(
        max_epochs=int(params["max_iter"]),
        batch_size=int(params["batch_size"]),
        learning_rate=float(params["learning_rate"]),
        max_time=None if params["max_time"] is None else float(params["max_time"]),
        encoder_rate=_encoder_rate(params, agrees=second_view is not None and params["agreement"] > 0.0),
        code_dropout=float(params["code_dropout"]),
        ordered=bool(params["ordered"]),
        flip=params["augment"] == "flip",
        encoder_view=view,
        second_view=second_view,
        # Only for aligned images was free training measured to be better (docs/decisions.md).
        anchored=params["init"] != "contrast_pca" or params["agreement"] == 0.0,
        n_iter_no_change=int(params["n_iter_no_change"]) if params["early_stopping"] else None,
        precision=precision,
        options=Training(**{name: params[name] for name in Training._parameter_constraints}),
    )


def _encoder_rate(params: dict[str, Any], agrees: bool) -> float:
    """Return the learning rate of the encoder as a fraction of that of the denoiser."""
    rate, init = params["encoder_learning_rate"], params["init"]
    if rate != "auto":
        return float(rate) / float(params["learning_rate"])
    if init == "neighbours":
        return NEIGHBOURS_ENCODER_RATE
    keeps_initialisation = init in ("cca", "contrast_pca") and not agrees
    return SLOW_ENCODER_RATE if keeps_initialisation or has_extractor(params["encoder"]) else 1.0


def _check_code_parameters(params: dict[str, Any]) -> None:
    for name, off in CODE_PARAMETERS.items():
        value = params[name]
        if value == off:
            continue
        if params["conditioning"] == "none":
            raise ValueError(
                f"{name}={value!r} needs a code, but a model with conditioning='none' has none. Use "
                f"{name}={off!r}, or another conditioning."
            )
        if name in BATCH_PARAMETERS and params["batch_size"] == 1:
            raise ValueError(
                f"{name}={value!r} compares the samples of a batch, but batch_size=1. Use a larger one."
            )


def _integer(value: Any, name: str, default: int) -> int:
    if isinstance(value, (tuple, list)):
        raise ValueError(f"{name} must be one integer here, got {tuple(value)}.")
    return default if value == "auto" else int(value)


def _depth(value: Any) -> tuple[int, int]:
    """Return the number of residual blocks per level of a UNet, (down, up)."""
    if isinstance(value, str):
        return (1, 1)
    if not isinstance(value, (tuple, list)):
        return (int(value), int(value) + 1)
    valid = all(isinstance(blocks, Integral) and int(blocks) >= 1 for blocks in value)
    if len(value) != 2 or not valid or value[1] - value[0] not in (0, 1):
        raise ValueError(
            "depth must be a number of blocks, or (down, up) with up equal to down or one more. "
            f"Got {value!r}."
        )
    return (int(value[0]), int(value[1]))


def _widths(value: Any, default: tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(value, str):
        return default
    widths = tuple(value) if isinstance(value, (tuple, list)) else (value, *default[1:])
    if not widths or any(not isinstance(w, Integral) or w < 8 or w % 8 for w in widths):
        raise ValueError(
            f"width must be a multiple of 8, or a tuple of such, one for each level. Got {value!r}."
        )
    return tuple(int(w) for w in widths)
