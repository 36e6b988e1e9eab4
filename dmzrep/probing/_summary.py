"""Means of scores: over folds for each attribute, and over attributes for each representation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dmzrep._base._validation import check_bool, short_repr
from dmzrep.probing._metrics import METRICS


def average_folds(
    scores: pd.DataFrame, *, by: Sequence[str] = ("attribute", "representation")
) -> pd.DataFrame:
    """Return means and population standard deviations of scores over folds, as in `probe_report`.

    Parameters
    ----------
    scores : DataFrame
        From `probe_scores`.
    by : sequence of str, default=("attribute", "representation")
        Columns to group by, "attribute" among them.

    Returns
    -------
    DataFrame
        A row for each attribute and representation.

    See Also
    --------
    probe_summary : Averages over attributes too.
    """
    keys = _keys(scores, by)
    if "attribute" not in keys:
        raise ValueError(
            f"by must include 'attribute', got {by}. Use probe_summary for means over attributes."
        )
    # By attribute, so that its representations are next to each other.
    order = pd.Categorical(scores["attribute"], categories=scores["attribute"].unique())
    groups = scores.iloc[np.argsort(order.codes, kind="stable")].groupby(keys, sort=False)
    table = groups[["n_labels", "n_positive"]].first()
    table["chance"] = groups["chance"].mean()
    for metric in (column for column in scores if column in METRICS):
        table[metric] = groups[metric].mean()
        table[f"{metric}_std"] = fold_std(groups[metric])
    table["n_folds"] = groups.size()
    table["n_undefined"] = groups["undefined"].sum()
    return table.reset_index()


def probe_summary(
    scores: pd.DataFrame, *, by: str | list[str] = "representation", as_text: bool = False
) -> pd.DataFrame:
    """Average scores over attributes in each fold, then over folds, as in the literature.

    Parameters
    ----------
    scores : DataFrame
        From `probe_scores`.
    by : str or list of str, default="representation"
        Columns to group by.
    as_text : bool, default=False
        Whether to return percentages as text, ``"84.8 ± 0.3"``, instead of floats.

    Returns
    -------
    DataFrame
        A row for each representation: "n_attributes", "n_folds", "n_undefined" (excluded fits), and
        each score's mean and population standard deviation over folds (NaN where there is one fold).

    See Also
    --------
    average_folds : Averages over folds alone.
    probe_scores : The scores.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.probing import probe_scores, probe_summary
    >>> Z = np.random.default_rng(0).random((60, 4))
    >>> scores = probe_scores(Z, Z > 0.5, cv=3, scoring="roc_auc")
    >>> probe_summary(scores)[["representation", "n_attributes", "n_folds"]].values.tolist()
    [['codes', 4, 3]]
    """
    keys, as_text = _keys(scores, by), check_bool(as_text, "as_text")
    groups = scores.groupby(keys, sort=False)
    table = pd.DataFrame({"n_attributes": groups["attribute"].nunique(), "n_folds": groups["fold"].nunique()})
    table["n_undefined"] = groups["undefined"].sum()
    for metric in (column for column in scores if column in METRICS):
        folds = scores.groupby([*keys, "fold"], sort=False)[metric].mean().groupby(keys, sort=False)
        mean, std = folds.mean(), fold_std(folds)
        if as_text:
            texts = [
                f"{100 * m:.1f}" + ("" if np.isnan(s) else f" ± {100 * s:.1f}")
                for m, s in zip(mean, std, strict=True)
            ]
            table[metric] = pd.Series(texts, index=mean.index)
        else:
            table[metric], table[f"{metric}_std"] = mean, std
    return table.reset_index()


def _keys(scores: Any, by: Any) -> list[str]:
    """Return the columns to group by; raise unless `scores` is a table of scores that has them."""
    if not isinstance(scores, pd.DataFrame):
        raise TypeError(f"scores must be a table from probe_scores, got {type(scores).__name__}.")
    missing = [name for name in ("representation", "attribute", "fold", "undefined") if name not in scores]
    if missing:
        raise ValueError(f"scores must be a table from probe_scores; it lacks the columns {missing}.")
    keys = [by] if isinstance(by, str) else by
    columns = scores.columns.tolist()
    if not isinstance(keys, (list, tuple)) or not keys or not all(key in columns for key in keys):
        raise ValueError(f"by must name columns of scores, some of {columns}, got {short_repr(by)}.")
    return list(keys)


def fold_std(groups: Any) -> pd.Series:
    """Return the population standard deviation of each group; NaN where it has a single value."""
    return groups.std(ddof=0).where(groups.count() > 1)
