"""Conversion of fitted estimators to nested state, and back."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from dmzrep.data import ImageFormat, VectorFormat
from dmzrep.datasets import ImageReader
from dmzrep.errors import PersistenceError
from dmzrep.estimator._parameters import GROUPS, PARAMETER_CONSTRAINTS, own_parameters, validate_parameters
from dmzrep.estimator._state_checks import (
    RESULTS,
    checked_calibration,
    checked_config,
    checked_format,
    checked_objective,
    checked_prior,
    checked_results,
)
from dmzrep.files._modules import build_module, check_weights
from dmzrep.files._state import require, restoring, take
from dmzrep.networks._custom_backbone import copy_module, describe_module
from dmzrep.networks._custom_encoder import check_stored_features, describe_extractor, make_extractor
from dmzrep.networks._device import available_device
from dmzrep.networks._efficientnet import EFFICIENTNET
from dmzrep.networks._model import DiffusionAutoencoder, NetworkConfig, custom_prefixes, place
from dmzrep.priors import PRIORS
from dmzrep.training import RandomViews

#: Kind of the files.
KIND = "DMZEncoder"
#: Classes of parameters that files support.
CLASSES: dict[str, Any] = {
    kind.__name__: kind for kind in (*PRIORS.values(), *GROUPS.values(), RandomViews, ImageReader)
}
#: What custom modules are, by parameter name.
_KINDS = {"backbone": "denoiser", "encoder": "feature extractor"}
#: Optional attributes, stored unchanged.
OPTIONAL = ("feature_names_in_", "_sklearn_output_config")
#: Legal values of `set_output(transform=...)`.
CONTAINERS = ("default", "pandas", "polars")


def fitted_state(estimator: Any) -> dict[str, Any]:
    """Return the nested state of a fitted estimator, which `dmzrep.files` can store."""
    objective, prior = estimator.objective_, estimator.prior_
    params = own_parameters(estimator) | estimator.get_params(deep=False)
    # The weights of custom modules are stored with the model, their code is not.
    if isinstance(params["backbone"], torch.nn.Module):
        params["backbone"] = "auto"
    if not isinstance(params["encoder"], str):
        params["encoder"] = "auto"
    # Files are read in the same way elsewhere, whatever `image_reader` was, but not cached in the same place.
    reader = estimator.image_reader_
    params["image_reader"] = None if reader is None else clone(reader).set_params(cache_dir=None, n_jobs=-1)
    optional = {name: getattr(estimator, name) for name in OPTIONAL if hasattr(estimator, name)}
    if estimator.calibration_ is not None:
        optional["calibration_"] = asdict(estimator.calibration_)
    return {
        "params": params,
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
        "optional": optional,
    }


def restore_fitted(
    kind: type,
    state: dict[str, Any],
    device: Any,
    source: str | os.PathLike,
    backbone: torch.nn.Module | None = None,
    encoder: Any = None,
) -> Any:
    """Return an estimator from the result of `fitted_state`; errors name the file `source`.

    Raises PersistenceError if the state is incomplete, invalid or inconsistent.
    """
    placed_on = available_device(device)
    with restoring(source, KIND):
        params, network, weights, objective, data_format, prior, results, optional = take(
            state,
            *("params", "network", "weights", "objective", "data_format", "prior", "results", "optional"),
        )
        estimator = _unfitted(kind, params | {"device": device})
        validate_parameters(estimator)
        estimator.data_format_ = checked_format(data_format)
        estimator.image_reader_ = clone(estimator.image_reader, safe=False)
        config = checked_config(network, estimator.data_format_, params["latent_dim"])
        if encoder is None and estimator.encoder == EFFICIENTNET:
            encoder = EFFICIENTNET
        modules = {"backbone": backbone, "encoder": encoder}
        model = _network(config, weights, source, estimator.data_format_, modules)
        vars(estimator).update({name: module for name, module in modules.items() if module is not None})
        estimator.device_ = placed_on
        estimator.model_ = place(model.eval().requires_grad_(False), placed_on)
        estimator.objective_ = checked_objective(objective, config, estimator.data_format_)
        require((prior is None) == (config.conditioning == "none"), "a prior without codes, or codes without")
        estimator.prior_ = None if prior is None else checked_prior(prior, config.latent_dim)
        vars(estimator).update(checked_results(results, estimator.data_format_, config))
        _restore_optional(estimator, optional)
        estimator._n_features_out = config.latent_dim
        estimator._training_state = None
    return estimator


def _unfitted(kind: type, params: dict[str, Any]) -> Any:
    """Return an unfitted estimator; the constructor of a subclass may take fewer parameters."""
    taken = params.keys() & set(kind._get_param_names())  # type: ignore[attr-defined]
    fixed = params.keys() - taken
    require(fixed <= PARAMETER_CONSTRAINTS.keys(), f"unknown parameters {sorted(fixed)}")
    estimator = kind(**{name: params[name] for name in taken})
    vars(estimator).update({name: params[name] for name in fixed})
    return estimator


def _restore_optional(estimator: Any, optional: dict[str, Any]) -> None:
    require(optional.keys() <= {*OPTIONAL, "calibration_"}, f"unknown attributes {sorted(optional)}")
    # Files of older versions have none.
    calibration = optional.get("calibration_")
    estimator.calibration_ = None
    if calibration is not None:
        estimator.calibration_ = checked_calibration(
            calibration, estimator.objective_.schedule, estimator.data_format_
        )
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
        require(output.get("transform") in CONTAINERS and len(output) == 1, "unknown container of set_output")
        estimator.set_output(**output)


def _network(
    config: NetworkConfig,
    weights: dict[str, torch.Tensor],
    source: str | os.PathLike,
    data_format: ImageFormat | VectorFormat,
    modules: dict[str, Any],
) -> DiffusionAutoencoder:
    """Build the networks for stored weights, with copies of custom `modules`, by parameter name."""
    require(all(isinstance(tensor, torch.Tensor) for tensor in weights.values()), "weights are not tensors")
    blocks = config.encoder_depth + max(config.depth, default=0) * len(config.widths)
    require(blocks <= len(weights), f"{blocks} blocks for {len(weights)} weights")
    for name, stored in (("backbone", config.module), ("encoder", config.extractor)):
        if stored is None and modules[name] is not None:
            raise PersistenceError(f"{source} holds a built-in {_KINDS[name]}. Load it without {name}=.")
        if stored is not None and modules[name] is None:
            raise PersistenceError(
                f"{source} holds a custom {_KINDS[name]}, a {stored.split()[0][:100]}, but not its code. "
                f"Load it with DMZEncoder.load(path, {name}=module), with a module built in the same way as "
                f"for `fit`{', or the transformer used in `fit`' if name == 'encoder' else ''}."
            )
    denoiser = extractor = None
    # Classes may have been renamed; the descriptions are compared when training continues.
    if config.module is not None:
        denoiser = copy_module(modules["backbone"], "backbone")
        _check_module("backbone", config.module, denoiser, "denoiser.", weights, source)
        config = replace(config, module=describe_module(denoiser))
    if config.extractor is not None:
        prefix = "encoder.extractor."
        try:
            extractor = make_extractor(modules["encoder"], data_format.from_model, config.data_shape)
            _check_module("encoder", config.extractor, extractor, prefix, weights, source)
            check_stored_features(extractor, weights.get(f"{prefix}trial"))
        except (ImportError, ValueError) as error:
            raise PersistenceError(f"{source} cannot be loaded: {error}") from error
        config = replace(config, extractor=describe_extractor(modules["encoder"]))
    return build_module(  # type: ignore[return-value]
        lambda: DiffusionAutoencoder(config, denoiser, extractor), weights, custom=custom_prefixes(config)
    )


def _check_module(
    name: str,
    stored_as: str,
    module: torch.nn.Module,
    prefix: str,
    weights: dict[str, torch.Tensor],
    source: str | os.PathLike,
) -> None:
    """Raise unless a custom module has the weights that are stored."""
    stored = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    try:
        check_weights(module, stored, custom=("",))
    except ValueError as error:
        raise PersistenceError(
            f"{name}={type(module).__name__} does not match the {stored_as.split()[0][:100]} in {source}: "
            f"{error}. Build it in the same way as for `fit`."
        ) from error
