"""From the estimator's parameters to settings: every "auto" is resolved here."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any

from dmzrep.data import ImageFormat, VectorFormat
from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.estimator._custom_denoiser import denoiser_settings, has_own_denoiser, pretrained_objective
from dmzrep.networks._defaults import (
    attention_levels,
    default_objective,
    default_patch_size,
    default_widths,
)
from dmzrep.networks._model import NetworkConfig
from dmzrep.training import RandomAffine, Training, TrainingConfig

#: Hidden features and residual blocks of the networks for vectors.
VECTOR_WIDTH, VECTOR_DEPTH = 256, 3
ENCODER_WIDTH, ENCODER_DEPTH = 32, 0
#: Slope of the encoder's activation below zero, and that of the authors' encoder.
ENCODER_SLOPE, PAPER_SLOPE = 0.2, 0.01
#: What the encoder's linear branch sees, by the encoder's start.
START_FEATURES = {
    "random": None,
    "pca": "values",
    "itq": "values",
    "contrast_pca": "contrast",
    "cca": "responses",
}
#: Parameters that ask something of the code, with the values that ask nothing.
CODE_DEMANDS: dict[str, Any] = {
    "marginal_entropy": 0.0,
    "decorrelation": 0.0,
    "kl_weight": 0.0,
    "mmd_weight": 0.0,
    "code_dropout": 0.0,
    "ordered": False,
}
#: Those of them that compare the rows of a batch.
BATCH_DEMANDS = ("marginal_entropy", "decorrelation", "mmd_weight")
#: Starts from features are good already, and lost where the encoder learns as fast as the denoiser.
FEATURES_ENCODER_RATE = 0.15


def resolve_network(params: dict[str, Any], data_format: ImageFormat | VectorFormat) -> NetworkConfig:
    """Settle the networks' shapes.

    Parameters
    ----------
    params : dict
        The estimator's parameters, already checked one by one.
    data_format : ImageFormat or VectorFormat
        Format of the data.

    Returns
    -------
    NetworkConfig

    Raises
    ------
    ValueError
        Parameters that do not go together, or not with the data.
    """
    shape = data_format.shape
    is_image = len(shape) == 3
    common: dict[str, Any] = {
        "data_shape": shape,
        "latent_dim": int(params["latent_dim"]),
        "learn_variance": bool(params["learn_variance"]),
        "init_features": START_FEATURES[params["init"]],
        "normalize_logits": bool(params["normalize_logits"]),
    }
    own = has_own_denoiser(params)
    if own:
        common |= denoiser_settings(params, shape)
    else:
        common |= {
            "conditioning": resolve_conditioning(params, is_image),
            "code_input": params["code_input"],
            "dropout": float(params["dropout"]),
        }
    if not is_image:
        if params["augment"] is not None:
            raise ValueError(f"augment={params['augment']!r} needs images, but X holds vectors. Use None.")
        if params["encoder_augment"] in ("affine", "affine_flip"):
            raise ValueError(
                f"encoder_augment={params['encoder_augment']!r} needs images, but X holds vectors. "
                "Use 'auto' or None."
            )
        if params["init"] in ("cca", "contrast_pca"):
            raise ValueError(
                f"init={params['init']!r} needs images, but X holds vectors. Use 'auto' or 'itq'."
            )
        if params["conditioning"] == "spatial_bias":
            raise ValueError("conditioning='spatial_bias' needs images, but X holds vectors. Use 'bias'.")
        if not own and params["backbone"] == "unet":
            raise ValueError(
                f"backbone='unet' needs images, but X holds vectors of {shape[0]} features. "
                "Pass image_shape=(H, W) or (H, W, C), or use backbone='mlp'."
            )
        if params["encoder_depth"] not in ("auto", 0):
            raise ValueError(
                f"encoder_depth={params['encoder_depth']!r} needs images, but X holds vectors. Use 'auto'."
            )
        if params["encoder"] == "paper":
            raise ValueError("encoder='paper' needs images, but X holds vectors. Use encoder='auto'.")
        common["encoder_width"] = _number(params["encoder_width"], "encoder_width", VECTOR_WIDTH)
        if own:
            return NetworkConfig(**common)
        width = _number(params["width"], "width", VECTOR_WIDTH)
        return NetworkConfig(
            backbone="mlp",
            widths=(4 * math.ceil(width / 4),),
            depth=(_number(params["depth"], "depth", VECTOR_DEPTH),),
            **common,
        )
    common |= {
        "encoder_width": _number(params["encoder_width"], "encoder_width", ENCODER_WIDTH),
        "encoder_depth": _number(params["encoder_depth"], "encoder_depth", ENCODER_DEPTH),
        "paired_logits": params["encoder"] == "paper",
        "encoder_slope": PAPER_SLOPE if params["encoder"] == "paper" else ENCODER_SLOPE,
    }
    if own:
        return NetworkConfig(**common)
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
    levels = attention_levels(
        attention if isinstance(attention, str) else tuple(attention), shape, patch_size, len(widths)
    )
    if params["conditioning"] == "cross_attention" and not levels:
        if attention != "auto":
            raise ValueError(
                "conditioning='cross_attention' needs attention at one level at least, got "
                f"attention={attention!r}, which gives none. Name a resolution of the feature maps."
            )
        levels = (len(widths) - 1,)
    return NetworkConfig(
        backbone="unet",
        widths=widths,
        depth=_depth(params["depth"]),
        attention_levels=levels,
        patch_size=patch_size,
        **common,
    )


def resolve_conditioning(params: dict[str, Any], is_image: bool) -> str:
    """Settle how the code enters the denoiser."""
    if params["conditioning"] != "auto":
        return params["conditioning"]
    return "spatial_bias" if is_image else "bias"


def resolve_start(
    params: dict[str, Any], data_format: ImageFormat | VectorFormat, aligned: Callable[[], bool]
) -> dict[str, str | None]:
    """Settle how the encoder starts and what it is shown.

    Parameters
    ----------
    params : dict
        The estimator's parameters, already checked one by one.
    data_format : ImageFormat or VectorFormat
        Format of the data.
    aligned : callable
        Tells whether images share a frame; called where the answer counts.

    Returns
    -------
    dict
        `init` and `encoder_augment`, neither of them "auto".
    """
    init, augment = params["init"], params["encoder_augment"]
    is_image = isinstance(data_format, ImageFormat)
    has_code = params["conditioning"] != "none"
    if augment == "auto":
        augment = "affine" if is_image and has_code and not aligned() else None
    if init == "auto":
        if params["encoder"] == "paper" or not has_code:
            init = "random"
        elif not is_image:
            init = "itq"
        elif augment is not None:
            init = "cca"
        else:
            init = "contrast_pca" if aligned() else "itq"
    return {"init": init, "encoder_augment": augment}


def resolve_objective(
    params: dict[str, Any], data_format: ImageFormat | VectorFormat, network: NetworkConfig
) -> Objective:
    """Settle what the network predicts."""
    params = params | pretrained_objective(params)
    kind, schedule = params["objective"], params["noise_schedule"]
    if kind == "auto":
        own = has_own_denoiser(params)
        kind = "v" if own else default_objective(network.data_shape, network.patch_size, network.widths)
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


def resolve_training(
    params: dict[str, Any], precision: str, data_format: ImageFormat | VectorFormat
) -> TrainingConfig:
    """Settle the training run.

    Raises
    ------
    ValueError
        A parameter asks something of a code that there is not, or of rows that a batch does not have.
    """
    _check_code_demands(params)
    view = params["encoder_augment"] is not None and isinstance(data_format, ImageFormat)
    return TrainingConfig(
        max_epochs=int(params["max_iter"]),
        batch_size=int(params["batch_size"]),
        learning_rate=float(params["learning_rate"]),
        max_time=None if params["max_time"] is None else float(params["max_time"]),
        encoder_rate=_encoder_rate(params),
        code_dropout=float(params["code_dropout"]),
        ordered=bool(params["ordered"]),
        flip=params["augment"] == "flip",
        encoder_view=RandomAffine(mirror=params["encoder_augment"] == "affine_flip") if view else None,
        n_iter_no_change=int(params["n_iter_no_change"]) if params["early_stopping"] else None,
        precision=precision,
        options=Training(**{name: params[name] for name in Training._parameter_constraints}),
    )


def _check_code_demands(params: dict[str, Any]) -> None:
    for name, nothing in CODE_DEMANDS.items():
        value = params[name]
        if value == nothing:
            continue
        if params["conditioning"] == "none":
            raise ValueError(
                f"{name}={value!r} asks something of the code, but a model with conditioning='none' has "
                f"none. Use {name}={nothing!r}, or another conditioning."
            )
        if name in BATCH_DEMANDS and params["batch_size"] == 1:
            raise ValueError(
                f"{name}={value!r} compares the rows of a batch, but batch_size=1 gives it one. Use more."
            )


def _encoder_rate(params: dict[str, Any]) -> float:
    """Learning rate of the encoder as a share of the denoiser's."""
    rate = params["encoder_learning_rate"]
    if rate != "auto":
        return float(rate) / float(params["learning_rate"])
    return FEATURES_ENCODER_RATE if params["init"] in ("cca", "contrast_pca") else 1.0


def _number(value: Any, name: str, default: int) -> int:
    if value == "auto":
        return default
    if isinstance(value, (tuple, list)):
        raise ValueError(f"{name} must be one integer here, got {tuple(value)}.")
    return int(value)


def _depth(value: Any) -> tuple[int, int]:
    if isinstance(value, str):
        return (1, 1)
    if isinstance(value, (tuple, list)):
        whole = all(isinstance(blocks, Integral) and int(blocks) >= 1 for blocks in value)
        if len(value) != 2 or not whole or value[1] - value[0] not in (0, 1):
            raise ValueError(
                "depth must be a number of blocks, or (down, up) with up equal to down or one more. "
                f"Got {value!r}."
            )
        return (int(value[0]), int(value[1]))
    return (int(value), int(value) + 1)


def _widths(value: Any, default: tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(value, str):
        return default
    widths = tuple(value) if isinstance(value, (tuple, list)) else (value, *default[1:])
    if not widths or any(not isinstance(w, Integral) or w < 8 or w % 8 for w in widths):
        raise ValueError(
            f"width must be a multiple of 8, or a tuple of such, one for each level. Got {value!r}."
        )
    return tuple(int(w) for w in widths)
