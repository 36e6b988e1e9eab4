"""Statistics of single bits and of whole codes over a dataset."""

import math

import numpy as np
import pandas as pd

from dmzrep._base._validation import short_repr
from dmzrep._base._warnings import warn
from dmzrep.codes._checks import check_codes, pack
from dmzrep.codes._information import (
    absolute_correlations,
    binary_entropy,
    bit_information,
    information_bounds,
)
from dmzrep.errors import CodeWarning

#: Entropy, in bits, below which a bit counts as dead.
DEAD_ENTROPY = 0.1
#: A code counts as used if it decreases the loss by this fraction, compared with codes of other samples.
USED_GAIN = 0.005


def code_report(probabilities: np.ndarray) -> pd.DataFrame:
    """Describe each bit over a set of samples.

    Parameters
    ----------
    probabilities : array-like of shape (n, latent_dim)
        Probability of a one, in [0, 1], as from `DMZEncoder.transform`; or bits.

    Returns
    -------
    DataFrame with a row for each bit
        ``mean``: fraction of ones among hard bits. ``entropy``: of that fraction, in bits, from 0 (dead)
        to 1. ``confidence``: mean of abs(2 p - 1), from 0 (undecided) to 1 (certain).
        ``largest_correlation``: largest absolute correlation of the hard bit with another, in [0, 1]; 0
        for one that never varies. ``information``: mutual information I(x; z_i) of the bit and the sample,
        in bits, from 0 to 1: entropy of the mean probability minus the mean entropy of the
        probabilities.

    Raises
    ------
    ValueError
        `probabilities` is not an array of shape (n, latent_dim) of values in [0, 1].

    See Also
    --------
    code_summary : The whole code.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.metrics import code_report
    >>> code_report(np.array([[0.9, 0.9], [0.1, 0.9]])).round(2).values.tolist()
    [[0.5, 1.0, 0.8, 0.0, 0.53], [1.0, 0.0, 0.8, 0.0, 0.0]]
    """
    p = check_codes(probabilities, "probabilities").astype(np.float64)
    mean = (p > 0.5).mean(axis=0)
    columns = {
        "mean": mean,
        "entropy": binary_entropy(mean),
        "confidence": np.abs(2.0 * p - 1.0).mean(axis=0),
        "largest_correlation": absolute_correlations(p > 0.5).max(axis=1),
        "information": bit_information(p),
    }
    return pd.DataFrame(columns).rename_axis(index="bit")


def code_summary(probabilities: np.ndarray, history: pd.DataFrame | None = None) -> pd.Series:
    """Describe the whole code over a set of samples.

    Parameters
    ----------
    probabilities : array-like of shape (n, latent_dim)
        Probability of a one, in [0, 1]; or bits.
    history : DataFrame or None, default=None
        `DMZEncoder.history_`, whose last validation losses measure how the denoiser uses the code.

    Returns
    -------
    Series named "code", of floats
        ``n_samples``: n. ``dead_bits``: bits of an entropy below 0.1. ``unique_codes``: distinct hard
        codes as a fraction of the samples. ``mean_correlation``: mean absolute correlation of two hard bits.
        ``information_lower``, ``information_upper``: bounds in bits on the mutual information I(x; z) of
        sample and code, see `dmzrep.codes.information_bounds`. ``loss_true``, ``loss_shuffled``,
        ``loss_no_code``: validation loss with hard bits, with those of another sample, and without a code
        (only with code dropout). ``soft_hard_gap``: increase of the loss by hard bits over relaxed
        ones. Losses that were not measured are NaN.

    Raises
    ------
    ValueError
        `probabilities` is not an array of shape (n, latent_dim) of values in [0, 1].

    See Also
    --------
    code_report : Each bit.
    dmzrep.codes.information_bounds : The bounds alone.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.metrics import code_summary
    >>> code_summary(np.array([[0, 0, 1], [1, 1, 1]]))[:6].astype(int).to_dict()
    {'n_samples': 2, 'dead_bits': 1, 'unique_codes': 1, 'mean_correlation': 0, 'information_lower': 1,
    'information_upper': 1}
    """
    p = check_codes(probabilities, "probabilities").astype(np.float64)
    if history is not None and not isinstance(history, pd.DataFrame):
        raise TypeError(
            f"history must be history_ of a DMZEncoder, a DataFrame, or None, got {short_repr(history)}."
        )
    bits = p > 0.5
    n_samples, n_bits = p.shape
    lower, upper = information_bounds(p)
    loss, hard, shuffled, without = (
        _last(history, "validation_loss" + kind) for kind in ("", "_hard", "_shuffled", "_no_code")
    )
    values = {
        "n_samples": n_samples,
        "dead_bits": (binary_entropy(bits.mean(axis=0)) < DEAD_ENTROPY).sum(),
        "unique_codes": len(np.unique(pack(bits), axis=0)) / n_samples,
        "mean_correlation": absolute_correlations(bits).sum() / max(n_bits * (n_bits - 1), 1),
        "information_lower": lower,
        "information_upper": upper,
        "loss_true": hard,
        "loss_shuffled": shuffled,
        "loss_no_code": without,
        "soft_hard_gap": hard - loss,
    }
    return pd.Series(values, dtype=np.float64, name="code")


def _last(history: pd.DataFrame | None, name: str) -> float:
    """Return the last known value of a column; interrupted epochs have none."""
    if history is None or name not in history:
        return math.nan
    values = history[name].dropna()
    return float(values.iloc[-1]) if len(values) else math.nan


def warn_of_poor_code(report: pd.DataFrame, history: pd.DataFrame) -> None:
    """Warn when bits are dead or the denoiser does not use the code."""
    dead = int((report["entropy"] < DEAD_ENTROPY).sum())
    if dead:
        warn(
            f"{dead} of {len(report)} bits are dead (entropy below {DEAD_ENTROPY} bits). "
            "Train longer, lower learning_rate, balance the bits (marginal_entropy=0.01), or use fewer "
            "(latent_dim).",
            CodeWarning,
        )
    if "validation_loss_shuffled" not in history:
        return
    hard, shuffled = (_last(history, f"validation_loss_{kind}") for kind in ("hard", "shuffled"))
    if hard > (1.0 - USED_GAIN) * shuffled:
        warn(
            "The denoiser hardly uses the code (posterior collapse): with codes of other samples the loss is "
            f"{shuffled:.4g}, with the right ones {hard:.4g}. "
            "Train longer (max_iter, max_time), use timestep_sampling='high_noise', or lower the weights of "
            "the code's regularisers (kl_weight, mmd_weight), if set.",
            CodeWarning,
        )
