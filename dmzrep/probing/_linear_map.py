"""Linear models of single attributes, with weights in code units, and their combined predictions."""

import warnings
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from dmzrep._base._validation import short_repr
from dmzrep.codes._labels import Target


@dataclass(frozen=True)
class LinearMap:
    """Scores that are linear in codes: one row of weights, or one for each of several classes.

    `classes` is None for a continuous attribute; `converged` is whether `max_iter` was enough.
    """

    weights: np.ndarray
    intercepts: np.ndarray
    classes: np.ndarray | None
    n_iter: int = 1
    converged: bool = True

    def scores(self, Z: np.ndarray) -> np.ndarray:
        """Return log odds, logits or values: shape (n,) from one row of weights, else (n, n_classes)."""
        scores = Z @ self.weights.T + self.intercepts
        return scores[:, 0] if len(self.weights) == 1 else scores

    def probabilities(self, Z: np.ndarray) -> np.ndarray:
        """Return the probability of each class, shape (n, n_classes)."""
        scores = self.scores(Z)
        if scores.ndim == 2:
            return softmax(scores, axis=1)
        return np.column_stack([expit(-scores), expit(scores)])

    def predict(self, Z: np.ndarray) -> np.ndarray:
        """Return values, or the most probable classes."""
        scores = self.scores(Z)
        if self.classes is None:
            return scores
        return self.classes[scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0.0).astype(int)]

    def direction(self, label: Any, name: Any) -> np.ndarray:
        """Return the unit vector along which the score of a class, or the value, grows fastest."""
        weights = self.weights[0]
        if label is not None or len(self.weights) > 1:
            if self.classes is None:
                raise ValueError(f"Attribute {name!r} is continuous and has no classes; omit label.")
            classes = self.classes.tolist()
            if not isinstance(label, Hashable) or label not in classes:
                raise ValueError(
                    f"label must be one of the classes {classes} of {name!r}, got {short_repr(label)}."
                )
            chosen = classes.index(label)
            if len(self.weights) > 1:
                weights = self.weights[chosen] - np.delete(self.weights, chosen, axis=0).mean(axis=0)
            elif chosen == 0:
                weights = -weights
        length = np.linalg.norm(weights)
        return weights / length if length > 0.0 else np.zeros_like(weights)

    def score(self, Z: np.ndarray, target: Target) -> float:
        """Return the accuracy, or R squared, on the samples whose label is known."""
        predicted, true = self.predict(Z)[target.known], target.values[target.known]
        if self.classes is None:
            total, rest = np.square(true - true.mean()).sum(), np.square(true - predicted).sum()
            return float(1.0 - rest / total) if total > 0.0 else float(rest == 0.0)
        if target.classes is None:
            raise ValueError(f"y of attribute {target.name!r} is continuous, but classes were fitted.")
        return float(np.mean(predicted == target.classes[true]))


def fit_linear_map(
    Z: np.ndarray,
    target: Target,
    *,
    C: float = 1.0,
    scale: bool = False,
    class_weight: Any = None,
    max_iter: int = 1000,
) -> LinearMap:
    """Fit one attribute on the samples whose label is known."""
    codes, values = Z[target.known], target.values[target.known]
    mean, std = np.zeros(Z.shape[1]), np.ones(Z.shape[1])
    if scale:
        mean, std = codes.mean(axis=0, dtype=np.float64), codes.std(axis=0, dtype=np.float64)
        # The deviation of a constant column may be a rounding error, which a division would amplify.
        std[std <= 10.0 * np.finfo(codes.dtype).eps * np.abs(mean)] = 1.0
        codes = ((codes - mean) / std).astype(codes.dtype)
    if target.classes is None:
        model = Ridge(alpha=1.0 / C).fit(codes, values)
        weights, intercepts, classes, n_iter = model.coef_[None], np.array([model.intercept_]), None, 1
        converged = True
    else:
        labels = target.classes[values]
        with warnings.catch_warnings():
            # The caller warns once for all attributes.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(C=C, class_weight=class_weight, max_iter=max_iter).fit(codes, labels)
        weights, intercepts, classes = model.coef_, model.intercept_, model.classes_
        n_iter = int(np.max(model.n_iter_))
        converged = n_iter < max_iter
    weights = weights.astype(np.float64) / std
    return LinearMap(weights, intercepts - weights @ mean, classes, n_iter, converged)


def named_table(columns: dict[Any, np.ndarray], Z: Any) -> pd.DataFrame:
    """Return a table; its index is that of the codes if they are a table."""
    return pd.DataFrame(columns, index=Z.index if isinstance(Z, pd.DataFrame) else None)


def join_columns(
    found: dict[Any, tuple[np.ndarray, np.ndarray]], form: str, Z: Any
) -> np.ndarray | list[np.ndarray] | pd.DataFrame:
    """Combine the predictions of several attributes; see `LinearProbe.predict_proba`."""
    if all(len(classes) == 2 for classes, _ in found.values()):
        columns = {name: values if values.ndim == 1 else values[:, 1] for name, (_, values) in found.items()}
        return named_table(columns, Z) if form == "table" else np.column_stack([*columns.values()])
    if form == "array":
        return [values for _, values in found.values()]
    expanded: dict[Any, np.ndarray] = {}
    for name, (classes, values) in found.items():
        if values.ndim == 1:
            expanded[name, classes[1]] = values
        else:
            expanded |= {(name, label): values[:, i] for i, label in enumerate(classes)}
    table = named_table(expanded, Z)
    table.columns = pd.MultiIndex.from_tuples(expanded, names=["attribute", "class"])
    return table
