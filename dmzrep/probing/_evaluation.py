"""Fits and scores of single attributes and folds, run in parallel."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning
from tqdm.auto import tqdm

from dmzrep._base._validation import short_repr
from dmzrep._base._warnings import warn
from dmzrep.codes._labels import Target
from dmzrep.probing._linear_probe import LinearProbe
from dmzrep.probing._metrics import score_classes, score_values


@dataclass(frozen=True)
class Fold:
    """Positions of the samples to fit on, to score, and, in some protocols, for model selection."""

    train: np.ndarray
    test: np.ndarray
    validation: np.ndarray | None = None


@dataclass(frozen=True)
class Job:
    """One fit; `row` holds the columns of the table of scores that describe it."""

    Z: np.ndarray
    target: Target
    fold: Fold
    estimator: Any
    row: dict[str, Any]


def labelled_fold(target: Target, fold: Fold) -> Fold:
    """Return a fold without the samples whose label is unknown."""
    return Fold(fold.train[target.known[fold.train]], fold.test[target.known[fold.test]])


def class_probabilities(estimator: Any, Z: np.ndarray, n_classes: int) -> np.ndarray:
    """Return probabilities, or else decision scores, of all classes of an attribute.

    Classes that are missing in training get the lowest score.
    """
    if hasattr(estimator, "predict_proba"):
        found = np.asarray(estimator.predict_proba(Z))
    elif hasattr(estimator, "decision_function"):
        found = np.asarray(estimator.decision_function(Z))
        if found.ndim == 1:
            found = np.column_stack([-found, found])
    else:
        raise TypeError(
            f"{type(estimator).__name__} has neither predict_proba nor decision_function, which AUROC needs; "
            "pass another estimator."
        )
    scores = np.full((len(Z), n_classes), found.min() - 1.0 if found.min() < 0.0 else 0.0)
    scores[:, np.asarray(estimator.classes_, dtype=int)] = found
    return scores


def score_attribute(job: Job, metrics: Sequence[str]) -> dict[str, Any]:
    """Fit one attribute on a fold's training samples and score its test samples."""
    fold = labelled_fold(job.target, job.fold)
    caught: list[warnings.WarningMessage] = []
    can_fit = job.target.n_classes(fold.train) > 1 if job.target.is_class else len(fold.train) > 1
    predicted = None
    if can_fit and len(fold.test):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model = clone(job.estimator).fit(job.Z[fold.train], job.target.values[fold.train])
            if job.target.classes is not None:
                predicted = class_probabilities(model, job.Z[fold.test], len(job.target.classes))
            else:
                predicted = np.asarray(model.predict(job.Z[fold.test]))
    unconverged = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
    for other in (w for w in caught if w not in unconverged):
        warn(other.message)
    return {**score_fold(job, fold, predicted, metrics), "converged": not unconverged}


def score_fold(job: Job, fold: Fold, predicted: np.ndarray | None, metrics: Sequence[str]) -> dict[str, Any]:
    """Return the row of scores of a fold; `predicted` is None where the scores are undefined."""
    true, target = job.target.values[fold.test], job.target
    row = {**job.row, "n_train": len(fold.train), "n_test": len(fold.test), "chance": np.nan}
    score = score_classes if target.is_class else score_values
    if predicted is None:
        dummy = np.ones((1, 2)) if target.is_class else np.ones(1)
        scores = dict.fromkeys(score(np.zeros(1, int), dummy, metrics), np.nan)
    else:
        scores = score(true, predicted, metrics)
        if target.is_class:
            # Accuracy of always predicting the most frequent class of the training samples.
            row["chance"] = float(np.mean(true == np.bincount(target.values[fold.train]).argmax()))
    return {**row, **scores, "undefined": any(np.isnan(value) for value in scores.values())}


def run_jobs(jobs: Sequence[Job], metrics: Sequence[str], n_jobs: int | None, verbose: int) -> pd.DataFrame:
    """Run jobs in parallel by joblib; return a table with a row for each, in their order."""
    parallel = Parallel(n_jobs=n_jobs, return_as="generator")
    rows = parallel(delayed(score_attribute)(job, metrics) for job in jobs)
    return pd.DataFrame(list(tqdm(rows, total=len(jobs), desc="probes", unit="fit", disable=not verbose)))


def warn_of_failed_fits(scores: pd.DataFrame, remedy: str) -> None:
    """Warn once about undefined scores, and once about fits that did not converge."""
    undefined = scores.loc[scores["undefined"]]
    if len(undefined):
        first = undefined[undefined["representation"] == undefined["representation"].iloc[0]]
        counts = first["attribute"].value_counts()
        shown = ", ".join(f"{name!r} ({n})" for name, n in counts.head(8).items())
        shown += ", ..." if len(counts) > 8 else ""
        warn(
            f"Scores are undefined in {len(undefined)} of {len(scores)} fits, with a single class or value "
            "in training or test samples; they are NaN and excluded from means. Attributes, with the number "
            f"of such folds: {shown}. {remedy}",
            UndefinedMetricWarning,
        )
    n_unconverged = int((~scores["converged"]).sum())
    if n_unconverged:
        warn(f"{n_unconverged} of {len(scores)} fits did not converge within max_iter.", ConvergenceWarning)


def check_baselines(baselines: Any, name: str) -> dict[str, Any]:
    """Return baselines as a dict; raise if one has the name of the codes."""
    if baselines is None:
        return {}
    if not isinstance(baselines, Mapping):
        raise TypeError(f"baselines must be a dict of name and array, got {type(baselines).__name__}.")
    if name in baselines:
        raise ValueError(f"A baseline has the name of the codes, {name!r}; rename it, or pass name=.")
    return dict(baselines)


def estimator_for(target: Target, estimator: Any) -> Any:
    """Return the model of an attribute: `estimator`, or a linear probe of standardised codes."""
    task = "classification" if target.is_class else "regression"
    if estimator is None:
        return LinearProbe(task, scale=True)
    if not callable(getattr(estimator, "fit", None)) or isinstance(estimator, type):
        raise TypeError(f"estimator must be a scikit-learn estimator, or None, got {short_repr(estimator)}.")
    if isinstance(estimator, LinearProbe) and estimator.task == "auto":
        return clone(estimator).set_params(task=task)
    return estimator


def describe_target(target: Target, samples: np.ndarray | slice) -> dict[str, Any]:
    """Return the number of labels of some samples, and of positives where there are two classes."""
    known = target.known[samples]
    positives = int((target.values[samples][known] == 1).sum()) if target.kind == "binary" else None
    return {"attribute": target.name, "n_labels": int(known.sum()), "n_positive": positives}
