"""Validation of the arguments of `DomainTransfer`."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._validation import as_array, check_choice, check_int, check_number, short_repr
from dmzrep.codes._protocol import Encoder, check_codec, code_probabilities
from dmzrep.transfer._calibration import CALIBRATIONS
from dmzrep.transfer._mappings import FEATURES, MAPPINGS


def check_parameters(transfer: Any) -> None:
    """Raise unless a transfer's parameters are valid and its encoders are fitted."""
    for name in ("source", "target"):
        encoder = getattr(transfer, name)
        check_codec(encoder, name)
        if isinstance(encoder, BaseEstimator):
            check_is_fitted(
                encoder,
                msg=f"{name} is a %(name)s that is not fitted yet. Fit it on images of its domain first.",
            )
    check_choice("mapping", transfer.mapping, ("auto", *MAPPINGS))
    check_choice("features", transfer.features, FEATURES)
    check_choice("calibration", transfer.calibration, (*CALIBRATIONS, None))
    check_number(transfer.alpha, "alpha", 0)
    check_int(transfer.n_folds, "n_folds", 2)
    sizes = transfer.hidden_layer_sizes
    if not isinstance(sizes, (tuple, list)) or not all(
        isinstance(size, (int, np.integer)) and size >= 1 for size in sizes
    ):
        raise ValueError(
            f"hidden_layer_sizes must be a tuple of integers of at least 1, got {short_repr(sizes)}."
        )


def encoded(encoder: Encoder, X: Any, name: str, latent_dim: int | None = None) -> np.ndarray:
    """Return probabilities of a one from an encoder; errors mention its `name`."""
    try:
        probabilities = code_probabilities(encoder, X)
    except ValueError as error:
        error.add_note(f"The error concerns {name} and its images.")
        raise
    if len(probabilities) == 0:
        raise ValueError(f"There are no images of {name}; at least one is needed.")
    if latent_dim is not None and probabilities.shape[1] != latent_dim:
        raise ValueError(
            f"{name} returns codes of {probabilities.shape[1]} bits, but the transfer was fitted to "
            f"{latent_dim}. Call fit again after a change of an encoder."
        )
    return probabilities


def check_pairs(X_a: Any, X_b: Any) -> None:
    """Raise unless both domains have the same number of images."""
    for name, X in (("X_a", X_a), ("X_b", X_b)):
        if not hasattr(X, "__len__"):
            raise TypeError(f"{name} must be an array, a table or a dataset of images, got {short_repr(X)}.")
    if len(X_a) != len(X_b):
        raise ValueError(
            f"X_a and X_b must be pairs, got {len(X_a)} and {len(X_b)} samples. "
            "Remove images without a partner."
        )


def check_groups(groups: Any, n_pairs: int, n_folds: int) -> np.ndarray:
    """Return the group of each pair as an integer; raise if there are too few for the folds."""
    values = np.arange(n_pairs) if groups is None else as_array(groups, "groups")
    if values.shape != (n_pairs,):
        raise ValueError(
            f"groups must have a group for each of the {n_pairs} pairs, got shape {values.shape}."
        )
    values = np.unique(values, return_inverse=True)[1].reshape(-1)
    n_groups, needed = int(values.max(initial=-1)) + 1, 4 * n_folds
    if n_groups < needed:
        what = "pairs" if groups is None else "groups of pairs"
        raise ValueError(
            f"Too few {what} for n_folds={n_folds}: got {n_groups}, at least {needed} are needed "
            "(four per fold). Add pairs, or use fewer folds."
        )
    return values
