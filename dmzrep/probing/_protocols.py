"""Evaluation protocols of the literature, by name, and the folds they use."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dmzrep._base._validation import as_array, check_choice, short_repr
from dmzrep.codes._labels import Target
from dmzrep.probing._evaluation import Fold

#: What rows can be marked as.
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Protocol:
    """A way to evaluate codes.

    Parameters
    ----------
    needs : tuple of str
        Parts that the user's split must mark; none for protocols that fold all rows themselves.
    estimator : callable or None
        Makes the classifier where the protocol fixes it.
    n_rows : int or None
        Only so many rows are used, from the first.
    joint : bool
        Whether one layer is trained for all attributes at once.
    """

    needs: tuple[str, ...]
    estimator: Callable[[], Any] | None = None
    n_rows: int | None = None
    joint: bool = False

    @property
    def fixed(self) -> bool:
        """Whether the protocol says what is fitted, and so is for classes only."""
        return self.joint or self.estimator is not None


PROTOCOLS = {
    "dmz": Protocol((), LogisticRegression),
    "infodiffusion": Protocol(
        (), lambda: make_pipeline(StandardScaler(), LogisticRegression()), n_rows=10_000
    ),
    "diti": Protocol(PARTS, joint=True),
    "holdout": Protocol(("train", "test")),
}


def find_protocol(name: str) -> Protocol:
    """Give a protocol by name; raise with the nearest name where there is none."""
    check_choice("protocol", name, tuple(PROTOCOLS), " or None")
    return PROTOCOLS[name]


def read_split(split: Any, needs: Sequence[str], n_rows: int, protocol: str | None) -> Fold:
    """Turn "train", "validation" or "test" for each row into positions."""
    if split is None:
        raise ValueError(
            f"protocol={protocol!r} needs split, an array that marks each row of Z as one of {tuple(needs)}."
        )
    marks = as_array(split, "split")
    if marks.shape != (n_rows,):
        raise ValueError(f"split must have shape ({n_rows},), a mark for each row of Z, got {marks.shape}.")
    unknown = [mark for mark in dict.fromkeys(marks.tolist()) if mark not in PARTS]
    if unknown:
        raise ValueError(f"split must hold {PARTS} only, got {unknown[:3]}.")
    rows = {part: np.flatnonzero(marks == part) for part in PARTS}
    empty = [part for part in needs if not len(rows[part])]
    if empty:
        raise ValueError(f"protocol={protocol!r} needs rows of split that are {empty[0]!r}; there are none.")
    return Fold(rows["train"], rows["test"], rows["validation"])


def pooled_folds(n_rows: int) -> list[Fold]:
    """Five shuffled folds of all rows, the same for every attribute, as DMZ and InfoDiffusion take them."""
    if n_rows < 5:
        raise ValueError(f"Five folds need at least 5 rows, got {n_rows}.")
    folds = KFold(5, shuffle=True, random_state=0).split(np.empty(n_rows))
    return [Fold(train, test) for train, test in folds]


def read_folds(cv: Any, n_rows: int) -> Any:
    """Give a number of folds or a splitter as it is, and pairs of positions among all rows as folds."""
    if isinstance(cv, Integral):
        return int(cv)
    if hasattr(cv, "split") and not isinstance(cv, (str, bytes)):
        return cv
    try:
        pairs = [tuple(pair) for pair in cv]  # A generator would be used up by the first attribute.
    except TypeError:
        raise TypeError(
            f"cv must be a number of folds, a splitter or pairs (train, test) of rows, got {short_repr(cv)}."
        ) from None
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"cv must hold pairs (train, test), one at least, got {short_repr(pairs)}.")
    return [Fold(*(_positions(rows, n_rows) for rows in pair)) for pair in pairs]


def _positions(rows: Any, n_rows: int) -> np.ndarray:
    """Check rows of a fold: positions among all rows, or a mark for each."""
    found = as_array(rows, "cv")
    if found.shape == (n_rows,) and found.dtype.kind == "b":
        return np.flatnonzero(found)
    if found.ndim != 1 or found.dtype.kind not in "iu" or not len(found):
        raise ValueError(f"cv must hold arrays of positions of rows, not empty, got {short_repr(rows)}.")
    if found.min() < -n_rows or found.max() >= n_rows:
        raise ValueError(f"cv must hold positions among {n_rows} rows, got {short_repr(rows)}.")
    return found


def own_folds(cv: Any, target: Target, random_state: Any) -> list[Fold]:
    """Folds of the rows that have a label: shuffled, stratified by class, for a number; else by `cv`."""
    if isinstance(cv, list):
        return cv
    known = np.flatnonzero(target.known)
    values = target.values[known]
    if not isinstance(cv, int):
        return [Fold(known[train], known[test]) for train, test in cv.split(values, values)]
    if cv < 2 or cv > len(known):
        raise ValueError(
            f"cv must be from 2 to the number of labels of attribute {target.name!r}, {len(known)}, got {cv}."
        )
    stratified = target.is_class and np.bincount(values).max() >= cv
    splitter = (StratifiedKFold if stratified else KFold)(cv, shuffle=True, random_state=random_state)
    with warnings.catch_warnings():
        # Classes rarer than folds; what that makes undefined is said once for all attributes.
        warnings.filterwarnings("ignore", "The least populated class")
        return [Fold(known[train], known[test]) for train, test in splitter.split(values, values)]
