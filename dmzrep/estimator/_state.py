"""The fitted estimator as plain values and arrays, and back."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from dmzrep._base._device import available_device
from dmzrep._base._random import seeded_torch
from dmzrep.data import ImageFormat, VectorFormat
from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.errors import PersistenceError
from dmzrep.networks._custom_backbone import copy_backbone, describe_backbone
from dmzrep.networks._model import DiffusionAutoencoder, NetworkConfig, place
from dmzrep.priors import PRIORS, CodePrior

#: What files say that they hold.
NAME = "DMZEncoder"
#: Fitted attributes that are JSON values.
PLAIN_ATTRIBUTES = (
    "n_iter_",
    "stopped_",
    "precision_",
    "init_",
    "encoder_augment_",
    "code_dropout_",
    "ordered_",
    "n_features_in_",
)


def fitted_state(estimator: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Take a fitted estimator apart.

    Parameters
    ----------
    estimator : DMZEncoder
        Fitted.

    Returns
    -------
    values : dict
        JSON values.
    arrays : dict of str to ndarray
    """
    data_format, objective, prior = estimator.data_format_, estimator.objective_, estimator.prior_
    arrays = {f"model.{name}": t.detach().cpu().numpy() for name, t in estimator.model_.state_dict().items()}
    arrays["schedule.betas"] = objective.schedule.betas
    values: dict[str, Any] = {
        "estimator": NAME,
        "params": {name: _plain(name, value) for name, value in estimator.get_params(deep=False).items()},
        "network": estimator.model_.config.to_dict(),
        "objective": {
            "kind": objective.kind,
            "learn_variance": objective.learn_variance,
            "input_perturbation": objective.input_perturbation,
            "data_bin": objective.data_bin,
        },
        "history": _table(estimator.history_),
        **{name: getattr(estimator, name) for name in PLAIN_ATTRIBUTES},
    }
    if isinstance(data_format, ImageFormat):
        values["data_format"] = asdict(data_format)
    else:
        values["data_format"] = {"dtype": data_format.dtype, "bound": data_format.bound}
        arrays["data_format.mean"], arrays["data_format.scale"] = data_format.mean, data_format.scale
    if prior is not None:
        values["prior"] = _plain("prior", prior)
        arrays.update({f"prior.{name}": array for name, array in prior.state().items()})
        values["code_report"] = _table(estimator.code_report_)
        values["code_summary"] = estimator.code_summary_.to_dict()
    if hasattr(estimator, "_sklearn_output_config"):
        values["output_config"] = estimator._sklearn_output_config
    if hasattr(estimator, "feature_names_in_"):
        values["feature_names_in_"] = list(map(str, estimator.feature_names_in_))
    return values, arrays


def restore_fitted(
    make: Callable[..., Any],
    values: dict[str, Any],
    arrays: dict[str, np.ndarray],
    device: Any,
    source: str | os.PathLike = "The file",
    backbone: torch.nn.Module | None = None,
) -> Any:
    """Put a fitted estimator together from what `fitted_state` gave.

    Parameters
    ----------
    make : callable
        The estimator's class.
    values, arrays
        As from `fitted_state`.
    device : str or torch.device
        Where the networks go.
    source : path-like, default="The file"
        Where they came from, for errors.
    backbone : nn.Module or None, default=None
        The user's denoiser, for an estimator that was fitted with one.

    Raises
    ------
    PersistenceError
        Something is missing or does not fit together.
    """
    if values.get("estimator") != NAME:
        raise PersistenceError(f"{source} holds a {values.get('estimator')}, not a {NAME}.")
    try:
        params = {name: _restored(value) for name, value in values["params"].items()}
        config = NetworkConfig.from_dict(values["network"])
        weights = {k.removeprefix("model."): v for k, v in arrays.items() if k.startswith("model.")}
        model = _network(config, weights, source, backbone)
        if backbone is not None:
            params["backbone"] = backbone
        estimator = make(**(params | {"device": device}))
        estimator.device_ = available_device(device)
        estimator.model_ = place(model.eval().requires_grad_(False), estimator.device_)
        schedule = NoiseSchedule(arrays["schedule.betas"])
        estimator.objective_ = Objective(schedule, **values["objective"])
        estimator.data_format_ = _data_format(values["data_format"], arrays)
        estimator.prior_, estimator.code_report_, estimator.code_summary_ = None, None, None
        if "prior" in values:
            estimator.prior_ = restore_prior(values["prior"], arrays, config.latent_dim)
            estimator.code_report_ = pd.DataFrame(values["code_report"])
            estimator.code_report_.index.name = "bit"
            estimator.code_summary_ = pd.Series(values["code_summary"], name="code")
        estimator.history_ = pd.DataFrame(values["history"])
        for name in PLAIN_ATTRIBUTES:
            setattr(estimator, name, values[name])
        estimator._n_features_out = config.latent_dim
        estimator._training_state = None
        if "output_config" in values:
            estimator._sklearn_output_config = values["output_config"]
        if "feature_names_in_" in values:
            estimator.feature_names_in_ = np.array(values["feature_names_in_"], dtype=object)
    except (KeyError, TypeError, RuntimeError, AttributeError, IndexError) as error:
        raise PersistenceError(f"{source} does not hold a whole {NAME}: {error!r}.") from error
    return estimator


def _network(
    config: NetworkConfig,
    weights: dict[str, np.ndarray],
    source: str | os.PathLike,
    backbone: torch.nn.Module | None,
) -> DiffusionAutoencoder:
    """Build the networks around weights, once it is clear that they need no more memory than those have."""
    if backbone is not None or config.module is not None:
        denoiser = _own_denoiser(config, weights, source, backbone)
        # The class may have moved since; what training goes on with is the one at hand.
        model = DiffusionAutoencoder(replace(config, module=describe_backbone(denoiser)), denoiser)
    else:
        if max(config.depth) * len(config.widths) > len(weights):
            raise KeyError(f"weights of {max(config.depth)} blocks at {len(config.widths)} levels")
        with torch.device("meta"):
            meta = DiffusionAutoencoder(config).state_dict()
        needed = {name: tuple(tensor.shape) for name, tensor in meta.items()}
        for name in sorted(needed.keys() | weights.keys()):
            shape = weights[name].shape if name in weights else None
            if shape != needed.get(name):
                raise KeyError(f"{name} should have shape {needed.get(name)}, has {shape}")
        with seeded_torch(0):  # The weights that layers draw are replaced.
            model = DiffusionAutoencoder(config)
    model.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    return model


def _own_denoiser(
    config: NetworkConfig,
    weights: dict[str, np.ndarray],
    source: str | os.PathLike,
    backbone: torch.nn.Module | None,
) -> torch.nn.Module:
    """Copy the user's denoiser, if the weights of the file are its own."""
    if config.module is None:
        raise PersistenceError(f"{source} holds a denoiser of dmzrep's own. Load it without backbone=.")
    kind = config.module.split()[0]
    if backbone is None:
        raise PersistenceError(
            f"{source} holds the weights of a denoiser of the user's, a {kind}, but not its code. Load it by "
            "DMZEncoder.load(path, backbone=module), with a module that is built as in the fit."
        )
    prefix = "denoiser."
    stored = {k.removeprefix(prefix): v.shape for k, v in weights.items() if k.startswith(prefix)}
    present = {name: tuple(value.shape) for name, value in backbone.state_dict().items()}
    differing = [
        f"{name}: file {stored.get(name)}, backbone {present.get(name)}"
        for name in sorted(set(stored) | set(present))
        if stored.get(name) != present.get(name)
    ]
    if differing:
        more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise PersistenceError(
            f"backbone={type(backbone).__name__} is not built as the {kind} in {source} was: "
            f"{'; '.join(differing[:5])}{more}. Build it in the same way."
        )
    return copy_backbone(backbone)


def restore_prior(values: dict[str, Any], arrays: dict[str, np.ndarray], latent_dim: int) -> CodePrior:
    """Rebuild a fitted prior."""
    state = {k.removeprefix("prior."): v for k, v in arrays.items() if k.startswith("prior.")}
    return _restored(values).restore(state, latent_dim)


def _data_format(values: dict[str, Any], arrays: dict[str, np.ndarray]) -> ImageFormat | VectorFormat:
    if "layout" in values:
        return ImageFormat(**(values | {"shape": tuple(values["shape"])}))
    return VectorFormat(arrays["data_format.mean"], arrays["data_format.scale"], **values)


def _table(frame: pd.DataFrame) -> dict[str, list]:
    return {str(name): column.tolist() for name, column in frame.items()}


def _plain(name: str, value: Any) -> Any:
    """Give a parameter as a JSON value that `_restored` turns back."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (tuple, list)):
        return {"tuple": [_plain(name, part) for part in value]}
    if isinstance(value, torch.device):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, torch.nn.Module):
        return None  # Its weights are the model's; its code is the user's to give when loading.
    if isinstance(value, CodePrior):
        if PRIORS.get(value.name) is not type(value):
            raise TypeError(
                f"{name}={value!r} cannot be saved: files hold dmzrep's own priors, {sorted(PRIORS)}. "
                "Use one of them, or pickle the estimator."
            )
        return {"prior": value.name, "params": {k: _plain(k, v) for k, v in value.get_params().items()}}
    if isinstance(value, np.random.RandomState):
        kind, keys, position, has_gauss, cached = value.get_state(legacy=True)
        return {"random_state": [kind, np.asarray(keys).tolist(), position, has_gauss, cached]}
    return value


def _restored(value: Any) -> Any:
    """Undo `_plain`."""
    if not isinstance(value, dict):
        return value
    if "tuple" in value:
        return tuple(_restored(part) for part in value["tuple"])
    if "prior" in value:
        return PRIORS[value["prior"]](**{k: _restored(v) for k, v in value["params"].items()})
    random_state = np.random.RandomState()
    random_state.set_state(tuple(value["random_state"]))
    return random_state
