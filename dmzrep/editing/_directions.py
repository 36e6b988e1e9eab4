"""Linear probes of binary attributes on codes, and moves of codes that change their predictions."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

#: Inverse penalty of the scale, which keeps it finite if the classes are separable.
SCALE_C = 1.0


@dataclass(frozen=True)
class AttributeProbes:
    """Linear probes, one per attribute: weights of shape (n_attributes, latent_dim), and intercepts."""

    names: tuple[Any, ...]
    weights: np.ndarray
    intercepts: np.ndarray

    def log_odds(self, codes: np.ndarray) -> np.ndarray:
        """Return the log-odds of every attribute, shape (n, n_attributes)."""
        return codes @ self.weights.T + self.intercepts

    def limits(
        self, codes: np.ndarray, labels: pd.DataFrame, reach: float | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the quantiles of log-odds, `reach`, of samples without and with each attribute."""
        if reach is None:
            return np.full(len(self.names), -np.inf), np.full(len(self.names), np.inf)
        pairs = list(zip(self.log_odds(codes).T, labels.to_numpy().T, strict=True))
        least = [np.quantile(log_odds[ones == 0.0], 1.0 - reach) for log_odds, ones in pairs]
        most = [np.quantile(log_odds[ones == 1.0], reach) for log_odds, ones in pairs]
        return np.array(least), np.array(most)


def fit_probes(codes: np.ndarray, labels: pd.DataFrame, C: float) -> AttributeProbes:
    """Fit a logistic regression per attribute to the samples that have a label.

    With a strong penalty the weights follow the difference of the class means, so that edits change all bits
    that correlate with the attribute, as the decoder needs, but log-odds are too small. A second regression,
    with one coefficient, corrects their scale. Labels are zeros, ones and NaN; `C` is relative to
    the mean loss of the labelled samples.
    """
    weights, intercepts = [], []
    for name in labels:
        known = labels[name].notna().to_numpy()
        known_labels = labels[name].to_numpy()[known].astype(int)
        probe = LogisticRegression(C=C / len(known_labels), max_iter=1000)
        with warnings.catch_warnings():
            # The direction need not be exact.
            warnings.simplefilter("ignore", ConvergenceWarning)
            probe.fit(codes[known], known_labels)
            scores = probe.decision_function(codes[known])
            spread = scores.std() or 1.0  # Zero where all codes are equal.
            scale = LogisticRegression(C=SCALE_C, max_iter=1000)
            scale.fit((scores / spread)[:, None], known_labels)
        slope = scale.coef_[0, 0] / spread
        weights.append(slope * probe.coef_[0])
        intercepts.append(slope * probe.intercept_[0] + scale.intercept_[0])
    return AttributeProbes(tuple(labels), np.array(weights), np.array(intercepts))


def target_log_odds(
    current: np.ndarray,
    amount: float,
    *,
    relative: bool = False,
    limits: tuple[float, float] | np.ndarray = (-np.inf, np.inf),
) -> np.ndarray:
    """Return the target log-odds of an edit, given those before it, shape (n,).

    A positive amount adds the attribute, a negative one removes it, zero changes nothing; samples beyond the
    amount stay. With `relative`, the amount is a multiple of each sample's own distance to the boundary, to
    be added to it. `limits` are log-odds beyond which no sample is moved.
    """
    least, most = limits
    if relative:
        # Samples beyond a limit may stay there.
        target = current * (1.0 + amount)
        return np.clip(target, np.minimum(current, least), np.maximum(current, most))
    if amount > 0.0:
        return np.maximum(current, min(amount, most))
    if amount < 0.0:
        return np.minimum(current, max(amount, least))
    return current.copy()


def shift(codes: np.ndarray, weights: np.ndarray, change: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Move codes by the shortest shift that changes some log-odds by `change` and holds others.

    `change` has shape (n, n_edited); `weights` and `held` have one probe per row. With one attribute and
    nothing held the shift is the paper's ``distance * w / |w|``. Collinear directions are changed in the
    least-squares sense. The result is not clipped to [0, 1].
    """
    constraints = np.concatenate([weights, held])
    targets = np.concatenate([change, np.zeros((len(change), len(held)))], axis=1)
    return codes + targets @ np.linalg.pinv(constraints).T


def flip(
    bits: np.ndarray, weights: np.ndarray, change: np.ndarray, held: np.ndarray, *, hold_weight: float = 1.0
) -> np.ndarray:
    """Flip few bits, those of largest weight first, until log-odds have changed by `change` or more.

    Shapes as for `shift`. With one attribute and nothing held, the number of flips is minimal. Otherwise a
    bit is flipped while that lowers the missing change plus the penalty: `hold_weight` per unit of log-odds
    by which a held attribute changes. Where no set of flips suffices, all flips that help are made.
    """
    z = bits.astype(bool).copy()
    towards = np.sign(change)
    missing = np.abs(change)
    signs = np.where(z, -1.0, 1.0)
    # Change of each edited attribute's log-odds per flip, in the direction of the target; and of those held.
    gains = towards[:, :, None] * weights[None] * signs[:, None, :]
    drifts = held[None] * signs[:, None, :]
    drift = np.zeros((len(z), len(held)))
    free = np.ones_like(z)
    active = np.arange(len(z))
    while len(active):
        gain = gains[active]
        before = missing[active, :, None]
        # A gain beyond the missing change only breaks ties.
        saved = np.minimum(gain, np.maximum(before, 0.0)) + 1e-9 * gain
        moved = np.abs(drift[active, :, None] + drifts[active]) - np.abs(drift[active])[:, :, None]
        value = saved.sum(axis=1) - hold_weight * moved.sum(axis=1)
        value[~free[active]] = -np.inf
        best = value.argmax(axis=1)
        useful = (value[np.arange(len(active)), best] > 0.0) & (missing[active] > 0.0).any(axis=1)
        active, best = active[useful], best[useful]
        z[active, best] ^= True
        free[active, best] = False
        missing[active] -= gains[active, :, best]
        drift[active] += drifts[active, :, best]
    return z
