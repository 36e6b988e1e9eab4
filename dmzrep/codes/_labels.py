"""Labels of one or several attributes, with masks of the known labels."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from dmzrep._base._validation import as_array, check_choice, check_magnitude, did_you_mean, short_repr

TASKS = ("auto", "classification", "regression")


@dataclass(frozen=True)
class Target:
    """Labels of one attribute; `kind` is "binary" (or a single class), "multiclass" or "continuous".

    `values` are indices into the sorted `classes` (int64, -1 where unknown), or floats (NaN where unknown)
    if `classes` is None. `known` masks the samples that have a label.
    """

    name: Any
    kind: str
    known: np.ndarray
    values: np.ndarray
    classes: np.ndarray | None

    @property
    def is_class(self) -> bool:
        return self.kind != "continuous"

    def n_classes(self, samples: np.ndarray | slice = slice(None)) -> int:
        """Return the number of classes that occur among some samples."""
        values = self.values[samples]
        return len(np.unique(values[values >= 0]))


@dataclass(frozen=True)
class Labels:
    """Labels of n samples; `form` is "vector", "array" (no names) or "table" (a DataFrame)."""

    targets: list[Target]
    form: str
    n_samples: int

    @property
    def names(self) -> list[Any]:
        return [target.name for target in self.targets]


def read_labels(Y: Any, n_samples: int, task: str = "auto", argument: str = "Y") -> Labels:
    """Read the labels of one or several attributes, which are unknown where NaN, None or NA.

    With `task="auto"`, columns with fractions are continuous and all others are classes. `Y` has shape
    (n_samples,) or (n_samples, n_attributes), or is a Series or DataFrame of pandas, polars or Arrow.
    """
    check_choice("task", task, TASKS)
    table, form = label_table(Y, n_samples, argument)
    columns = (table.iloc[:, i] for i in range(table.shape[1]))
    targets = [_read_target(column, column.name, task, argument) for column in columns]
    return Labels(targets, form, n_samples)


def read_binary_labels(
    Y: Any, n_samples: int, names: Sequence[Any] | None = None, prefix: str | None = None
) -> pd.DataFrame:
    """Read binary attributes as a table of zeros, ones and NaN where unknown.

    Each column holds two of 0 and 1, False and True, or -1 and 1. Unnamed columns are called 0, 1, ...
    after `prefix`; `names` replaces the names of `Y`.
    """
    table, form = label_table(Y, n_samples, "Y")
    if prefix is not None and form != "table" and list(table.columns) == list(range(table.shape[1])):
        table = table.add_prefix(prefix)
    if names is not None:
        if isinstance(names, str) or not isinstance(names, Sequence):
            raise TypeError(
                f"names must be a list with a name for each column of Y, got {short_repr(names)}."
            )
        if len(names) != table.shape[1]:
            raise ValueError(f"names must name the {table.shape[1]} columns of Y, got {len(names)} names.")
        table = table.set_axis(list(names), axis="columns")
        _check_unique(list(names), "names")
    return pd.DataFrame({name: _read_binary(table[name]) for name in table}, columns=table.columns)


def position_of(attribute: Any, names: Sequence[Any]) -> int:
    """Return the position of an attribute; the error for an unknown one suggests the nearest name."""
    if isinstance(attribute, Hashable) and attribute in names:
        return list(names).index(attribute)
    hint = did_you_mean(attribute, names, f" There are {list(names)[:10]}.")
    raise ValueError(
        f"There is no attribute {short_repr(attribute)} among the {len(names)} fitted attributes.{hint}"
    )


def label_table(Y: Any, n_samples: int, argument: str) -> tuple[pd.DataFrame, str]:
    """Return labels as a table with a column for each attribute, and their form."""
    if Y is None:
        raise ValueError(
            f"This requires y to be passed, but the target y is None; pass labels as {argument}."
        )
    if sparse.issparse(Y):
        raise ValueError(f"{argument} is a sparse matrix; pass dense labels: {argument}.toarray().")
    Y, form = _as_pandas(Y), "vector"
    if isinstance(Y, pd.DataFrame):
        table, form = Y, "table"
    elif isinstance(Y, pd.Series):
        table = Y.to_frame(name=0 if Y.name is None else Y.name)
    else:
        values = as_array(Y, argument)
        if values.ndim not in (1, 2):
            raise ValueError(f"{argument} must have shape (n,) or (n, n_attributes), got {values.shape}.")
        form = "vector" if values.ndim == 1 else "array"
        table = pd.DataFrame(values)
    if table.shape[1] == 0:
        raise ValueError(f"{argument} has no columns; at least one attribute is needed.")
    _check_unique(list(table.columns), argument)
    if len(table) != n_samples:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {argument} has {len(table)}, but "
            f"there are {n_samples} codes; pass a label for each code (NaN where unknown)."
        )
    return table, form


def _as_pandas(Y: Any) -> Any:
    """Return polars and Arrow tables and columns as pandas', with their names; other objects as they are."""
    package = type(Y).__module__.partition(".")[0]
    if package == "pyarrow":
        return pd.DataFrame(Y.to_pydict()) if hasattr(Y, "to_pydict") else pd.Series(Y.to_pylist())
    if package == "polars":
        if hasattr(Y, "columns"):
            return pd.DataFrame(Y.to_dict(as_series=False))
        return pd.Series(Y.to_list(), name=Y.name or None)
    return Y


def _check_unique(names: list[Any], argument: str) -> None:
    repeated = sorted({str(name) for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"Each attribute of {argument} needs its own name; these occur twice: {repeated}.")


def _read_binary(column: pd.Series) -> np.ndarray:
    remedy = "Turn classes into columns with pandas.get_dummies, or compare: Y > threshold."
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise ValueError(
            f"Attribute {column.name!r} must be binary (0 and 1, or False and True), got dtype "
            f"{column.dtype}. {remedy}"
        ) from None
    present = np.unique(values[~np.isnan(values)])
    if set(present) == {-1.0, 1.0}:
        return np.where(values < 0.0, 0.0, values)
    if not set(present) <= {0.0, 1.0}:
        raise ValueError(
            f"Attribute {column.name!r} must be binary (0 and 1, or False and True), got values "
            f"{present[:5].tolist()}. {remedy}"
        )
    if len(present) < 2:
        found = f"a single class, {present[0]:g}" if len(present) else "no label"
        raise ValueError(
            f"Attribute {column.name!r} has {found}; samples of both classes are needed. "
            "Label more samples, or omit the attribute."
        )
    return values


def _read_target(column: pd.Series, name: Any, task: str, argument: str) -> Target:
    known = ~pd.isna(column).to_numpy(dtype=bool)
    label = f"{argument} of attribute {name!r}"
    if not known.any():
        raise ValueError(f"Input {label} contains NaN only; at least some samples need a label.")
    values = _plain(column[known])
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"Input {label} contains infinity; pass NaN where the value is unknown.")
    continuous = task == "regression"
    if not continuous and values.dtype.kind == "f" and not np.array_equal(values, np.round(values)):
        continuous = True
        if task == "classification":
            raise ValueError(
                f"Unknown label type: {label} is continuous, but task='classification' needs classes. "
                "Pass task='regression', or turn the values into classes first."
            )
    if continuous:
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"{label} must be numbers for a regression, got {values[0]!r}.") from None
        check_magnitude(values, label)
        filled = np.full(len(known), np.nan)
        filled[known] = values
        return Target(name, "continuous", known, filled, None)
    try:
        classes, positions = np.unique(values, return_inverse=True)
    except TypeError:
        raise ValueError(f"{label} mixes values that cannot be ordered, such as numbers and text.") from None
    filled = np.full(len(known), -1, dtype=np.int64)
    filled[known] = positions
    return Target(name, "multiclass" if len(classes) > 2 else "binary", known, filled, classes)


def _plain(column: pd.Series) -> np.ndarray:
    """Return a column without missing values as an array; it may have a nullable or categorical dtype."""
    dtype = getattr(column.dtype, "numpy_dtype", None)
    values = column.to_numpy() if dtype is None else column.to_numpy(dtype=dtype)
    return np.asarray(pd.Series(values).infer_objects()) if values.dtype.kind == "O" else values
