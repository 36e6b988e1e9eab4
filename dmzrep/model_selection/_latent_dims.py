"""Comparison of code lengths."""

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
from dmzrep._base._validation import as_array, as_path, check_choice, check_int, check_number
from dmzrep.codes._checks import check_integers
from dmzrep.codes._labels import read_labels
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.metrics._reconstruction import squared_errors
from dmzrep.probing import probe_report
from dmzrep.probing._metrics import METRICS, check_metrics

#: Columns for which smaller is better; for probe scores larger is better.
_MINIMISED = ("bits_per_dim", "reconstruction_error", "latent_dim", "code_bits", "seconds")


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
    random_state: int | np.random.RandomState | None = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Train an encoder for each code length, and compare them on held-out samples.

    Longer codes improve probes and reconstructions; shorter ones are cheaper to store, to search and to
    model.

    Parameters
    ----------
    X : ndarray
        Images or vectors, as in `DMZEncoder.fit`.
    Y : array-like of shape (n,) or (n, n_attributes), Series or DataFrame, optional
        Classes, attributes or continuous values for a linear probe; NaN if unknown. Without Y the report
        has no score of a probe.
    latent_dims : sequence of int, default=(8, 16, 32, 64, 128, 256)
        Code lengths.
    encoder : DMZEncoder or None, default=None
        Encoder to clone for each length; None is ``DMZEncoder()``.
    max_time : float or None, default=None
        Training time of each encoder in seconds; None uses that of `encoder`.
    scoring : str, default="auto"
        Score of the probe, as in `probe_report`, averaged over attributes. ``"auto"`` is "roc_auc" for
        binary labels, "accuracy" for other classes, else "r2".
    objectives : sequence of str or None, default=None
        Columns that define the Pareto front. None is the score of the probe and "bits_per_dim", or
        without Y "reconstruction_error" and "latent_dim".
    test_size : float, default=0.2
        Fraction of held-out samples.
    max_samples : int, default=1000
        Largest number of held-out samples for the bound and the reconstructions.
    memory : path-like, joblib.Memory or None, default=None
        Cache of finished lengths, so that an interrupted call with an integer `random_state` can be
        resumed by repeating it.
    random_state : int, RandomState or None, default=None
        Controls the split, the noise, and the encoders if `encoder` has no `random_state`.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    DataFrame
        One row per length with the columns

        - latent_dim: code length in bits
        - score of the probe: such as "roc_auc", on held-out samples, from bits
        - bits_per_dim: variational bound of held-out samples, the negative of `DMZEncoder.score`
        - code_bits: sum of the entropies of the bits
        - reconstruction_error: mean squared error of held-out samples decoded from their bits, without
          noise, of pixels from -1 to 1 or of scaled vectors
        - seconds: training time
        - pareto: whether the length is on the Pareto front: no other is better in one objective and at
          least as good in the others

    Raises
    ------
    ValueError
        Lengths, objectives, labels or another parameter are invalid.
    TypeError
        `encoder` is not a DMZEncoder, or `memory` not a path.

    See Also
    --------
    dmzrep.plotting.LatentDimDisplay : The report as a figure.

    Examples
    --------
    >>> from dmzrep import DMZEncoder
    >>> from dmzrep.datasets import make_sprites
    >>> from dmzrep.model_selection import latent_dim_report
    >>> X, Y = make_sprites(2000, return_X_y=True, random_state=0)
    >>> latent_dim_report(X, Y, latent_dims=(8, 32), max_time=60)  # doctest: +SKIP
    """
    lengths = check_integers(latent_dims, "latent_dims", 1).tolist()
    encoder = DMZEncoder() if encoder is None else encoder
    if not isinstance(encoder, DMZEncoder):
        raise TypeError(f"encoder must be a DMZEncoder, got a {type(encoder).__name__}.")
    test_size = check_number(test_size, "test_size", 0, 1)
    max_samples = check_int(max_samples, "max_samples")
    check_choice("scoring", scoring, ("auto", *METRICS))
    X, score = as_array(X, "X"), None
    if X.ndim < 2:
        raise ValueError(f"X must hold images or vectors, shape (n, ...), got shape {X.shape}.")
    if Y is not None:
        labels, score = read_labels(Y, len(X)), scoring
        kinds = {target.kind for target in labels.targets}
        if scoring == "auto":
            score = "roc_auc" if kinds == {"binary"} else "r2" if "continuous" in kinds else "accuracy"
        check_metrics(score, labels)
    objectives = _check_objectives(objectives, score)
    seed = draw_seed(random_state) % 2**31
    split = train_test_split(np.arange(len(X)), test_size=test_size, random_state=seed)
    if isinstance(memory, (str, os.PathLike)):
        memory = os.fspath(as_path(memory, "memory"))
    evaluate = check_memory(memory).cache(_evaluate)
    rows = []
    for latent_dim in tqdm(lengths, desc="code lengths", disable=not verbose):
        candidate = clone(encoder).set_params(latent_dim=latent_dim)
        if max_time is not None:
            candidate.set_params(max_time=max_time)
        if candidate.random_state is None:
            candidate.set_params(random_state=seed)
        row = evaluate(candidate, X, Y, score, *split, max_samples, seed)
        rows.append({"latent_dim": latent_dim} | row)
    table = pd.DataFrame(rows)
    table["pareto"] = _is_undominated(table, objectives)
    return table


def _check_objectives(objectives: Sequence[str] | None, score: str | None) -> list[str]:
    if objectives is None:
        return ["reconstruction_error", "latent_dim"] if score is None else [score, "bits_per_dim"]
    known = [*_MINIMISED, *([] if score is None else [score])]
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
    """Train on some samples, and evaluate on the others."""
    started = time.perf_counter()
    encoder.fit(X[train])
    seconds = time.perf_counter() - started
    row: dict[str, float] = {}
    if score is not None:
        bits = encoder.set_params(output="bits").transform(X)
        split = np.full(len(X), "train", dtype=object)
        split[test] = "test"
        row[score] = probe_report(bits, Y, protocol="holdout", split=split, scoring=score)[score].mean()
    held_out = X[test[:max_samples]]
    row["bits_per_dim"] = -encoder.score(held_out)
    rebuilt = encoder.reconstruct(held_out, random_state=seed)
    report = encoder.code_report_
    row["code_bits"] = 0.0 if report is None else float(report["entropy"].sum())
    row["reconstruction_error"] = float(squared_errors(encoder, held_out, rebuilt).mean())
    return row | {"seconds": seconds}


def _is_undominated(table: pd.DataFrame, objectives: Sequence[str]) -> np.ndarray:
    values = np.column_stack([table[name] * (-1 if name in _MINIMISED else 1) for name in objectives])
    as_good = (values[:, None] >= values[None]).all(axis=2)
    better = (values[:, None] > values[None]).any(axis=2)
    return np.logical_not((as_good & better).any(axis=0))
