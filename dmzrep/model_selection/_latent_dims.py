"""Comparison of code lengths."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_memory
from tqdm.auto import tqdm

from dmzrep._base._random import draw_seed
from dmzrep._base._validation import (
    as_array,
    as_path,
    check_choice,
    check_int,
    check_number,
)
from dmzrep.codes._labels import Labels, read_labels
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.metrics._reconstruction import squared_errors
from dmzrep.probing import probe_report
from dmzrep.probing._metrics import METRICS, check_metrics

#: Columns that are better when smaller; scores of probes are better when larger.
_SMALLER = ("bits_per_dim", "reconstruction_error", "latent_dim", "code_bits", "seconds")


def latent_dim_report(
    X: Any,
    Y: Any = None,
    *,
    latent_dims: Sequence[int] = (8, 16, 32, 64, 128, 256),
    encoder: DMZEncoder | None = None,
    max_time: float | None = None,
    scoring: str = "auto",
    objectives: Sequence[str] | None = None,
    test_size: float = 0.2,
    max_samples: int = 1000,
    memory: str | joblib.Memory | None = None,
    random_state: int | np.random.RandomState | None = 0,
    verbose: int = 0,
) -> pd.DataFrame:
    """Train an encoder for each code length, and compare them on held-out samples.

    Longer codes improve probes and reconstructions; shorter ones are cheaper to store, to search and to
    model. The Pareto column marks lengths that no other one beats in all objectives.

    Parameters
    ----------
    X : ndarray
        Images or vectors, as `DMZEncoder.fit` takes them.
    Y : array-like of shape (n,) or (n, n_attributes), Series or DataFrame, optional
        Classes, attributes or values for a linear probe; NaN where unknown. Without them the report has
        no score of a probe.
    latent_dims : sequence of int, default=(8, 16, 32, 64, 128, 256)
        Lengths of codes.
    encoder : DMZEncoder or None, default=None
        Parameters other than `latent_dim`; it is cloned. None is ``DMZEncoder()``.
    max_time : float or None, default=None
        Seconds of training for each; None uses that of `encoder`.
    scoring : str, default="auto"
        Score of the probe, as in `probe_report`. ``"auto"`` is "roc_auc" where all labels have two
        classes, "accuracy" for other classes, else "r2". Scores are averaged over attributes.
    objectives : sequence of str or None, default=None
        Columns for the Pareto flag. None is the score of the probe and "bits_per_dim", or without Y
        "reconstruction_error" and "latent_dim".
    test_size : float, default=0.2
        Fraction of held-out samples.
    max_samples : int, default=1000
        Most held-out samples for the bound and the reconstructions.
    memory : path-like, joblib.Memory or None, default=None
        Cache of finished lengths, by parameters and data: a call that was interrupted continues from there
        when it is repeated.
    random_state : int, RandomState or None, default=0
        Controls the split, the seeds of the encoders where `encoder` has none, and the noise.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    DataFrame
        One line per length with the columns

        latent_dim : bits of a code
        score of the probe : such as "roc_auc", on held-out samples, from bits (0 or 1)
        bits_per_dim : variational bound of held-out samples, minus `DMZEncoder.score`
        code_bits : sum of the entropies of the bits
        reconstruction_error : mean squared error of held-out samples decoded from their bits and random
            noise, pixels from -1 to 1 (standardised, for vectors)
        seconds : of training
        pareto : whether no other length is better in one objective and as good in the others

    Raises
    ------
    ValueError
        Lengths, objectives, labels or another parameter are out of their range.
    TypeError
        `encoder` is not a DMZEncoder, or `memory` not a path.

    Examples
    --------
    >>> from dmzrep import DMZEncoder
    >>> from dmzrep.datasets import make_sprites
    >>> from dmzrep.model_selection import latent_dim_report
    >>> X, Y = make_sprites(2000, return_X_y=True, random_state=0)
    >>> latent_dim_report(X, Y, latent_dims=(8, 32), max_time=60)  # doctest: +SKIP
    """
    lengths = _check_lengths(latent_dims)
    encoder = DMZEncoder() if encoder is None else encoder
    if not isinstance(encoder, DMZEncoder):
        raise TypeError(f"encoder must be a DMZEncoder, got a {type(encoder).__name__}.")
    test_size = check_number(test_size, "test_size", 0, 1)
    max_samples = check_int(max_samples, "max_samples")
    check_choice("scoring", scoring, ("auto", *METRICS))
    silent = not verbose
    X = as_array(X, "X")
    score = None
    if Y is not None:  # Checked before anything is trained.
        labels = read_labels(Y, len(X))
        score = _score_name(labels) if scoring == "auto" else scoring
        check_metrics(score, labels)
    wanted = _check_objectives(objectives, score)
    seed = draw_seed(random_state) % 2**31
    parts = train_test_split(np.arange(len(X)), test_size=test_size, random_state=seed)
    if isinstance(memory, (str, os.PathLike)):
        memory = os.fspath(as_path(memory, "memory"))
    compare = check_memory(memory).cache(_evaluate)
    lines = []
    for latent_dim in tqdm(lengths, desc="code lengths", disable=silent):
        one = clone(encoder).set_params(latent_dim=latent_dim)
        if max_time is not None:
            one.set_params(max_time=max_time)
        if one.random_state is None:
            one.set_params(random_state=seed)
        lines.append({"latent_dim": latent_dim} | compare(one, X, Y, score, *parts, max_samples, seed))
    table = pd.DataFrame(lines)
    table["pareto"] = _undominated(table, wanted)
    return table


def _check_lengths(latent_dims: Sequence[int]) -> list[int]:
    lengths = np.atleast_1d(as_array(latent_dims, "latent_dims"))
    if not len(lengths) or lengths.dtype.kind not in "iu" or lengths.min() < 1:
        raise ValueError(f"latent_dims must be integers of at least 1, got {latent_dims!r}.")
    if len(np.unique(lengths)) < len(lengths):
        raise ValueError(f"latent_dims must differ from each other, got {latent_dims!r}.")
    return lengths.tolist()


def _score_name(labels: Labels) -> str:
    kinds = {target.kind for target in labels.targets}
    return "roc_auc" if kinds == {"binary"} else "r2" if "continuous" in kinds else "accuracy"


def _check_objectives(objectives: Sequence[str] | None, score: str | None) -> list[str]:
    if objectives is None:
        return ["reconstruction_error", "latent_dim"] if score is None else [score, "bits_per_dim"]
    known = [*_SMALLER, *([] if score is None else [score])]
    objectives = list(objectives)
    for name in objectives:
        check_choice("objectives", name, known)
    if not objectives:
        raise ValueError(f"objectives must be at least one column among {known}, or None.")
    return objectives


def _evaluate(
    encoder: DMZEncoder,
    X: np.ndarray,
    Y: Any,
    score: str | None,
    train: np.ndarray,
    test: np.ndarray,
    max_samples: int,
    seed: int,
) -> dict[str, float]:
    """Train on some samples, and measure on the others."""
    started = time.perf_counter()
    encoder.fit(X[train])
    seconds = time.perf_counter() - started
    line: dict[str, float] = {}
    if Y is not None and score is not None:
        bits = encoder.set_params(output="bits").transform(X)
        split = np.full(len(X), "train", dtype=object)
        split[test] = "test"
        line[score] = probe_report(bits, Y, protocol="holdout", split=split, scoring=score)[score].mean()
    some = X[test[:max_samples]]
    line["bits_per_dim"] = -encoder.score(some)
    rebuilt = encoder.reconstruct(some, random_state=seed)
    report = encoder.code_report_
    line["code_bits"] = 0.0 if report is None else float(report["entropy"].sum())
    line["reconstruction_error"] = float(squared_errors(encoder, some, rebuilt).mean())
    return line | {"seconds": seconds}


def _undominated(table: pd.DataFrame, objectives: Sequence[str]) -> np.ndarray:
    values = np.column_stack([table[name] * (-1 if name in _SMALLER else 1) for name in objectives])
    as_good = (values[:, None] >= values[None]).all(axis=2)
    better = (values[:, None] > values[None]).any(axis=2)
    return np.logical_not((as_good & better).any(axis=0))
