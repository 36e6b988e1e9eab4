"""Linear probes of binary attributes on codes."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from dmzrep._base._validation import short_repr

#: Penalty of the scale; keeps it finite where the classes are separable.
SCALE_C = 1.0


@dataclass(frozen=True)
class AttributeProbes:
    """Linear probes, one per attribute.

    Parameters
    ----------
    names : tuple of n_attributes str
        Attributes.
    weights : ndarray of shape (n_attributes, latent_dim)
        Contribution of each bit to the log-odds.
    intercepts : ndarray of shape (n_attributes,)
        Log-odds of a code of zeros.
    """

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

    def places(self, names: Iterable[Any], parameter: str) -> np.ndarray:
        """Return the positions of attributes by name; raise where one is unknown, with the nearest match."""
        found = []
        if not isinstance(names, Iterable):
            raise TypeError(f"{parameter} must be a name or a list of names, got {short_repr(names)}.")
        for name in names:
            if not isinstance(name, Hashable) or name not in self.names:
                near = difflib.get_close_matches(str(name), [str(known) for known in self.names], n=1)
                hint = f" Did you mean {near[0]!r}?" if near else f" There are {list(self.names)}."
                raise ValueError(f"{parameter} {short_repr(name)} is not an attribute passed to fit.{hint}")
            found.append(self.names.index(name))
        return np.array(found, dtype=int)


def fit_probes(codes: np.ndarray, labels: pd.DataFrame, C: float) -> AttributeProbes:
    """Fit a logistic regression per attribute to the samples that have a label.

    With a strong penalty, weights follow the difference of the classes' means, so that moves change all bits
    that correlate with the attribute, as the decoder needs; but log-odds become too small. A second
    regression, with one coefficient, sets their scale.

    Parameters
    ----------
    codes : ndarray of shape (n, latent_dim)
        Bits or probabilities.
    labels : DataFrame of shape (n, n_attributes)
        Zeros, ones and NaN.
    C : float
        Inverse strength of the L2 penalty, relative to the mean loss of the labelled samples.

    Returns
    -------
    AttributeProbes
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
