"""Scores of probes that see a part of the labels only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dmzrep._base._random import draw_seed, image_seeds
from dmzrep._base._validation import (
    as_array,
    check_bool,
    check_int,
    short_repr,
)
from dmzrep.codes._labels import read_labels
from dmzrep.probing._evaluation import (
    Fold,
    Job,
    check_baselines,
    check_codes,
    describe_target,
    estimator_for,
    run_jobs,
    warn_of_gaps,
)
from dmzrep.probing._metrics import check_metrics
from dmzrep.probing._scores import require_two_classes_somewhere
from dmzrep.probing._summary import average_folds, probe_summary


def label_efficiency(
    Z_train: Any,
    Y_train: Any,
    Z_test: Any,
    Y_test: Any,
    *,
    fractions: Sequence[float] = (0.01, 0.1, 1.0),
    n_repeats: int = 5,
    scoring: str | Iterable[str] | None = None,
    baselines: Mapping[str, tuple[Any, Any]] | None = None,
    estimator: Any = None,
    task: str = "auto",
    name: str = "codes",
    by_attribute: bool = False,
    random_state: int | np.random.RandomState | None = 0,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Score probes that are fitted on few labels.

    A repeat shuffles the training rows once and takes the first of them for each fraction, so that
    fewer rows are a part of more, and every representation gets the same rows.

    Parameters
    ----------
    Z_train, Z_test : array-like of shape (n, latent_dim)
        Codes.
    Y_train, Y_test : array-like of shape (n,) or (n, n_attributes), Series or DataFrame
        Classes or values; NaN where not known.
    fractions : sequence of float or int, default=(0.01, 0.1, 1.0)
        Shares of the training rows in (0, 1] as floats, or numbers of rows as integers.
    n_repeats : int, default=5
        Draws of rows. All rows are drawn once.
    scoring : str, sequence of str or None, default=None
        As in `probe_report`.
    baselines : dict of str and (train, test), optional
        Other representations of the same rows.
    estimator : scikit-learn estimator, optional
        As in `probe_report`.
    task : {"auto", "classification", "regression"}, default="auto"
        As in `LinearProbe`.
    name : str, default="codes"
        What to call the codes in the table.
    by_attribute : bool, default=False
        Give a row for each attribute instead of their mean.
    random_state : int, RandomState or None, default=0
        Decides which rows are drawn.
    n_jobs : int or None, default=None
        Fits at the same time, through joblib.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    DataFrame
        A row for each representation and fraction (and attribute): "representation", "fraction",
        "n_train" (rows drawn), each score's mean and, as for example "roc_auc_std", its population
        standard deviation over repeats (NaN for a single one), "n_repeats", and "n_undefined", fits left
        out because the rows drawn show one class only.

    Raises
    ------
    ValueError
        Arrays of different lengths or widths, other attributes in the test labels, a fraction out of
        range.
    TypeError
        The estimator cannot be fitted, or scores, baselines or a name are of another type.

    Warns
    -----
    UndefinedMetricWarning
        Some draws show one class only.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.probing import label_efficiency
    >>> Z = np.random.default_rng(0).random((300, 8))
    >>> y = Z[:, 0] > 0.5
    >>> curve = label_efficiency(Z[:200], y[:200], Z[200:], y[200:], fractions=(0.1, 1.0), scoring="roc_auc")
    >>> curve["n_train"].tolist()
    [20, 200]
    >>> bool(curve["roc_auc"].is_monotonic_increasing)
    True
    """
    train, test = check_codes(Z_train, None, "Z_train"), check_codes(Z_test, None, "Z_test")
    others = check_baselines(baselines, name)
    pairs = {name: (train, test)}
    for other, pair in others.items():
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ValueError(f"baselines[{other!r}] must be a pair of arrays, (train, test).")
        pairs[other] = (
            check_codes(pair[0], len(train), f"baselines[{other!r}][0]"),
            check_codes(pair[1], len(test), f"baselines[{other!r}][1]"),
        )
    representations = {}
    for key, (one, two) in pairs.items():
        if one.shape[1] != two.shape[1]:
            raise ValueError(
                f"Training rows of {key!r} have {one.shape[1]} columns, but test rows have {two.shape[1]}."
            )
        representations[key] = np.concatenate([one, two])
    labels = read_labels(_joined(Y_train, Y_test, len(train), len(test)), len(train) + len(test), task)
    metrics = check_metrics(scoring, labels)
    require_two_classes_somewhere(labels)
    by_attribute = check_bool(by_attribute, "by_attribute")
    n_repeats = check_int(n_repeats, "n_repeats")
    draws = _draws(fractions, len(train), n_repeats, random_state)
    test_rows = np.arange(len(train), labels.n_rows)
    jobs = [
        Job(
            Z,
            target,
            Fold(rows, test_rows),
            estimator_for(target, estimator),
            {
                "representation": key,
                "fraction": fraction,
                "n_drawn": len(rows),
                **describe_target(target, slice(len(train))),
                "fold": repeat,
            },
        )
        for key, Z in representations.items()
        for fraction, repeat, rows in draws
        for target in labels.targets
    ]
    scores = run_jobs(jobs, metrics, n_jobs, verbose)
    warn_of_gaps(scores, "Use larger fractions, or more rows.")
    keys = ["representation", "fraction", "n_drawn"]
    if by_attribute:
        table = average_folds(scores, by=["attribute", *keys]).drop(
            columns=["n_labels", "n_positive", "chance"]
        )
    else:
        table = probe_summary(scores, by=keys)
    return table.rename(columns={"n_folds": "n_repeats", "n_drawn": "n_train"})


def _joined(Y_train: Any, Y_test: Any, n_train: int, n_test: int) -> Any:
    """Labels of training and test rows under each other, so that both are read alike."""
    for labels, n_rows, argument in ((Y_train, n_train, "train"), (Y_test, n_test, "test")):
        shape = (
            np.shape(labels) if hasattr(labels, "shape") or not hasattr(labels, "__len__") else (len(labels),)
        )
        if shape[:1] != (n_rows,):
            found = shape[0] if shape else short_repr(labels)
            raise ValueError(
                f"Y_{argument} must have a row for each of {n_rows} rows of Z_{argument}, got {found}."
            )
    if isinstance(Y_train, pd.DataFrame) or isinstance(Y_test, pd.DataFrame):
        columns = [list(Y.columns) if isinstance(Y, pd.DataFrame) else None for Y in (Y_train, Y_test)]
        if columns[0] != columns[1]:
            raise ValueError("Y_train and Y_test must be DataFrames with the same columns in the same order.")
        return pd.concat([Y_train, Y_test], ignore_index=True)
    if isinstance(Y_train, pd.Series):
        return pd.concat([Y_train, pd.Series(Y_test, name=Y_train.name)], ignore_index=True)
    one, two = as_array(Y_train, "Y_train"), as_array(Y_test, "Y_test")
    for array, labels, argument in ((one, Y_train, "train"), (two, Y_test, "test")):
        if array.ndim == 0:  # A word has a length, and so has a set.
            raise ValueError(f"Y_{argument} must be labels, one for each row, got {short_repr(labels)}.")
    if one.shape[1:] != two.shape[1:]:
        raise ValueError(
            f"Y_train and Y_test must have the same attributes, got {one.shape} and {two.shape}."
        )
    return np.concatenate([one, two])


def _draws(
    fractions: Sequence[float], n_samples: int, n_repeats: int, random_state: Any
) -> list[tuple[Any, int, np.ndarray]]:
    """Samples of each fraction and repeat."""
    if not isinstance(fractions, (Sequence, np.ndarray)) or np.ndim(fractions) != 1 or not len(fractions):
        raise ValueError(
            f"fractions must be a sequence such as (0.01, 0.1, 1.0), got {short_repr(fractions)}."
        )
    counts: dict[float, int] = {}
    for fraction in fractions:
        whole = isinstance(fraction, (int, np.integer))
        if not (2 <= fraction <= n_samples if whole else 0.0 < fraction <= 1.0):
            raise ValueError(
                f"fractions must be floats in (0, 1], or integers from 2 to the number of training samples, "
                f"{n_samples}; got {short_repr(fraction)}."
            )
        counts[fraction] = int(fraction) if whole else max(2, round(fraction * n_samples))
    seeds = image_seeds(draw_seed(random_state), n_repeats)
    orders = [np.random.default_rng(seed).permutation(n_samples) for seed in seeds]
    return [
        (fraction, repeat, np.sort(orders[repeat][:count]))
        for fraction, count in counts.items()
        for repeat in range(1 if count == n_samples else n_repeats)
    ]
