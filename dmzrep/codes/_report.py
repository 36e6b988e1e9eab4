"""What the bits of a code look like over data, one by one and together."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd

from dmzrep._base._validation import short_repr
from dmzrep.codes._information import (
    binary_entropy,
    bit_information,
    check_probabilities,
    information_bounds,
)
from dmzrep.errors import CodeWarning

#: Entropy, in bits, below which a bit counts as dead.
DEAD_ENTROPY = 0.1
#: Share of the loss without the right code that the right code must save.
HEEDED_GAIN = 0.005


def code_report(probabilities: np.ndarray) -> pd.DataFrame:
    """Describe each bit over a set of rows.

    Parameters
    ----------
    probabilities : array-like of shape (n, latent_dim)
        Probability of a one, in [0, 1], as `DMZEncoder.transform` gives it; or bits.

    Returns
    -------
    DataFrame with a row for each bit
        ``mean``: share of ones among hard bits. ``entropy``: of that share, in bits, from 0 (dead)
        to 1. ``confidence``: mean of abs(2 p - 1), from 0 (coin tosses) to 1 (sure).
        ``largest_correlation``: largest absolute correlation of the hard bit with another, in [0, 1]; 0
        for one that never varies. ``information``: mutual information I(x; z_i) of the bit and the row,
        in bits, from 0 to 1: entropy of the mean probability less the mean entropy of the
        probabilities.

    Raises
    ------
    ValueError
        `probabilities` are no table of numbers in [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.metrics import code_report
    >>> code_report(np.array([[0.9, 0.9], [0.1, 0.9]])).round(2).values.tolist()
    [[0.5, 1.0, 0.8, 0.0, 0.53], [1.0, 0.0, 0.8, 0.0, 0.0]]
    """
    p = check_probabilities(probabilities)
    mean = (p > 0.5).mean(axis=0)
    columns = {
        "mean": mean,
        "entropy": binary_entropy(mean),
        "confidence": np.abs(2.0 * p - 1.0).mean(axis=0),
        "largest_correlation": _absolute_correlations(p > 0.5).max(axis=1),
        "information": bit_information(p),
    }
    return pd.DataFrame(columns).rename_axis(index="bit")


def code_summary(probabilities: np.ndarray, history: pd.DataFrame | None = None) -> pd.Series:
    """Describe the whole code over a set of rows.

    Parameters
    ----------
    probabilities : array-like of shape (n, latent_dim)
        Probability of a one, in [0, 1]; or bits.
    history : DataFrame or None, default=None
        `DMZEncoder.history_`, whose last validation losses tell what the denoiser makes of codes.

    Returns
    -------
    Series named "code", of floats
        ``rows``: n. ``dead_bits``: bits of an entropy below 0.1. ``unique_codes``: different hard codes
        as a share of rows. ``mean_correlation``: mean absolute correlation of two hard bits.
        ``information_lower``, ``information_upper``: bounds in bits on the mutual information I(x; z) of
        row and code, see `dmzrep.codes.information_bounds`. ``loss_true``, ``loss_shuffled``,
        ``loss_no_code``: validation loss with hard bits, with those of another row, and without a code,
        which only code dropout teaches. ``soft_hard_gap``: what hard bits add to the loss of relaxed
        ones. Losses that were not measured are NaN.

    Raises
    ------
    ValueError
        `probabilities` are no table of numbers in [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.metrics import code_summary
    >>> code_summary(np.array([[0, 0, 1], [1, 1, 1]]))[:6].astype(int).to_dict()
    {'rows': 2, 'dead_bits': 1, 'unique_codes': 1, 'mean_correlation': 0, 'information_lower': 1,
    'information_upper': 1}
    """
    p = check_probabilities(probabilities)
    if history is not None and not isinstance(history, pd.DataFrame):
        raise TypeError(
            f"history must be a DataFrame, as history_ of a DMZEncoder, or None, got {short_repr(history)}."
        )
    bits = p > 0.5
    n_rows, n_bits = p.shape
    lower, upper = information_bounds(p)
    loss, hard, shuffled, without = (
        _last(history, "validation_loss" + kind) for kind in ("", "_hard", "_shuffled", "_no_code")
    )
    values = {
        "rows": n_rows,
        "dead_bits": (binary_entropy(bits.mean(axis=0)) < DEAD_ENTROPY).sum(),
        "unique_codes": len(np.unique(np.packbits(bits, axis=1), axis=0)) / n_rows,
        "mean_correlation": _absolute_correlations(bits).sum() / max(n_bits * (n_bits - 1), 1),
        "information_lower": lower,
        "information_upper": upper,
        "loss_true": hard,
        "loss_shuffled": shuffled,
        "loss_no_code": without,
        "soft_hard_gap": hard - loss,
    }
    return pd.Series(values, dtype=np.float64, name="code")


def _absolute_correlations(bits: np.ndarray) -> np.ndarray:
    """Absolute correlations of every pair of columns; 0 on the diagonal and for columns without variance."""
    centred = bits - bits.mean(axis=0)
    size = np.sqrt(np.square(centred).sum(axis=0))
    standard = np.divide(centred, size, out=np.zeros_like(centred), where=size > 0.0)
    correlations = np.minimum(np.abs(standard.T @ standard), 1.0)
    np.fill_diagonal(correlations, 0.0)
    return correlations


def _last(history: pd.DataFrame | None, name: str) -> float:
    """Last value of a column that is one; epochs that were cut short have none."""
    if history is None or name not in history:
        return math.nan
    values = history[name].dropna()
    return float(values.iloc[-1]) if len(values) else math.nan


def warn_of_poor_code(report: pd.DataFrame, history: pd.DataFrame, stacklevel: int) -> None:
    """Warn when bits are dead or the denoiser does not heed the code."""
    dead = int((report["entropy"] < DEAD_ENTROPY).sum())
    if dead:
        warnings.warn(
            f"{dead} of {len(report)} bits are dead (entropy below {DEAD_ENTROPY} bits). "
            "Train longer, lower learning_rate, balance the bits (marginal_entropy=0.01), or use fewer "
            "(latent_dim).",
            CodeWarning,
            stacklevel=stacklevel + 1,
        )
    if "validation_loss_shuffled" not in history:
        return
    last = history.iloc[-1]
    if last["validation_loss_hard"] > (1.0 - HEEDED_GAIN) * last["validation_loss_shuffled"]:
        warnings.warn(
            "The denoiser hardly heeds the code: with codes of other rows the loss is "
            f"{last['validation_loss_shuffled']:.4g}, "
            f"with the right ones {last['validation_loss_hard']:.4g}. "
            "Train longer (max_iter, max_time), use timestep_sampling='high_noise', or lower the weights of "
            "terms for the code (kl_weight, mmd_weight), where there are any.",
            CodeWarning,
            stacklevel=stacklevel + 1,
        )
