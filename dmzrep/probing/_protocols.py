"""Evaluation protocols of the literature, and their folds."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold, check_cv
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dmzrep._base._validation import as_array, check_choice
from dmzrep.codes._labels import Labels, Target
from dmzrep.probing._evaluation import Fold

#: Parts of a split.
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Protocol:
    """An evaluation protocol.

    `needs` are the required parts of `split`. With `pooled`, there are five fixed folds of the first
    `n_samples` samples. `estimator` creates the classifier, unless it can be chosen; with `joint`, it is one
    layer for all attributes.
    """

    name: str | None = None
    needs: tuple[str, ...] = ()
    pooled: bool = False
    n_samples: int | None = None
    estimator: Callable[[], Any] | None = None
    joint: bool = False


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("dmz", pooled=True, estimator=LogisticRegression),
        Protocol(
            "infodiffusion",
            pooled=True,
            n_samples=10_000,
            estimator=lambda: make_pipeline(StandardScaler(), LogisticRegression()),
        ),
        Protocol("diti", PARTS, joint=True),
        Protocol("holdout", ("train", "test")),
    )
}


def check_protocol(name: str | None, labels: Labels, cv: Any, split: Any, estimator: Any) -> Protocol:
    """Return a protocol by name; raise if it does not support the labels, or ignores an argument."""
    if name is not None:
        check_choice("protocol", name, tuple(PROTOCOLS), " or None")
    protocol = Protocol() if name is None else PROTOCOLS[name]
    fixed = protocol.joint or protocol.estimator is not None
    if name is not None and not (isinstance(cv, int) and cv == 5):
        raise ValueError(f"protocol={name!r} fixes its folds; omit cv, or pass protocol=None.")
    if fixed and estimator is not None:
        raise ValueError(f"protocol={name!r} fixes the estimator; omit estimator, or pass protocol=None.")
    if split is not None and not protocol.needs:
        raise ValueError("split is for protocol='holdout' and protocol='diti'; omit it, or pass one of them.")
    for target in labels.targets if fixed else ():
        if not target.is_class:
            raise ValueError(
                f"protocol={name!r} is for classes, but attribute {target.name!r} is continuous; "
                "omit it, or pass protocol='holdout' or None."
            )
        if protocol.joint and target.kind != "binary":
            raise ValueError(
                f"protocol={name!r} is for attributes with two classes, but {target.name!r} has "
                f"{target.n_classes()}."
            )
    return protocol


def read_split(split: Any, protocol: Protocol, n_samples: int) -> Fold:
    """Return the positions of samples that are marked "train", "validation" and "test"."""
    if split is None:
        raise ValueError(
            f"protocol={protocol.name!r} needs split, which assigns each sample to one of {protocol.needs}."
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
    empty = [part for part in protocol.needs if not len(found[part])]
    if empty:
        raise ValueError(
            f"protocol={protocol.name!r} needs samples that split marks as {empty[0]!r}; there are none."
        )
    return Fold(found["train"], found["test"], found["validation"])


def pooled_folds(n_samples: int) -> list[Fold]:
    """Return five shuffled folds of all samples, shared by all attributes, as in DMZ and InfoDiffusion."""
    folds = KFold(5, shuffle=True, random_state=0).split(np.empty(n_samples))
    return [Fold(train, test) for train, test in folds]


def read_folds(cv: Any, n_samples: int) -> Any:
    """Return a number of folds or a splitter unchanged, and pairs of positions or masks as folds."""
    if isinstance(cv, Integral):
        return int(cv)
    splitter, samples = check_cv(cv), np.arange(n_samples)
    if hasattr(cv, "split"):
        return cv
    folds = [Fold(samples[train], samples[test]) for train, test in splitter.split()]
    if not folds:
        raise ValueError("cv must hold pairs (train, test), at least one, got none.")
    return folds


def attribute_folds(cv: Any, target: Target, random_state: Any) -> list[Fold]:
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
        # Undefined scores due to rare classes are reported in one warning for all attributes.
        warnings.filterwarnings("ignore", "The least populated class")
        return [Fold(known[train], known[test]) for train, test in splitter.split(values, values)]
