"""Linear probes of binary attributes on codes."""

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
