"""Settings of a fit with a denoiser of the user's: what has to agree with it, and what it settles itself."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from torch import nn

from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.networks._custom_backbone import CUSTOM, describe_backbone
from dmzrep.networks._defaults import DENOISER_PARAMETERS
from dmzrep.networks._diffusers_backbone import DiffusersBackbone

#: Relative difference below which two noise schedules are the same: those of diffusers are float32.
SAME = 1e-4


def has_own_denoiser(params: dict[str, Any]) -> bool:
    """Whether the denoiser is a module of the user's."""
    return isinstance(params["backbone"], nn.Module)


def denoiser_settings(params: dict[str, Any], data_shape: tuple[int, ...]) -> dict[str, Any]:
    """Fields of `NetworkConfig` for a denoiser of the user's.

    Parameters
    ----------
    params : dict
        The estimator's parameters, already checked one by one; "backbone" is a module.
    data_shape : tuple of int
        (channels, H, W) or (features,).

    Raises
    ------
    ValueError
        A parameter shapes the package's own denoisers, or the module is for other data or codes.
    """
    backbone = params["backbone"]
    for name, nothing in DENOISER_PARAMETERS.items():
        value = params[name]
        if value != nothing:
            raise ValueError(
                f"{name}={value!r} shapes dmzrep's own denoisers, but backbone is a module of yours, "
                f"{type(backbone).__name__}. Use {name}={nothing!r}, and settle it in the module."
            )
    if isinstance(backbone, DiffusersBackbone):
        _check_unet(backbone, params, data_shape)
    about = {"backbone": CUSTOM, "conditioning": CUSTOM, "widths": (), "depth": ()}
    return {**about, "module": describe_backbone(backbone)}


def _check_unet(backbone: DiffusersBackbone, params: dict[str, Any], data_shape: tuple[int, ...]) -> None:
    if len(data_shape) != 3:
        raise ValueError(
            f"backbone is a UNet, which needs images, but X holds vectors of {data_shape[0]} features. "
            "Pass image_shape=(H, W) or (H, W, C)."
        )
    if backbone.latent_dim != params["latent_dim"]:
        raise ValueError(
            f"backbone was made for latent_dim={backbone.latent_dim}, but latent_dim={params['latent_dim']}. "
            "Use the same number for both."
        )
    channels, *sides = backbone.data_shape
    if channels != data_shape[0]:
        raise ValueError(
            f"backbone is for images of {channels} channels, but X holds images of {data_shape[0]}. "
            "Convert the images, or use another UNet."
        )
    if backbone.learns_variance != params["learn_variance"]:
        has = "gives twice the channels, for a learned variance" if backbone.learns_variance else "does not"
        raise ValueError(
            f"learn_variance={params['learn_variance']!r}, but backbone {has}. "
            f"Use learn_variance={backbone.learns_variance}."
        )
    if None not in sides and tuple(sides) != tuple(data_shape[1:]) and backbone.pretraining is not None:
        warnings.warn(
            f"backbone was trained on images of {sides[0]} x {sides[1]} pixels, but X holds images of "
            f"{data_shape[1]} x {data_shape[2]}: it may serve them poorly. Resize the images to its size.",
            UserWarning,
            stacklevel=2,
        )


def pretrained_objective(params: dict[str, Any]) -> dict[str, Any]:
    """Settle the parameters "objective" and "noise_schedule" by what a pretrained denoiser knows.

    Parameters
    ----------
    params : dict
        The estimator's parameters, already checked one by one.

    Returns
    -------
    dict
        Values for some of the parameters, "noise_schedule" as a `NoiseSchedule`; empty where `backbone` is
        not pretrained.

    Raises
    ------
    ValueError
        A parameter contradicts the pretraining, or nothing tells of it and a parameter is left open.
    """
    backbone = params["backbone"]
    pretraining = backbone.pretraining if isinstance(backbone, DiffusersBackbone) else None
    if pretraining is None:
        return {}
    objective, named = params["objective"], params["noise_schedule"]
    if pretraining.objective is None or pretraining.betas is None:
        left = {"objective": "epsilon", "noise_schedule": "linear"}
        left = {name: usual for name, usual in left.items() if params[name] == "auto"}
        if left:
            usual = ", ".join(f"{name}={value!r}" for name, value in left.items())
            raise ValueError(
                "backbone comes from a folder without a scheduler's configuration: nothing tells how it was "
                f"trained. Set {' and '.join(left)}; usual for public DDPMs: {usual}, n_timesteps=1000."
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
        if np.allclose(known.log_snr, schedule.log_snr, rtol=SAME, atol=SAME):
            schedule = known
        elif named == name:
            raise ValueError(
                f"noise_schedule={name!r}, but backbone was trained with another noise schedule. "
                "Use noise_schedule='auto'."
            )
    return {"objective": pretraining.objective, "noise_schedule": schedule}
