"""Predictions of several attributes in the form of their labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def named_table(columns: dict[Any, np.ndarray], Z: Any) -> pd.DataFrame:
    """Return a table with the index of the codes, where they are a table too."""
    return pd.DataFrame(columns, index=Z.index if isinstance(Z, pd.DataFrame) else None)


def join_columns(
    found: dict[Any, tuple[np.ndarray, np.ndarray]], form: str, Z: Any
) -> np.ndarray | list[np.ndarray] | pd.DataFrame:
    """Join the values of several attributes; see `LinearProbe.predict_proba`."""
    if all(len(classes) == 2 for classes, _ in found.values()):
        columns = {name: values if values.ndim == 1 else values[:, 1] for name, (_, values) in found.items()}
        return named_table(columns, Z) if form == "table" else np.column_stack([*columns.values()])
    if form == "array":
        return [values for _, values in found.values()]
    spread: dict[Any, np.ndarray] = {}
    for name, (classes, values) in found.items():
        if values.ndim == 1:
            spread[name, classes[1]] = values
        else:
            spread |= {(name, label): values[:, i] for i, label in enumerate(classes)}
    table = named_table(spread, Z)
    table.columns = pd.MultiIndex.from_tuples(spread, names=["attribute", "class"])
    return table
