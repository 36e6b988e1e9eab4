"""Any encoder as the tools around codes see it: `transform` to probabilities, `inverse_transform` to rows."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from dmzrep._base._random import draw_seed
from dmzrep._base._validation import as_numbers, short_repr


def code_probabilities(encoder: Any, X: Any) -> np.ndarray:
    """Encode rows to probabilities of a one, whatever the encoder's `output`.

    Parameters
    ----------
    encoder : DMZEncoder, or any object with `transform`
        Gives probabilities or bits; or logits, if its attribute `output` is ``"logits"``.
    X : array-like, table or map-style dataset
        Rows as the encoder takes them.

    Returns
    -------
    ndarray of shape (n, latent_dim), float64 in [0, 1]
        A bit is one where it is above 0.5.

    Raises
    ------
    ValueError
        The encoder's codes are no probabilities, bits or logits.
    """
    check_codec(encoder, needed=("transform",))
    codes = as_numbers(encoder.transform(X), "encoder.transform(X)").astype(np.float64)
    if codes.ndim != 2 or codes.shape[1] == 0 or not np.isfinite(codes).all():
        raise ValueError(
            "encoder.transform must give finite codes of shape (n, latent_dim), got shape "
            f"{codes.shape}{'' if codes.ndim != 2 or codes.shape[1] == 0 else ' with NaN or infinity'}."
        )
    if getattr(encoder, "output", None) == "logits":
        return expit(codes)
    if len(codes) and (codes.min() < 0.0 or codes.max() > 1.0):
        raise ValueError(
            "encoder.transform must give bits or probabilities in [0, 1], got values from "
            f"{codes.min():g} to {codes.max():g}. An encoder of logits says so by output='logits'."
        )
    return codes


def decode_codes(encoder: Any, codes: np.ndarray, *, random_state: Any = 0, **options: Any) -> np.ndarray:
    """Decode codes with the options that are set.

    Parameters
    ----------
    encoder : DMZEncoder, or any object with `inverse_transform`
        A decoder without a `random_state` is taken for deterministic.
    codes : ndarray of shape (n, latent_dim)
        Bits or probabilities.
    random_state : sequence of n int, or whatever else `inverse_transform` takes, default=0
        Decides the noise; rows of the same integer share theirs.
    **options
        For `inverse_transform`; those that are None are left to it.

    Returns
    -------
    ndarray of shape (n, *row_shape)

    Raises
    ------
    ValueError
        `inverse_transform` does not take an option.
    """
    check_codec(encoder, needed=("inverse_transform",))
    passed = {name: value for name, value in options.items() if value is not None}
    parameters = inspect.signature(encoder.inverse_transform).parameters
    if "strength" in passed and "start" in parameters:
        passed["start"] = passed.pop("strength")
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return np.asarray(encoder.inverse_transform(codes, random_state=random_state, **passed))
    for name in passed:
        if name not in parameters:
            near = difflib.get_close_matches(name, parameters, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else " Leave it out, or use a DMZEncoder."
            raise ValueError(
                f"{type(encoder).__name__}.inverse_transform does not take {name!r} "
                f"(it takes {list(parameters)}).{hint}"
            )
    if "random_state" in parameters:
        passed["random_state"] = random_state
    return np.asarray(encoder.inverse_transform(codes, **passed))


def check_codec(
    encoder: Any, parameter: str = "encoder", needed: Sequence[str] = ("transform", "inverse_transform")
) -> None:
    """Raise unless an object both encodes and decodes, or does the one that is needed."""
    missing = [name for name in needed if not callable(getattr(encoder, name, None))]
    # Tables have a `transform` that is another one.
    if missing or isinstance(encoder, (type, pd.DataFrame, pd.Series)):
        what = " and no ".join(missing) if missing else "instance: it is a class or a table"
        raise TypeError(
            f"{parameter} must be a fitted DMZEncoder, or an object with {' and '.join(needed)}; "
            f"{short_repr(encoder)} has no {what}."
        )


def block_seeds(random_state: Any, n_rows: int, n_blocks: int = 1) -> list[int]:
    """Seeds of `n_blocks` blocks of the same rows: a row has one noise in all blocks.

    Examples
    --------
    >>> from dmzrep.codes._protocol import block_seeds
    >>> seeds = block_seeds(0, 2, 3)
    >>> seeds[:2] == seeds[2:4] == seeds[4:] == block_seeds(0, 2)
    True
    """
    seeds = np.random.SeedSequence(draw_seed(random_state)).generate_state(n_rows) >> 1
    return np.tile(seeds, n_blocks).tolist()
