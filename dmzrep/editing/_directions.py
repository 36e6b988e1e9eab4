"""Linear probes of binary attributes on codes."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from dmzrep._base._validation import as_array, is_iterable, short_repr

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
        if not is_iterable(names):
            raise TypeError(f"{parameter} must be a name or a list of names, got {short_repr(names)}.")
        for name in names:
            if not isinstance(name, Hashable) or name not in self.names:
                near = difflib.get_close_matches(str(name), [str(known) for known in self.names], n=1)
                hint = f" Did you mean {near[0]!r}?" if near else f" There are {list(self.names)}."
                raise ValueError(f"{parameter} {short_repr(name)} is not an attribute passed to fit.{hint}")
            found.append(self.names.index(name))
        return np.array(found, dtype=int)


def attribute_table(Y: Any, n_samples: int, names: Sequence[Any] | None = None) -> pd.DataFrame:
    """Return labels as a float table of zeros, ones and NaN, one column per attribute.

    Parameters
    ----------
    Y : DataFrame, Series or array-like of shape (n_samples,) or (n_samples, n_attributes)
        Two values in each column: 0 and 1, False and True, or -1 and 1; NaN (or None) where unknown.
    n_samples : int
        Number of images.
    names : sequence of str, optional
        Names of the columns; None takes those of a DataFrame or Series, else attribute_0, ...

    Returns
    -------
    DataFrame of shape (n_samples, n_attributes), float64
    """
    if isinstance(Y, pd.Series):
        table = Y.to_frame(name="attribute_0" if Y.name is None else Y.name)
    elif isinstance(Y, pd.DataFrame):
        table = Y
    else:
        values = as_array(Y, "Y")
        if values.ndim not in (1, 2):
            raise ValueError(f"Y must have shape (n,) or (n, n_attributes), got {values.shape}.")
        values = values[:, None] if values.ndim == 1 else values
        table = pd.DataFrame(values, columns=[f"attribute_{i}" for i in range(values.shape[1])])
    if len(table) != n_samples:
        raise ValueError(f"Y must have one row per sample of X, {n_samples}, got {len(table)}.")
    if table.shape[1] == 0:
        raise ValueError("Y has no columns; pass at least one attribute.")
    if names is not None:
        if isinstance(names, str) or not isinstance(names, Sequence):
            raise TypeError(f"names must be a list with one name per column of Y, got {short_repr(names)}.")
        if len(names) != table.shape[1]:
            raise ValueError(f"names must name the {table.shape[1]} columns of Y, got {len(names)} names.")
        table = table.set_axis(list(names), axis="columns")
    if not table.columns.is_unique:
        repeated = list(table.columns[table.columns.duplicated()])
        raise ValueError(f"Y has attributes of the same name: {repeated}. Rename them.")
    return pd.DataFrame({name: _binary(table[name], name) for name in table}, columns=table.columns)


def _binary(column: pd.Series, name: Any) -> np.ndarray:
    try:
        if column.dtype.kind in "cmM":  # NumPy would drop the imaginary part, and count nanoseconds.
            raise TypeError
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise ValueError(
            f"Attribute {name!r} must be binary (0 and 1, or False and True), got dtype {column.dtype}. "
            "Make one column for each value with pandas.get_dummies."
        ) from None
    present = np.unique(values[~np.isnan(values)])
    if set(present) == {-1.0, 1.0}:
        return np.where(values < 0.0, 0.0, values)
    if not set(present) <= {0.0, 1.0}:
        raise ValueError(
            f"Attribute {name!r} must be binary (0 and 1, or False and True), got values "
            f"{present[:5].tolist()}. Make one column for each value with pandas.get_dummies."
        )
    if len(present) < 2:
        found = f"only {present[0]:g}" if len(present) else "no label"
        raise ValueError(
            f"Attribute {name!r} has {found}; a probe needs samples with 0 and with 1. "
            "Label more samples, or leave the attribute out."
        )
    return values


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
