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

#: Parts of a split.
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Protocol:
    """A way to evaluate codes.

    Parameters
    ----------
    needs : tuple of str
        Parts that `split` must mark; none for protocols that fold all samples themselves.
    estimator : callable or None
        Makes the classifier where the protocol fixes it.
    n_samples : int or None
        Only the first so many samples are used.
    joint : bool
        Whether one layer is trained for all attributes at once.
    """

    needs: tuple[str, ...]
    estimator: Callable[[], Any] | None = None
    n_samples: int | None = None
    joint: bool = False

    @property
    def fixed(self) -> bool:
        """Whether the protocol fixes the estimator, and so is for classes only."""
        return self.joint or self.estimator is not None


PROTOCOLS = {
    "dmz": Protocol((), LogisticRegression),
    "infodiffusion": Protocol(
        (), lambda: make_pipeline(StandardScaler(), LogisticRegression()), n_samples=10_000
    ),
    "diti": Protocol(PARTS, joint=True),
    "holdout": Protocol(("train", "test")),
}


def find_protocol(name: str) -> Protocol:
    """Return a protocol by name; raise with the nearest name where there is none."""
    check_choice("protocol", name, tuple(PROTOCOLS), " or None")
    return PROTOCOLS[name]


def read_split(split: Any, needs: Sequence[str], n_samples: int, protocol: str | None) -> Fold:
    """Return the positions of samples that are marked "train", "validation" and "test"."""
    if split is None:
        raise ValueError(
            f"protocol={protocol!r} needs split, which marks each sample of Z as one of {tuple(needs)}."
        )
    marks = as_array(split, "split")
    if marks.shape != (n_samples,):
        raise ValueError(
            f"split must have shape ({n_samples},), a mark for each sample of Z, got {marks.shape}."
        )
    unknown = [mark for mark in dict.fromkeys(marks.tolist()) if mark not in PARTS]
    if unknown:
        raise ValueError(f"split must hold {PARTS} only, got {unknown[:3]}.")
    found = {part: np.flatnonzero(marks == part) for part in PARTS}
    empty = [part for part in needs if not len(found[part])]
    if empty:
        raise ValueError(
            f"protocol={protocol!r} needs samples that split marks as {empty[0]!r}; there are none."
        )
    return Fold(found["train"], found["test"], found["validation"])


def pooled_folds(n_samples: int) -> list[Fold]:
    """Return five shuffled folds of all samples, the same for all attributes, as in DMZ and InfoDiffusion."""
    if n_samples < 5:
        raise ValueError(f"Five folds need at least 5 samples, got {n_samples}.")
    folds = KFold(5, shuffle=True, random_state=0).split(np.empty(n_samples))
    return [Fold(train, test) for train, test in folds]


def read_folds(cv: Any, n_samples: int) -> Any:
    """Return a number of folds or a splitter as it is, and pairs of positions as folds."""
    if isinstance(cv, Integral):
        return int(cv)
    if hasattr(cv, "split") and not isinstance(cv, (str, bytes)):
        return cv
    try:
        pairs = [tuple(pair) for pair in cv]  # The first attribute would exhaust a generator.
    except TypeError:
        raise TypeError(
            f"cv must be a number of folds, a splitter or pairs (train, test), got {short_repr(cv)}."
        ) from None
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"cv must hold pairs (train, test), one at least, got {short_repr(pairs)}.")
    return [Fold(*(_positions(samples, n_samples) for samples in pair)) for pair in pairs]


def _positions(samples: Any, n_samples: int) -> np.ndarray:
    """Return the positions of a fold's samples from positions or a mask."""
    found = as_array(samples, "cv")
    if found.shape == (n_samples,) and found.dtype.kind == "b":
        return np.flatnonzero(found)
    if found.ndim != 1 or found.dtype.kind not in "iu" or not len(found):
        raise ValueError(
            f"cv must hold arrays of positions of samples, not empty, got {short_repr(samples)}."
        )
    if found.min() < -n_samples or found.max() >= n_samples:
        raise ValueError(f"cv must hold positions among {n_samples} samples, got {short_repr(samples)}.")
    return found


def own_folds(cv: Any, target: Target, random_state: Any) -> list[Fold]:
    """Return folds of the labelled samples: shuffled and stratified by class for a number, else from `cv`."""
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
        # Classes rarer than folds; scores that this makes undefined get one warning for all attributes.
        warnings.filterwarnings("ignore", "The least populated class")
        return [Fold(known[train], known[test]) for train, test in splitter.split(values, values)]
