"""Scores of probes that are fitted on few labels."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dmzrep._base._isolation import isolated
from dmzrep._base._random import draw_seed, image_seeds
from dmzrep._base._validation import check_bool, check_int, is_finite, is_int, short_repr
from dmzrep.codes._checks import check_codes
from dmzrep.codes._labels import label_table, read_labels
from dmzrep.probing._evaluation import (
    Fold,
    Job,
    check_baselines,
    describe_target,
    estimator_for,
    run_jobs,
    warn_of_failed_fits,
)
from dmzrep.probing._metrics import check_metrics
from dmzrep.probing._scores import check_some_attribute_varies
from dmzrep.probing._summary import average_folds, probe_summary


@isolated
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
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Score probes that are fitted on few labels.

    Each repeat shuffles the training samples once and takes the first ones for each fraction, so smaller
    fractions are nested in larger ones. All representations share the samples.

    Parameters
    ----------
    Z_train : array-like of shape (n_train, latent_dim)
        Codes.
    Y_train : array-like of shape (n_train,) or (n_train, n_attributes), Series or DataFrame
        Classes or values; NaN where unknown.
    Z_test : array-like of shape (n_test, latent_dim)
        Codes of the test samples.
    Y_test : array-like, Series or DataFrame
        Classes or values of the test samples.
    fractions : sequence of float or int, default=(0.01, 0.1, 1.0)
        Fractions of the training samples in (0, 1] as floats, or numbers of samples as integers.
    n_repeats : int, default=5
        Number of draws per fraction; one if a fraction is all samples.
    scoring : str, iterable of str or None, default=None
        As in `probe_report`.
    baselines : dict of str and (train, test), optional
        Other representations of the same samples.
    estimator, task, name
        As in `probe_report`.
    by_attribute : bool, default=False
        Whether to return a row for each attribute instead of their mean.
    random_state : int, RandomState or None, default=None
        Controls which samples are drawn. Pass an int for reproducible output.
    n_jobs, verbose
        As in `probe_report`.

    Returns
    -------
    DataFrame
        A row for each representation and fraction (and attribute): "representation", "fraction",
        "n_train" (samples drawn), each score's mean and, as for example "roc_auc_std", its population
        standard deviation over repeats (NaN for a single one), "n_repeats", and "n_undefined", fits
        excluded because the samples drawn have a single class.

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
        Some draws have a single class.

    See Also
    --------
    probe_report : All labels.
    dmzrep.plotting.LabelEfficiencyDisplay : The scores as a figure.

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
    train, test = check_codes(Z_train, "Z_train", "numbers"), check_codes(Z_test, "Z_test", "numbers")
    pairs = {name: (train, test)} | check_baselines(baselines, name)
    representations = {}
    for key, pair in pairs.items():
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ValueError(f"baselines[{key!r}] must be a pair of arrays, (train, test).")
        parts = [
            check_codes(pair[i], f"baselines[{key!r}][{i}]", "numbers", n_samples=n)
            for i, n in enumerate((len(train), len(test)))
        ]
        if parts[0].shape[1] != parts[1].shape[1]:
            raise ValueError(
                f"Training samples of {key!r} have {parts[0].shape[1]} columns, but test samples have "
                f"{parts[1].shape[1]}."
            )
        representations[key] = np.concatenate(parts)
    labels = read_labels(_joined(Y_train, Y_test, len(train), len(test)), len(train) + len(test), task)
    metrics = check_metrics(scoring, labels)
    check_some_attribute_varies(labels)
    by_attribute = check_bool(by_attribute, "by_attribute")
    n_repeats = check_int(n_repeats, "n_repeats")
    draws = _draws(fractions, len(train), n_repeats, random_state)
    test_samples = np.arange(len(train), labels.n_samples)
    jobs = [
        Job(
            Z,
            target,
            Fold(samples, test_samples),
            estimator_for(target, estimator),
            {
                "representation": key,
                "fraction": fraction,
                "n_drawn": len(samples),
                **describe_target(target, slice(len(train))),
                "fold": repeat,
            },
        )
        for key, Z in representations.items()
        for fraction, repeat, samples in draws
        for target in labels.targets
    ]
    scores = run_jobs(jobs, metrics, n_jobs, verbose)
    warn_of_failed_fits(scores, "Use larger fractions, or more samples.")
    keys = ["representation", "fraction", "n_drawn"]
    if by_attribute:
        table = average_folds(scores, by=["attribute", *keys]).drop(
            columns=["n_labels", "n_positive", "chance"]
        )
    else:
        table = probe_summary(scores, by=keys)
    return table.rename(columns={"n_folds": "n_repeats", "n_drawn": "n_train"})


def _joined(Y_train: Any, Y_test: Any, n_train: int, n_test: int) -> pd.DataFrame:
    """Return labels of training and test samples as one table, so that both have the same classes."""
    train, form = label_table(Y_train, n_train, "Y_train")
    test, test_form = label_table(Y_test, n_test, "Y_test")
    if form == test_form == "vector":
        test.columns = train.columns
    if list(train.columns) != list(test.columns):
        raise ValueError(
            "Y_train and Y_test must have the same attributes in the same order, got "
            f"{list(train.columns)[:10]} and {list(test.columns)[:10]}."
        )
    return pd.concat([train, test], ignore_index=True)


def _draws(
    fractions: Any, n_samples: int, n_repeats: int, random_state: Any
) -> list[tuple[Any, int, np.ndarray]]:
    """Return the samples of each fraction and repeat."""
    if not isinstance(fractions, (Sequence, np.ndarray)) or np.ndim(fractions) != 1 or not len(fractions):
        raise ValueError(
            f"fractions must be a sequence such as (0.01, 0.1, 1.0), got {short_repr(fractions)}."
        )
    counts: dict[float, int] = {}
    for fraction in fractions:
        whole = is_int(fraction)
        if not is_finite(fraction) or not (2 <= fraction <= n_samples if whole else 0.0 < fraction <= 1.0):
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
