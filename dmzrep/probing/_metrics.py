"""Metrics of the predictions of one attribute."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from dmzrep._base._validation import check_choice, short_repr
from dmzrep.codes._labels import Labels

#: Metrics of classes and of continuous values.
CLASS_METRICS = ("accuracy", "balanced_accuracy", "roc_auc", "average_precision")
VALUE_METRICS = ("r2", "pearson_r", "mean_squared_error")
METRICS = CLASS_METRICS + VALUE_METRICS


def check_metrics(scoring: str | Iterable[str] | None, labels: Labels) -> tuple[str, ...]:
    """Return the names of the metrics to compute; None is all that apply to the labels."""
    kinds = {target.is_class for target in labels.targets}
    applicable = (CLASS_METRICS if True in kinds else ()) + (VALUE_METRICS if False in kinds else ())
    if scoring is None:
        return applicable
    if not isinstance(scoring, Iterable):
        raise TypeError(f"scoring must be one or more of {METRICS}, or None, got {short_repr(scoring)}.")
    names = (scoring,) if isinstance(scoring, str) else tuple(scoring)
    for name in names:
        check_choice("scoring", name, METRICS)
        if name not in applicable:
            found = "continuous values" if name in CLASS_METRICS else "classes"
            raise ValueError(
                f"scoring={name!r} does not apply to labels that are all {found}; choose from {applicable}."
            )
    return names


def score_classes(true: np.ndarray, probabilities: np.ndarray, metrics: Sequence[str]) -> dict[str, float]:
    """Score predicted classes; NaN where the metric needs more classes than occur."""
    predicted = probabilities.argmax(axis=1)
    present = np.unique(true)
    ranked = [1] if probabilities.shape[1] == 2 else present.tolist()
    scores: dict[str, float] = {}
    for name in metrics:
        if name not in CLASS_METRICS:
            continue
        if name == "accuracy":
            scores[name] = float(np.mean(predicted == true))
        elif len(present) < 2:
            scores[name] = np.nan
        elif name == "balanced_accuracy":
            scores[name] = float(np.mean([np.mean(predicted[true == label] == label) for label in present]))
        else:
            rank = roc_auc_score if name == "roc_auc" else average_precision_score
            scores[name] = float(np.mean([rank(true == label, probabilities[:, label]) for label in ranked]))
    return scores


def score_values(true: np.ndarray, predicted: np.ndarray, metrics: Sequence[str]) -> dict[str, float]:
    """Score predicted values; NaN where all true values are equal and the metric needs variance."""
    error = float(np.square(true - predicted).mean())
    known: dict[str, Any] = {"mean_squared_error": error, "r2": np.nan, "pearson_r": np.nan}
    if true.std() > 0.0:
        known["r2"] = 1.0 - error / float(true.var())
        if predicted.std() > 0.0:
            known["pearson_r"] = float(np.corrcoef(true, predicted)[0, 1].round(12))
    return {name: known[name] for name in metrics if name in VALUE_METRICS}
