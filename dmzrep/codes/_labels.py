"""Labels of one or several attributes: read once, checked, with what is not known set aside."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from dmzrep._base._validation import as_array, check_choice, check_magnitude, short_repr

#: What a probe can be asked to do.
TASKS = ("auto", "classification", "regression")


@dataclass(frozen=True)
class Target:
    """What is known of one attribute.

    Parameters
    ----------
    name : hashable
        Name of the attribute.
    kind : {"binary", "multiclass", "continuous"}
        What its values are; "binary" also stands for a single class.
    known : ndarray of shape (n,), bool
        Rows that have a value.
    values : ndarray of shape (n,)
        Position of the class in `classes` (int64, -1 where not known), or the value (float64, NaN
        where not known).
    classes : ndarray or None
        Sorted; None for continuous values.
    """

    name: Any
    kind: str
    known: np.ndarray
    values: np.ndarray
    classes: np.ndarray | None

    @property
    def is_class(self) -> bool:
        """Whether the values are classes."""
        return self.kind != "continuous"

    def n_classes(self, rows: np.ndarray | slice = slice(None)) -> int:
        """Count the classes that occur among some rows."""
        values = self.values[rows]
        return len(np.unique(values[values >= 0]))


@dataclass(frozen=True)
class Labels:
    """Labels of n rows.

    Parameters
    ----------
    targets : list of Target
        One for each attribute.
    form : {"vector", "array", "table"}
        How they came: one-dimensional, two-dimensional without names, or a DataFrame.
    n_rows : int
        Rows.
    """

    targets: list[Target]
    form: str
    n_rows: int

    @property
    def names(self) -> list[Any]:
        """Names of the attributes."""
        return [target.name for target in self.targets]


def read_labels(Y: Any, n_rows: int, task: str = "auto", argument: str = "Y") -> Labels:
    """Read labels of one or several attributes; NaN, None and NA mean "not known".

    Parameters
    ----------
    Y : array-like of shape (n_rows,) or (n_rows, n_attributes), Series or DataFrame
        Classes, or continuous values.
    n_rows : int
        Rows of the codes.
    task : {"auto", "classification", "regression"}, default="auto"
        With "auto", values that are not whole numbers are continuous and all others are classes.
    argument : str, default="Y"
        What to call the labels in errors.

    Returns
    -------
    Labels

    Raises
    ------
    ValueError
        The labels have another length than the codes, more than two dimensions, infinite values, no
        value at all for an attribute, continuous values for a classification, or text for a regression.

    Examples
    --------
    >>> from dmzrep.codes._labels import read_labels
    >>> target = read_labels(["b", "a", None], 3).targets[0]
    >>> target.kind, target.classes.tolist(), target.values.tolist()
    ('binary', ['a', 'b'], [1, 0, -1])
    """
    check_choice("task", task, TASKS)
    columns, names, form = _columns(Y, argument)
    found = len(columns[0])
    if found != n_rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {argument} has {found} rows, "
            f"but there are {n_rows} codes; a label is needed for each code (NaN where it is not known)."
        )
    targets = [
        _read_target(column, name, task, argument) for column, name in zip(columns, names, strict=True)
    ]
    return Labels(targets, form, n_rows)


def position_of(attribute: Any, names: Sequence[Any]) -> int:
    """Position of an attribute; raise with the nearest name where there is none."""
    if isinstance(attribute, Hashable) and attribute in names:
        return list(names).index(attribute)
    near = difflib.get_close_matches(str(attribute), [str(name) for name in names], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else f" There are {list(names)[:10]}."
    raise ValueError(
        f"There is no attribute {short_repr(attribute)} among the {len(names)} fitted ones.{hint}"
    )


def _columns(Y: Any, argument: str) -> tuple[list[pd.Series], list[Any], str]:
    if Y is None:
        raise ValueError(
            f"A probe requires y to be passed, but the target y is None; give labels as {argument}."
        )
    if sparse.issparse(Y):
        raise ValueError(f"{argument} is a sparse matrix; a probe needs dense labels: {argument}.toarray().")
    if isinstance(Y, pd.DataFrame):
        names = list(Y.columns)
        if not names:
            raise ValueError(f"{argument} has no columns; at least one attribute is needed.")
        if len(set(names)) < len(names):
            twice = sorted({str(name) for name in names if names.count(name) > 1})
            raise ValueError(
                f"Each column of {argument} needs a name of its own; these occur twice: {twice}."
            )
        return [Y.iloc[:, i] for i in range(len(names))], names, "table"
    if isinstance(Y, pd.Series):
        return [Y], [0 if Y.name is None else Y.name], "vector"
    values = as_array(Y, argument)
    if values.ndim == 1:
        return [pd.Series(values)], [0], "vector"
    if values.ndim == 2 and values.shape[1]:
        return [pd.Series(column) for column in values.T], list(range(values.shape[1])), "array"
    raise ValueError(f"{argument} must have shape (n,) or (n, n_attributes), got {values.shape}.")


def _read_target(column: pd.Series, name: Any, task: str, argument: str) -> Target:
    known = ~pd.isna(column).to_numpy(dtype=bool)
    label = f"{argument} of attribute {name!r}"
    if not known.any():
        raise ValueError(f"Input {label} contains NaN only; at least some rows need a label.")
    values = _plain(column[known])
    if values.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {label} is complex.")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"Input {label} contains infinity; give NaN where the value is not known.")
    if task == "regression":
        continuous = True
    else:
        continuous = values.dtype.kind == "f" and not np.array_equal(values, np.round(values))
        if continuous and task == "classification":
            raise ValueError(
                f"Unknown label type: {label} is continuous, but task='classification' needs classes. "
                "Pass task='regression', or turn the values into classes first."
            )
    if continuous:
        try:
            numbers = values.astype(np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"{label} must be numbers for a regression, got {values[0]!r}.") from None
        check_magnitude(numbers, label)
        filled = np.full(len(known), np.nan)
        filled[known] = numbers
        return Target(name, "continuous", known, filled, None)
    try:
        classes, positions = np.unique(values, return_inverse=True)
    except TypeError:
        raise ValueError(f"{label} mixes values that cannot be ordered, such as numbers and text.") from None
    filled = np.full(len(known), -1, dtype=np.int64)
    filled[known] = positions
    return Target(name, "multiclass" if len(classes) > 2 else "binary", known, filled, classes)


def _plain(column: pd.Series) -> np.ndarray:
    """Values of a column without gaps as a NumPy array, also from pandas' nullable and categorical types."""
    dtype = getattr(column.dtype, "numpy_dtype", None)
    values = column.to_numpy() if dtype is None else column.to_numpy(dtype=dtype)
    return np.asarray(pd.Series(values).infer_objects()) if values.dtype.kind == "O" else values
