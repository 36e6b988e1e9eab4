"""A fitted `DomainTransfer` as plain values and arrays, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator

from dmzrep.errors import PersistenceError
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.estimator._state import fitted_state, restore_fitted
from dmzrep.transfer._calibration import Calibration
from dmzrep.transfer._features import CodeFeatures
from dmzrep.transfer._mappings import KernelRidgeMap, NetworkMap

NAME = "DomainTransfer"
MAPS: dict[str, Any] = {one.name: one for one in (KernelRidgeMap, NetworkMap)}
PLAIN_ATTRIBUTES = ("n_pairs_", "source_dim_", "target_dim_")


def transfer_state(transfer: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Take a fitted transfer apart.

    Parameters
    ----------
    transfer : DomainTransfer
        Fitted.

    Returns
    -------
    values : dict
        JSON values.
    arrays : dict of str to ndarray
    """
    params = {name: getattr(transfer, name) for name in transfer._get_param_names()}
    values: dict[str, Any] = {
        "estimator": NAME,
        "params": {name: _plain(value) for name, value in params.items() if name not in ("source", "target")},
        "encoders": {},
        "features": {"kind": transfer.features_.kind, "spread": transfer.features_.spread},
        "mapping": transfer.mapping_.name,
        "calibrated": transfer.calibration_ is not None,
        "validation": {name: column.tolist() for name, column in transfer.validation_.items()},
        **{name: getattr(transfer, name) for name in PLAIN_ATTRIBUTES},
    }
    arrays = {"features.mean": transfer.features_.mean} | _named("mapping", transfer.mapping_.state())
    if transfer.calibration_ is not None:
        arrays["calibration.slopes"] = transfer.calibration_.slopes
        arrays["calibration.intercepts"] = transfer.calibration_.intercepts
    for name in ("source", "target"):
        encoder = params[name].estimator if isinstance(params[name], FrozenEstimator) else params[name]
        if isinstance(encoder, DMZEncoder):
            values["encoders"][name], of_encoder = fitted_state(encoder)
            arrays |= _named(name, of_encoder)
    return values, arrays


def restore_transfer(
    make: Callable[..., Any],
    values: dict[str, Any],
    arrays: dict[str, np.ndarray],
    given: dict[str, Any],
    device: Any,
) -> Any:
    """Put a fitted transfer together from what `transfer_state` gave.

    Parameters
    ----------
    make : callable
        The estimator's class.
    values, arrays
        As from `transfer_state`.
    given : dict
        Encoders by parameter; None takes the one that is stored.
    device : str or torch.device
        Where networks of stored encoders go.

    Raises
    ------
    PersistenceError
        Something is missing or does not fit together.
    ValueError
        An encoder is neither stored nor given.
    """
    if values.get("estimator") != NAME:
        raise PersistenceError(f"The file holds a {values.get('estimator')}, not a DomainTransfer.")
    try:
        encoders = dict(given)
        for name in encoders:
            if encoders[name] is None and name in values["encoders"]:
                state = values["encoders"][name], _under(name, arrays)
                encoders[name] = restore_fitted(DMZEncoder, *state, device)
        params = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values["params"].items()
        }
        transfer = make(**encoders, **params)
        transfer.features_ = CodeFeatures(mean=arrays["features.mean"], **values["features"])
        transfer.mapping_ = MAPS[values["mapping"]].restored(_under("mapping", arrays))
        transfer.calibration_ = None
        if values["calibrated"]:
            transfer.calibration_ = Calibration(**_under("calibration", arrays))
        transfer.validation_ = pd.DataFrame(values["validation"])
        transfer.validation_.index.name = "bit"
        for name in PLAIN_ATTRIBUTES:
            setattr(transfer, name, values[name])
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise PersistenceError(f"The file does not hold a whole DomainTransfer: {error!r}.") from error
    for name, encoder in encoders.items():
        if encoder is None:
            raise ValueError(f"The file holds no {name}, as only a DMZEncoder is saved; give {name}=.")
    return transfer


def _plain(value: Any) -> Any:
    if isinstance(value, np.random.RandomState):
        return None
    if isinstance(value, (tuple, list)):
        return [int(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value


def _named(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def _under(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    start = f"{prefix}."
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
