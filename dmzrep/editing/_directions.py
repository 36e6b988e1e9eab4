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

#: Penalty of the scale; keeps it finite where the classes are wholly apart.
SCALE_C = 1.0


@dataclass(frozen=True)
class AttributeProbes:
    """A linear probe for each attribute.

    Parameters
    ----------
    names : tuple of n_attributes str
        Attributes.
    weights : ndarray of shape (n_attributes, latent_dim)
        What a bit adds to the log-odds of an attribute.
    intercepts : ndarray of shape (n_attributes,)
        Log-odds without any bit.
    """

    names: tuple[Any, ...]
    weights: np.ndarray
    intercepts: np.ndarray

    def log_odds(self, codes: np.ndarray) -> np.ndarray:
        """Log-odds of every attribute, shape (n, n_attributes)."""
        return codes @ self.weights.T + self.intercepts

    def limits(
        self, codes: np.ndarray, labels: pd.DataFrame, reach: float | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log-odds below which rows without an attribute, and above which rows with it, hardly come."""
        if reach is None:
            return np.full(len(self.names), -np.inf), np.full(len(self.names), np.inf)
        pairs = list(zip(self.log_odds(codes).T, labels.to_numpy().T, strict=True))
        least = [np.quantile(log_odds[ones == 0.0], 1.0 - reach) for log_odds, ones in pairs]
        most = [np.quantile(log_odds[ones == 1.0], reach) for log_odds, ones in pairs]
        return np.array(least), np.array(most)

    def places(self, names: Iterable[Any], parameter: str) -> np.ndarray:
        """Places of attributes by name; raise where one is unknown, with the nearest match."""
        found = []
        if not isinstance(names, Iterable):
            raise TypeError(f"{parameter} must be a name or a list of names, got {short_repr(names)}.")
        for name in names:
            if not isinstance(name, Hashable) or name not in self.names:
                near = difflib.get_close_matches(str(name), [str(known) for known in self.names], n=1)
                hint = f" Did you mean {near[0]!r}?" if near else f" There are {list(self.names)}."
                raise ValueError(f"{parameter} {short_repr(name)} is no attribute of fit.{hint}")
            found.append(self.names.index(name))
        return np.array(found, dtype=int)


def fit_probes(codes: np.ndarray, labels: pd.DataFrame, C: float) -> AttributeProbes:
    """Fit a logistic regression for each attribute to the rows that have a label.

    A strong penalty makes weights follow the difference of the classes' means, so that moves take all
    bits along that go with the attribute, as the decoder needs; but it makes the log-odds too small.
    A second regression, of one number, sets their scale.

    Parameters
    ----------
    codes : ndarray of shape (n, latent_dim)
        Bits or probabilities.
    labels : DataFrame of shape (n, n_attributes)
        Zeros, ones and NaN.
    C : float
        Inverse strength of the L2 penalty, against the mean loss of the labelled rows.

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
            # A direction that is not yet exact to the last digit serves as well.
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
