"""The fitted estimator as nested state, and back."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from dmzrep._base._device import available_device
from dmzrep.errors import PersistenceError
from dmzrep.estimator._parameters import GROUPS, validate_parameters
from dmzrep.estimator._state_checks import (
    checked_config,
    checked_format,
    checked_objective,
    checked_prior,
    checked_results,
)
from dmzrep.files._modules import build_module
from dmzrep.files._state import require, restoring, take
from dmzrep.networks._custom_backbone import copy_backbone, describe_backbone
from dmzrep.networks._model import DiffusionAutoencoder, NetworkConfig, place
from dmzrep.priors import PRIORS

#: What files say that they hold.
KIND = "DMZEncoder"
#: Classes whose objects may be parameters.
CLASSES: dict[str, Any] = {kind.__name__: kind for kind in (*PRIORS.values(), *GROUPS.values())}
#: Fitted attributes that are stored as they are.
RESULTS = (
    "n_iter_",
    "stopped_",
    "precision_",
    "init_",
    "encoder_augment_",
    "code_dropout_",
    "ordered_",
    "n_features_in_",
    "history_",
    "code_report_",
    "code_summary_",
)
#: Those that not every estimator has.
OPTIONAL = ("feature_names_in_", "_sklearn_output_config")
#: What `set_output` may ask of `transform`.
OUTPUTS = ("default", "pandas", "polars")


def fitted_state(estimator: Any) -> dict[str, Any]:
    """Return a fitted estimator as nested state, which `dmzrep.files` can hold."""
    objective, prior = estimator.objective_, estimator.prior_
    return {
        "params": {name: _param(value) for name, value in estimator.get_params(deep=False).items()},
        "network": estimator.model_.config.to_dict(),
        "weights": dict(estimator.model_.state_dict()),
        "objective": {
            "betas": objective.schedule.betas,
            "kind": objective.kind,
            "learn_variance": objective.learn_variance,
            "input_perturbation": objective.input_perturbation,
            "data_bin": objective.data_bin,
        },
        "data_format": asdict(estimator.data_format_),
        "prior": None if prior is None else {"model": prior, "state": prior.state()},
        "results": {name: getattr(estimator, name) for name in RESULTS},
        "optional": {name: getattr(estimator, name) for name in OPTIONAL if hasattr(estimator, name)},
    }


def _param(value: Any) -> Any:
    # The weights of a custom denoiser are the model's; its code is given again when loading.
    return "auto" if isinstance(value, torch.nn.Module) else value


def restore_fitted(
    make: Callable[..., Any],
    state: dict[str, Any],
    device: Any,
    source: str | os.PathLike = "The file",
    backbone: torch.nn.Module | None = None,
) -> Any:
    """Return the fitted estimator of which `fitted_state` made the state, after checking all of it.

    Parameters
    ----------
    make : callable
        The estimator's class.
    state : dict
        From `fitted_state`, by way of a file.
    device : str or torch.device
        Where the networks go.
    source : path-like, default="The file"
        The file, for errors.
    backbone : nn.Module or None, default=None
        The custom denoiser, for an estimator that was fitted with one.

    Raises
    ------
    PersistenceError
        Something is missing, is not what it should be, or does not go together.
    """
    placed_on = available_device(device)
    with restoring(source, KIND):
        params, network, weights, objective, data_format, prior, results, optional = take(
            state,
            *("params", "network", "weights", "objective", "data_format", "prior", "results", "optional"),
        )
        estimator = make(**(params | {"device": device}))
        validate_parameters(estimator)
        estimator.data_format_ = checked_format(data_format)
        config = checked_config(network, estimator.data_format_, params["latent_dim"])
        model = _network(config, weights, source, backbone)
        if backbone is not None:
            estimator.backbone = backbone
        estimator.device_ = placed_on
        estimator.model_ = place(model.eval().requires_grad_(False), placed_on)
        estimator.objective_ = checked_objective(objective, config, estimator.data_format_)
        require((prior is None) == (config.conditioning == "none"), "a prior without codes, or codes without")
        estimator.prior_ = None if prior is None else checked_prior(prior, config.latent_dim)
        for name, value in checked_results(take_results(results), estimator.data_format_, config).items():
            setattr(estimator, name, value)
        _restore_optional(estimator, optional)
        estimator._n_features_out = config.latent_dim
        estimator._training_state = None
    return estimator


def take_results(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stored attributes by name; raise unless all are there and no others."""
    return dict(zip(RESULTS, take(dict(results), *RESULTS), strict=True))


def _restore_optional(estimator: Any, optional: dict[str, Any]) -> None:
    require(optional.keys() <= set(OPTIONAL), f"unknown attributes {sorted(optional)}")
    if "feature_names_in_" in optional:
        names = optional["feature_names_in_"]
        require(
            isinstance(names, np.ndarray)
            and names.shape == (estimator.n_features_in_,)
            and all(isinstance(name, str) for name in names),
            "feature_names_in_ are not the names of the features",
        )
        estimator.feature_names_in_ = names.astype(object)
    if "_sklearn_output_config" in optional:
        output = optional["_sklearn_output_config"]
        require(output.get("transform") in OUTPUTS and len(output) == 1, "set_output knows no such output")
        estimator.set_output(**output)


def _network(
    config: NetworkConfig,
    weights: dict[str, torch.Tensor],
    source: str | os.PathLike,
    backbone: torch.nn.Module | None,
) -> DiffusionAutoencoder:
    """Build the networks around their weights."""
    require(all(isinstance(tensor, torch.Tensor) for tensor in weights.values()), "weights are no tensors")
    blocks = config.encoder_depth + max(config.depth, default=0) * len(config.widths)
    require(blocks <= len(weights), f"{blocks} blocks for {len(weights)} weights")
    if backbone is None and config.module is None:
        return build_module(lambda: DiffusionAutoencoder(config), weights)  # type: ignore[return-value]
    denoiser = _custom_denoiser(config, weights, source, backbone)
    # The class may have moved since; training goes on with the one at hand.
    config = replace(config, module=describe_backbone(denoiser))
    return build_module(  # type: ignore[return-value]
        lambda: DiffusionAutoencoder(config, denoiser), weights, custom="denoiser."
    )


def _custom_denoiser(
    config: NetworkConfig,
    weights: dict[str, torch.Tensor],
    source: str | os.PathLike,
    backbone: torch.nn.Module | None,
) -> torch.nn.Module:
    """Copy a custom denoiser, if the weights of the file are its own."""
    if config.module is None:
        raise PersistenceError(f"{source} holds a denoiser of dmzrep's own. Load it without backbone=.")
    kind = config.module.split()[0][:100]
    if backbone is None:
        raise PersistenceError(
            f"{source} holds the weights of a custom denoiser, a {kind}, but not its code. Load it by "
            "DMZEncoder.load(path, backbone=module), with a module that is built as in the fit."
        )
    prefix = "denoiser."
    stored = {k.removeprefix(prefix): tuple(v.shape) for k, v in weights.items() if k.startswith(prefix)}
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
