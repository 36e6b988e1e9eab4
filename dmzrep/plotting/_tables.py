"""Checks of the tables that Displays draw, and labels of scores."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dmzrep._base._validation import check_choice, short_repr

#: Axis labels of scores.
SCORE_LABELS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "roc_auc": "AUROC",
    "average_precision": "Average precision",
    "r2": "R²",
    "pearson_r": "Pearson's r",
    "mean_squared_error": "Mean squared error",
}


def check_table(table: Any, needed: list[str], source: str, name: str) -> None:
    """Raise unless a value is a table with the needed columns."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"{name} must be a DataFrame returned by {source}, got {short_repr(table)}.")
    missing = [column for column in needed if column not in table]
    if missing:
        raise ValueError(f"{name} must be a DataFrame returned by {source}; it lacks the columns {missing}.")


def check_scores(table: Any, metric: str, needed: list[str], source: str, name: str) -> None:
    """Raise unless a value is a table with a score and the needed columns."""
    check_table(table, needed, source, name)
    check_choice("metric", metric, tuple(score for score in SCORE_LABELS if score in table))
