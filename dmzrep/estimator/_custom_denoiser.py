"""Settings for custom denoisers: consistency checks, and settings from pretraining."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from dmzrep._base._warnings import warn
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.networks._custom_backbone import CUSTOM, describe_module
from dmzrep.networks._defaults import DENOISER_PARAMETERS
from dmzrep.networks._diffusers_backbone import DiffusersBackbone

#: Tolerance for comparing noise schedules, which are float32 in diffusers.
SCHEDULE_TOLERANCE = 1e-4


def has_custom_denoiser(params: dict[str, Any]) -> bool:
    """Whether the parameter `backbone` is a module."""
    return isinstance(params["backbone"], nn.Module)


def denoiser_settings(params: dict[str, Any], data_shape: tuple[int, ...]) -> dict[str, Any]:
    """Return fields of `NetworkConfig` for a custom denoiser; raise if parameters conflict with it."""
    backbone = params["backbone"]
    for name, default in DENOISER_PARAMETERS.items():
        if params[name] != default:
            raise ValueError(
                f"{name}={params[name]!r} configures the built-in denoisers, but backbone is a custom "
                f"{type(backbone).__name__}. Use {name}={default!r}, and configure the module itself."
            )
    if isinstance(backbone, DiffusersBackbone):
        _check_unet(backbone, params, data_shape)
    config = {"backbone": CUSTOM, "conditioning": CUSTOM, "widths": (), "depth": ()}
    return {**config, "module": describe_module(backbone)}


def _check_unet(backbone: DiffusersBackbone, params: dict[str, Any], data_shape: tuple[int, ...]) -> None:
    if len(data_shape) != 3:
        raise ValueError(
            f"backbone is a UNet, which needs images, but X holds vectors of {data_shape[0]} features. "
            "Pass image_shape=(H, W) or (H, W, C)."
        )
    if backbone.latent_dim != params["latent_dim"]:
        raise ValueError(
            f"backbone was made for latent_dim={backbone.latent_dim}, but latent_dim="
            f"{params['latent_dim']}. Use the same value for both."
        )
    channels, *sides = backbone.data_shape
    if channels != data_shape[0]:
        raise ValueError(
            f"backbone is for images of {channels} channels, but X holds images of {data_shape[0]} channels. "
            "Convert the images, or use another UNet."
        )
    if backbone.learns_variance != params["learn_variance"]:
        raise ValueError(
            f"learn_variance={params['learn_variance']!r}, but backbone returns "
            f"{'twice' if backbone.learns_variance else 'just'} the channels of an image. "
            f"Use learn_variance={backbone.learns_variance}."
        )
    if None not in sides and tuple(sides) != tuple(data_shape[1:]) and backbone.pretraining is not None:
        warn(
            f"backbone was trained on images of {sides[0]} x {sides[1]} pixels, but X holds images of "
            f"{data_shape[1]} x {data_shape[2]}: it may work poorly on them. Resize the images."
        )


def pretrained_objective(params: dict[str, Any]) -> dict[str, Any]:
    """Return "objective" and "noise_schedule" of a pretrained denoiser, or an empty dictionary.

    Raises ValueError if a parameter contradicts the pretraining, or is "auto" and the pretraining unknown.
    """
    backbone = params["backbone"]
    pretraining = backbone.pretraining if isinstance(backbone, DiffusersBackbone) else None
    if pretraining is None:
        return {}
    objective, named = params["objective"], params["noise_schedule"]
    if pretraining.objective is None or pretraining.betas is None:
        if "auto" in (objective, named):
            raise ValueError(
                "backbone was loaded from a folder without a scheduler configuration, so its objective and "
                "noise schedule are unknown. Set objective and noise_schedule; usual for public DDPMs: "
                "objective='epsilon', noise_schedule='linear', n_timesteps=1000."
            )
        return {}
    if objective not in ("auto", pretraining.objective):
        raise ValueError(
            f"objective={objective!r}, but backbone was trained to predict {pretraining.objective!r}. "
            f"Use objective='auto' or {pretraining.objective!r}."
        )
    betas = np.array(pretraining.betas)
    if params["n_timesteps"] != len(betas):
        raise ValueError(
            f"n_timesteps={params['n_timesteps']}, but backbone was trained with {len(betas)}. "
            f"Use n_timesteps={len(betas)}."
        )
    schedule = NoiseSchedule(betas)
    for name in ("linear", "cosine"):
        known = NoiseSchedule.named(name, len(betas))
        if np.allclose(known.log_snr, schedule.log_snr, rtol=SCHEDULE_TOLERANCE, atol=SCHEDULE_TOLERANCE):
            schedule = known
        elif named == name:
            raise ValueError(
                f"noise_schedule={name!r}, but backbone was trained with another noise schedule. "
                "Use noise_schedule='auto'."
            )
    return {"objective": pretraining.objective, "noise_schedule": schedule}
