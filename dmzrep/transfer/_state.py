"""Conversion of a fitted `DomainTransfer` to nested state, and back."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator

from dmzrep._base._validation import is_finite, is_int
from dmzrep.codes._protocol import check_codec
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.estimator._state import fitted_state, restore_fitted
from dmzrep.files._state import require, restoring, take
from dmzrep.transfer._calibration import Calibration
from dmzrep.transfer._checks import check_parameters
from dmzrep.transfer._mappings import FEATURES, CodeFeatures, KernelRidgeMap, NetworkMap

#: Kind of the files.
KIND = "DomainTransfer"
MAPS: dict[str, Any] = {mapping.name: mapping for mapping in (KernelRidgeMap, NetworkMap)}
COUNTS = ("n_pairs_", "source_dim_", "target_dim_")


def transfer_state(transfer: Any) -> dict[str, Any]:
    """Return a fitted transfer as nested state, with those of its encoders that are `DMZEncoder`."""
    params = {name: getattr(transfer, name) for name in transfer._get_param_names()}
    encoders = {name: params.pop(name) for name in ("source", "target")}
    for name, encoder in encoders.items():
        encoder = encoder.estimator if isinstance(encoder, FrozenEstimator) else encoder
        encoders[name] = fitted_state(encoder) if isinstance(encoder, DMZEncoder) else None
    return {
        "params": params,
        "encoders": encoders,
        "features": vars(transfer.features_),
        "mapping": {"name": transfer.mapping_.name, "arrays": vars(transfer.mapping_)},
        "calibration": None if transfer.calibration_ is None else vars(transfer.calibration_),
        "validation": transfer.validation_,
        "counts": {name: getattr(transfer, name) for name in COUNTS},
    }


def restore_transfer(
    make: Callable[..., Any],
    state: dict[str, Any],
    encoders: dict[str, Any],
    device: Any,
    source: str | os.PathLike,
) -> Any:
    """Return the fitted transfer from a state of `transfer_state`, which is checked.

    Encoders that are not None replace stored ones; `source` is the file named in errors.
    """
    with restoring(source, KIND):
        params, stored, features, mapping, calibration, validation, counts = take(
            state, "params", "encoders", "features", "mapping", "calibration", "validation", "counts"
        )
        take(stored, "source", "target")
    encoders = dict(encoders)
    for name, encoder in encoders.items():
        if encoder is not None:
            check_codec(encoder, name)
        else:
            if stored[name] is None:
                raise ValueError(
                    f"{source} does not contain {name}, because only a DMZEncoder is saved; pass {name}=."
                )
            encoders[name] = restore_fitted(DMZEncoder, stored[name], device, source)
    with restoring(source, KIND):
        transfer = make(**encoders, **params)
        check_parameters(transfer)
        require(all(is_int(n) and n > 0 for n in take(counts, *COUNTS)), "counts must be positive")
        n_source, n_target = counts["source_dim_"], counts["target_dim_"]
        transfer.features_ = _features(features, n_source)
        transfer.mapping_ = _mapping(mapping, n_source, n_target)
        transfer.calibration_ = None
        if calibration is not None:
            for array in take(calibration, "slopes", "intercepts"):
                _check_floats(array, (n_target,))
            transfer.calibration_ = Calibration(**calibration)
        require(
            isinstance(validation, pd.DataFrame) and len(validation) == n_target,
            "validation must have a row for each bit",
        )
        transfer.validation_ = validation
        for name, count in counts.items():
            setattr(transfer, name, count)
    return transfer


def _features(values: dict[str, Any], n_source: int) -> CodeFeatures:
    kind, mean, spread = take(values, "kind", "mean", "spread")
    require(isinstance(kind, str) and kind in FEATURES, "unknown kind of features")
    _check_floats(mean, (n_source,))
    require(is_finite(spread) and spread > 0, "the spread of features must be positive")
    return CodeFeatures(kind, mean, spread)


def _mapping(values: dict[str, Any], n_source: int, n_target: int) -> Any:
    name, arrays = take(values, "name", "arrays")
    mapping = MAPS[name](**arrays)
    with np.errstate(all="ignore"):
        scores = mapping.scores(np.zeros((1, n_source)))
    require(
        scores.shape == (1, n_target) and np.isfinite(scores).all(),
        "the mapping does not return finite scores",
    )
    return mapping


def _check_floats(array: Any, shape: tuple[int, ...]) -> None:
    require(isinstance(array, np.ndarray) and array.dtype.kind == "f", "an array must hold floats")
    require(array.shape == shape, f"an array should have shape {shape}, has {array.shape}")
    require(np.isfinite(array).all(), "an array must be finite")
