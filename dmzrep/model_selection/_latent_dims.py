"""How many bits? Codes of several lengths, side by side."""

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
    short_repr,
)
from dmzrep.codes._labels import read_labels
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.metrics._inversion import row_errors
from dmzrep.probing import probe_report
from dmzrep.probing._metrics import METRICS, check_metrics

#: Columns that are better when larger, and when smaller.
_LARGER = ("roc_auc", "average_precision", "accuracy", "balanced_accuracy", "r2", "pearson_r")
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
    max_rows: int = 1000,
    memory: str | joblib.Memory | None = None,
    random_state: int | np.random.RandomState | None = 0,
    verbose: int = 0,
) -> pd.DataFrame:
    """Train an encoder for each code length, and compare them on rows that none of them saw.

    Longer codes tell a probe more and rebuild images better; shorter ones are cheaper to store, to
    search and to model. The Pareto column marks lengths that no other one beats in all objectives.

    Parameters
    ----------
    X : ndarray
        Images or vectors, as `DMZEncoder.fit` takes them.
    Y : array-like of shape (n,) or (n, n_attributes), Series or DataFrame, optional
        Classes, attributes or values for the probe; NaN where not known. Without them the report has
        no probe's score.
    latent_dims : sequence of int, default=(8, 16, 32, 64, 128, 256)
        Lengths of codes.
    encoder : DMZEncoder or None, default=None
        Settings other than `latent_dim`; it is not fitted itself. None is ``DMZEncoder()``.
    max_time : float or None, default=None
        Seconds of training for each; None leaves what `encoder` has.
    scoring : str, default="auto"
        What the probe is scored by, as in `probe_report`. ``"auto"`` is "roc_auc" where all labels
        have two classes, "accuracy" for other classes, else "r2". Several attributes are averaged.
    objectives : sequence of str or None, default=None
        Columns for the Pareto flag, each known to be better when larger or smaller. None is the
        probe's score and "bits_per_dim", or without Y "reconstruction_error" and "latent_dim".
    test_size : float, default=0.2
        Share of rows held out.
    max_rows : int, default=1000
        Held-out rows for the bound and the reconstructions, at most.
    memory : path-like, joblib.Memory or None, default=None
        Where finished lengths are kept, by settings and data: a call that was cut off goes on from there
        when it is repeated.
    random_state : int, RandomState or None, default=0
        Decides the held-out rows, the encoders' seeds where `encoder` has none, and the noise.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    DataFrame
        A row for each length with the columns

        latent_dim : bits of a code
        the probe's score : such as "roc_auc", on held-out rows, from bits (0 or 1)
        bits_per_dim : variational bound of held-out rows, `DMZEncoder.score` times -1
        code_bits : bits that the codes carry: the sum of the bits' entropies
        reconstruction_error : mean squared error of held-out rows from their bits and random noise,
            pixels from -1 to 1 (standardised, for vectors)
        seconds : of training
        pareto : whether no other length is better in one objective and as good in the others

    Raises
    ------
    ValueError
        Lengths, objectives or labels are not as they should be.
    TypeError
        `encoder` is no DMZEncoder, `memory` no path, or `objectives` no list.

    Examples
    --------
    >>> from dmzrep import DMZEncoder
    >>> from dmzrep.datasets import make_sprites
    >>> from dmzrep.model_selection._latent_dims import latent_dim_report
    >>> X, Y = make_sprites(2000, return_X_y=True, random_state=0)
    >>> latent_dim_report(X, Y, latent_dims=(8, 32), max_time=60)  # doctest: +SKIP
    """
    lengths = _check_lengths(latent_dims)
    encoder = DMZEncoder() if encoder is None else encoder
    if not isinstance(encoder, DMZEncoder):
        raise TypeError(f"encoder must be a DMZEncoder, got a {type(encoder).__name__}.")
    test_size = check_number(test_size, "test_size", 0, 1)
    max_rows = check_int(max_rows, "max_rows")
    check_choice("scoring", scoring, ("auto", *METRICS))
    silent = not verbose
    X = as_array(X, "X")
    if X.ndim < 2:
        raise ValueError(f"X must be rows of images or vectors, got shape {X.shape}.")
    score = None
    if Y is not None:
        Y = Y if isinstance(Y, (pd.DataFrame, pd.Series)) else as_array(Y, "Y")
        if Y.ndim not in (1, 2):
            raise ValueError(f"Y must have shape (n,) or (n, n_attributes), got {Y.shape}.")
        Y = pd.DataFrame(Y)
        if len(Y) != len(X):
            raise ValueError(f"Y must have a row for each of the {len(X)} rows of X, got {len(Y)}.")
        score = _score_name(Y) if scoring == "auto" else scoring
        check_metrics(score, read_labels(Y, len(X)))  # Before anything is trained.
    wanted = _check_objectives(objectives, score)
    seed = draw_seed(random_state) % 2**31
    parts = train_test_split(np.arange(len(X)), test_size=test_size, random_state=seed)
    if isinstance(memory, (str, os.PathLike)):
        memory = os.fspath(as_path(memory, "memory"))
    compare = check_memory(memory).cache(_evaluate)
    rows = []
    for latent_dim in tqdm(lengths, desc="code lengths", disable=silent):
        one = clone(encoder).set_params(latent_dim=latent_dim)
        if max_time is not None:
            one.set_params(max_time=max_time)
        if one.random_state is None:
            one.set_params(random_state=seed)
        rows.append({"latent_dim": latent_dim} | compare(one, X, Y, score, *parts, max_rows, seed))
    table = pd.DataFrame(rows)
    table["pareto"] = _undominated(table, wanted)
    return table


def _check_lengths(latent_dims: Sequence[int]) -> list[int]:
    lengths = np.atleast_1d(as_array(latent_dims, "latent_dims"))
    if not len(lengths) or lengths.dtype.kind not in "iu" or lengths.min() < 1:
        raise ValueError(f"latent_dims must be whole numbers of at least 1, got {latent_dims!r}.")
    if len(np.unique(lengths)) < len(lengths):
        raise ValueError(f"latent_dims must differ from each other, got {latent_dims!r}.")
    return lengths.tolist()


def _score_name(Y: pd.DataFrame) -> str:
    columns = [Y[name].dropna() for name in Y]
    if all(column.nunique() <= 2 for column in columns):
        return "roc_auc"
    whole = (not pd.api.types.is_float_dtype(column) or (column % 1 == 0).all() for column in columns)
    return "accuracy" if all(whole) else "r2"


def _check_objectives(objectives: Sequence[str] | None, score: str | None) -> list[str]:
    if objectives is None:
        return ["reconstruction_error", "latent_dim"] if score is None else [score, "bits_per_dim"]
    known = [*_SMALLER, *([] if score is None else [score])]
    if isinstance(objectives, str) or not isinstance(objectives, Sequence):
        raise TypeError(
            f"objectives must be a list of columns among {known}, or None, got {short_repr(objectives)}."
        )
    for name in objectives:
        if name not in known:
            raise ValueError(f"objectives must be columns among {known}, got {name!r}.")
    if len(objectives) == 0:
        raise ValueError(f"objectives must be at least one column among {known}, or None.")
    return list(objectives)


def _evaluate(
    encoder: DMZEncoder,
    X: np.ndarray,
    Y: pd.DataFrame | None,
    score: str | None,
    train: np.ndarray,
    test: np.ndarray,
    max_rows: int,
    seed: int,
) -> dict[str, float]:
    """Train on some rows, and measure on the others."""
    started = time.perf_counter()
    encoder.fit(X[train])
    seconds = time.perf_counter() - started
    row: dict[str, float] = {}
    if Y is not None and score is not None:
        bits = encoder.set_params(output="bits").transform(X)
        split = np.full(len(X), "train", dtype=object)
        split[test] = "test"
        row[score] = probe_report(bits, Y, protocol="holdout", split=split, scoring=score)[score].mean()
    some = X[test[:max_rows]]
    row["bits_per_dim"] = -encoder.score(some)
    rebuilt = encoder.reconstruct(some, random_state=seed)
    row["code_bits"] = _code_bits(encoder)
    row["reconstruction_error"] = float(row_errors(encoder, some, rebuilt).mean())
    return row | {"seconds": seconds}


def _code_bits(encoder: DMZEncoder) -> float:
    report = encoder.code_report_
    return 0.0 if report is None else float(report["entropy"].sum())


def _undominated(table: pd.DataFrame, objectives: Sequence[str]) -> np.ndarray:
    values = np.column_stack([table[name] * (1 if name in _LARGER else -1) for name in objectives])
    as_good = (values[:, None] >= values[None]).all(axis=2)
    better = (values[:, None] > values[None]).any(axis=2)
    return np.logical_not((as_good & better).any(axis=0))
