"""How near inverted noise brings rows back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from dmzrep.data import read_all, to_tensor
from dmzrep.estimator._encoder import DMZEncoder, check_encoder


def inversion_error(encoder: DMZEncoder, X: Any, n_steps: int | None = None) -> np.ndarray:
    """Mean squared error of rows that are encoded, run back to their noise, and sampled again.

    It says how much of a row edits and walks from inverted noise lose before anything is changed. More
    steps lower it.

    Parameters
    ----------
    encoder : DMZEncoder
        Fitted.
    X : array-like, table or map-style dataset of n rows
        Rows in the fitted layout.
    n_steps : int or None, default=None
        Steps back and steps forth; None takes 50, or all where there are fewer.

    Returns
    -------
    ndarray of shape (n,), float64
        Mean over a row's numbers in model units: pixels from -1 to 1, or standardised vectors. As
        `DMZEncoder.reconstruct` gives it, so that rounding to whole grey levels counts (5e-6 for uint8).
        A row's does not depend on the other rows.

    Raises
    ------
    NotFittedError
        The encoder is not fitted.
    ValueError
        X does not agree with the fitted format, or `n_steps` is not from 1 to `n_timesteps`.
    TypeError
        The encoder is not a DMZEncoder.

    See Also
    --------
    DMZEncoder.reconstruct : The rows themselves.

    References
    ----------
    Preechakul et al., "Diffusion Autoencoders: Toward a Meaningful and Decodable Representation", 2022,
    table 1 (reconstruction from the code and the inverted noise).

    Examples
    --------
    >>> from dmzrep import DMZEncoder, inversion_error
    >>> from dmzrep.datasets import load_digits_images
    >>> X = load_digits_images().images[:64]
    >>> encoder = DMZEncoder(latent_dim=16, width=(8, 16), max_iter=1, random_state=0).fit(X)
    >>> inversion_error(encoder, X[:2], n_steps=10).shape
    (2,)
    """
    check_encoder(encoder)
    rows = read_all(X)
    return row_errors(encoder, rows, encoder.reconstruct(X, noise="inverted", n_steps=n_steps))


def row_errors(encoder: DMZEncoder, rows: np.ndarray, rebuilt: np.ndarray) -> np.ndarray:
    """Mean squared difference of each row in model units, shape (n,), float64."""
    to_model = encoder.data_format_.to_model
    first, second = (to_model(to_tensor(values, torch.device("cpu"))) for values in (rows, rebuilt))
    return (second - first).double().square().flatten(1).mean(dim=1).numpy()
