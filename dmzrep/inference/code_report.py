"""What the bits of a code look like over data."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from dmzrep.errors import CodeWarning

#: Entropy, in bits, below which a bit counts as dead.
DEAD_ENTROPY = 0.1
#: Share of the loss without the right code that the right code must save.
HEEDED_GAIN = 0.005


def code_report(probabilities: np.ndarray) -> pd.DataFrame:
    """Describe each bit over a set of rows.

    Parameters
    ----------
    probabilities : ndarray of shape (n, latent_dim)
        Probability of a one.

    Returns
    -------
    DataFrame with a row for each bit
        ``mean``: share of ones among hard bits. ``entropy``: of that share, in bits, from 0 (dead)
        to 1. ``confidence``: mean of abs(2 p - 1), from 0 (coin tosses) to 1 (sure).

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.inference import code_report
    >>> code_report(np.array([[0.9, 0.9], [0.1, 0.9]])).round(2).values.tolist()
    [[0.5, 1.0, 0.8], [1.0, 0.0, 0.8]]
    """
    mean = (probabilities > 0.5).mean(axis=0, dtype=np.float64)
    inside = np.clip(mean, 1e-300, 1.0 - 1e-16)
    entropy = -(inside * np.log2(inside) + (1.0 - inside) * np.log2(1.0 - inside))
    entropy = np.where((mean == 0.0) | (mean == 1.0), 0.0, entropy)
    confidence = np.abs(2.0 * probabilities.astype(np.float64) - 1.0).mean(axis=0)
    report = pd.DataFrame({"mean": mean, "entropy": entropy, "confidence": confidence})
    report.index.name = "bit"
    return report


def warn_of_poor_code(report: pd.DataFrame, history: pd.DataFrame, stacklevel: int) -> None:
    """Warn when bits are dead or the denoiser does not heed the code."""
    dead = int((report["entropy"] < DEAD_ENTROPY).sum())
    if dead:
        warnings.warn(
            f"{dead} of {len(report)} bits are dead (entropy below {DEAD_ENTROPY} bits). "
            "Train longer, lower learning_rate, or use fewer bits (latent_dim).",
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
            "Train longer (max_iter, max_time), or use timestep_sampling='high_noise'.",
            CodeWarning,
            stacklevel=stacklevel + 1,
        )
