"""Scores of linear probes, for each fit or averaged over folds."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from tqdm.auto import tqdm

from dmzrep._base._isolation import isolated
from dmzrep._base._random import draw_seed
from dmzrep.codes._checks import check_codes
from dmzrep.codes._labels import Labels, read_labels
from dmzrep.probing._evaluation import (
    Fold,
    Job,
    check_baselines,
    describe_target,
    estimator_for,
    labelled_fold,
    run_jobs,
    score_fold,
    warn_of_failed_fits,
)
from dmzrep.probing._joint_layer import joint_layer_scores
from dmzrep.probing._metrics import check_metrics
from dmzrep.probing._protocols import (
    Protocol,
    attribute_folds,
    check_protocol,
    pooled_folds,
    read_folds,
    read_split,
)
from dmzrep.probing._summary import average_folds

#: Remedy for folds with one class.
REMEDY = "Use more samples or fewer folds; with an integer as cv, and no protocol, folds are stratified."


@isolated
def probe_report(
    Z: Any,
    Y: Any,
    *,
    cv: Any = 5,
    scoring: str | Iterable[str] | None = None,
    baselines: Mapping[str, Any] | None = None,
    protocol: str | None = None,
    split: Any = None,
    estimator: Any = None,
    task: str = "auto",
    name: str = "codes",
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Report how well attributes are predicted from codes, compared with baselines.

    Parameters
    ----------
    Z : array-like of shape (n, latent_dim)
        Codes: bits, probabilities, logits or any numbers.
    Y : array-like of shape (n,) or (n, n_attributes), Series or DataFrame
        Classes or values; NaN where unknown, and such samples are ignored for that attribute.
    cv : int, splitter or list of (train, test), default=5
        Folds. An integer is the number of shuffled folds of each attribute's labelled samples, stratified by
        class. A list holds sample indices, the same for every attribute.
    scoring : str, sequence of str or None, default=None
        For classes "accuracy", "balanced_accuracy", "roc_auc", "average_precision"; for values "r2",
        "pearson_r", "mean_squared_error". None is all that apply. With more than two classes AUROC and
        average precision are means over classes, each against the rest.
    baselines : dict of str and array-like of shape (n, columns), optional
        Other representations of the same samples, such as raw pixels.
    protocol : {"dmz", "infodiffusion", "diti", "holdout"} or None, default=None
        Protocol of a paper; see Notes. It fixes the folds and, except for "holdout", the estimator.
    split : array-like of shape (n,) of {"train", "validation", "test"}, optional
        Part of each sample, for "holdout" and "diti".
    estimator : scikit-learn estimator, optional
        Cloned and fitted for each attribute; classes are passed as 0, 1, ... None is
        ``LinearProbe(scale=True)``.
    task : {"auto", "classification", "regression"}, default="auto"
        As in `LinearProbe`.
    name : str, default="codes"
        Name of Z in the table.
    random_state : int, RandomState or None, default=None
        Controls the folds if `cv` is an integer, and the training of "diti". Pass an int for reproducible
        output. All representations share the folds.
    n_jobs : int or None, default=None
        Number of parallel fits, as in joblib.
    verbose : int, default=0
        Whether to show a progress bar.

    Returns
    -------
    DataFrame
        A row for each attribute and representation: "attribute", "representation", "n_labels",
        "n_positive" (NA unless there are two classes), "chance" (accuracy of always predicting the
        most frequent class in training; that of AUROC is 0.5, that of average precision the fraction of
        positives), each score's mean over folds and, as for example "roc_auc_std", its population
        standard deviation (NaN where there is one fold), "n_folds", and "n_undefined", the folds excluded
        because they have a single class.

    Raises
    ------
    ValueError
        Arrays of different lengths, labels with a single class throughout, unknown names, a split or
        folds that do not suit the protocol.
    TypeError
        The estimator cannot be fitted, or scores, baselines or a name are of another type.

    Warns
    -----
    UndefinedMetricWarning
        Some folds have a single class.
    ConvergenceWarning
        Some fits did not converge; the 100 iterations of the protocols may be too few.

    See Also
    --------
    LinearProbe : The probe.
    label_efficiency : Few labels.
    dmzrep.plotting.ProbeDisplay : The report as a figure.

    Notes
    -----
    "dmz": all samples, five shuffled folds (seed 0), logistic regression with scikit-learn's defaults on
    unscaled codes. Test folds may contain samples that the encoder was trained on.
    "infodiffusion": the same with the first 10,000 samples and codes standardised on the training fold.
    "diti": one linear layer for all attributes (which must have two classes), binary cross-entropy, Adam
    (1e-3), batches of 128, 15 epochs, the epoch with the best macro average precision on validation samples,
    scores of test samples. Without the authors' mirrored images.
    "holdout": fitted on training samples, scored on test samples; the encoder must not have been trained on
    these.
    Samples marked "validation" are not used.

    References
    ----------
    M. Proszewska and others, arXiv 2506.00136, 2025. Y. Wang and others, "InfoDiffusion", arXiv
    2306.08757, 2023. Z. Yue and others, arXiv 2401.11430, 2024.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from dmzrep.probing import probe_report
    >>> random = np.random.default_rng(0)
    >>> Z = random.random((120, 8))
    >>> Y = pd.DataFrame({"hat": Z[:, 0] > 0.5, "beard": Z[:, 1] > 0.9})
    >>> report = probe_report(Z, Y, cv=3, baselines={"noise": random.random((120, 8))}, random_state=0)
    >>> report[["attribute", "representation", "n_positive"]].values.tolist()
    [['hat', 'codes', 66], ['hat', 'noise', 66], ['beard', 'codes', 11], ['beard', 'noise', 11]]
    >>> bool(report["roc_auc"][0] > 0.95)
    True
    """
    options = {"cv": cv, "scoring": scoring, "baselines": baselines, "protocol": protocol, "split": split}
    options |= {"estimator": estimator, "task": task, "name": name, "random_state": random_state}
    return average_folds(probe_scores(Z, Y, n_jobs=n_jobs, verbose=verbose, **options))


@isolated
def probe_scores(
    Z: Any,
    Y: Any,
    *,
    cv: Any = 5,
    scoring: str | Iterable[str] | None = None,
    baselines: Mapping[str, Any] | None = None,
    protocol: str | None = None,
    split: Any = None,
    estimator: Any = None,
    task: str = "auto",
    name: str = "codes",
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Fit linear probes and return the scores of every fit.

    Parameters
    ----------
    Z : array-like of shape (n, latent_dim)
        Codes.
    Y : array-like of shape (n,) or (n, n_attributes), Series or DataFrame
        Classes or values; NaN where unknown.
    cv, scoring, baselines, protocol, split, estimator, task, name, random_state, n_jobs, verbose
        As in `probe_report`.

    Returns
    -------
    DataFrame
        A row for each representation, attribute and fold: "representation", "attribute", "n_labels",
        "n_positive", "fold", "n_train", "n_test", "chance" (accuracy of always predicting the
        most frequent class of the training samples), a column for each score, "undefined" (a score is NaN
        because samples have a single class), "converged".

    See Also
    --------
    probe_report : Means and standard deviations over folds.
    probe_summary : Means over attributes.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.probing import probe_scores
    >>> Z = np.random.default_rng(0).random((60, 4))
    >>> scores = probe_scores(Z, Z[:, 0] > 0.5, cv=3, scoring="accuracy")
    >>> scores[["fold", "n_train", "n_test"]].values.tolist()
    [[0, 40, 20], [1, 40, 20], [2, 40, 20]]
    """
    codes, others = check_codes(Z, kind="numbers"), check_baselines(baselines, name)
    representations = {name: codes} | {
        other: check_codes(array, f"baselines[{other!r}]", "numbers", n_samples=len(codes))
        for other, array in others.items()
    }
    labels = read_labels(Y, len(codes), task)
    metrics = check_metrics(scoring, labels)
    check_some_attribute_varies(labels)
    plan = check_protocol(protocol, labels, cv, split, estimator)
    marked = read_split(split, plan, len(codes)) if plan.needs else None
    if plan.joint:
        table = _joint_scores(representations, labels, marked, metrics, random_state, verbose)
    else:
        jobs = _jobs(representations, labels, plan, cv, marked, estimator, random_state)
        table = run_jobs(jobs, metrics, n_jobs, verbose)
    table["n_positive"] = table["n_positive"].astype("Int64")
    warn_of_failed_fits(table, REMEDY)
    return table


def check_some_attribute_varies(labels: Labels) -> None:
    """Raise if every attribute has a single class."""
    if all(target.kind == "binary" and target.n_classes() < 2 for target in labels.targets):
        raise ValueError("Y has a single class in every attribute; a probe needs at least two.")


def _jobs(
    representations: dict[str, np.ndarray],
    labels: Labels,
    plan: Protocol,
    cv: Any,
    marked: Fold | None,
    estimator: Any,
    random_state: Any,
) -> list[Job]:
    """Return the fits of all representations, attributes and folds."""
    n_used = min(labels.n_samples, plan.n_samples or labels.n_samples)
    samples: np.ndarray | slice = slice(n_used)
    if marked is not None:
        folds, samples = [[marked]] * len(labels.targets), np.concatenate([marked.train, marked.test])
    elif plan.pooled:
        folds = [pooled_folds(n_used)] * len(labels.targets)
    else:
        cv, seed = read_folds(cv, labels.n_samples), draw_seed(random_state) % 2**32
        folds = [attribute_folds(cv, target, seed) for target in labels.targets]
    jobs = []
    for name, Z in representations.items():
        for target, parts in zip(labels.targets, folds, strict=True):
            model = estimator_for(target, estimator) if plan.estimator is None else plan.estimator()
            about = {"representation": name, **describe_target(target, samples)}
            jobs += [Job(Z, target, fold, model, {**about, "fold": i}) for i, fold in enumerate(parts)]
    return jobs


def _joint_scores(
    representations: dict[str, np.ndarray],
    labels: Labels,
    split: Any,
    metrics: tuple[str, ...],
    random_state: Any,
    verbose: int,
) -> pd.DataFrame:
    """Return the scores of one layer for all attributes, for each representation."""
    Y = np.column_stack([np.where(t.known, t.values, np.nan) for t in labels.targets])
    samples = np.concatenate([split.train, split.validation, split.test])
    seed, table = draw_seed(random_state), []
    for name, Z in tqdm(representations.items(), desc="layers", disable=not verbose):
        logits = joint_layer_scores(Z, Y, split.train, split.validation, random_state=seed)
        for position, target in enumerate(labels.targets):
            about = {"representation": name, **describe_target(target, samples), "fold": 0}
            fold = labelled_fold(target, split)
            positive = expit(logits[fold.test, position])
            both = np.column_stack([1.0 - positive, positive]) if target.n_classes(fold.train) > 1 else None
            row = score_fold(Job(Z, target, fold, None, about), fold, both, metrics)
            table.append({**row, "converged": True})
    return pd.DataFrame(table)
