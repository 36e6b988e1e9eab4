"""Metadata of images, and filters on them."""

import re
from typing import Any

import numpy as np
import pandas as pd

from dmzrep._base._validation import as_array, did_you_mean

#: Columns of query results, which metadata must not have.
COLUMNS = ("query", "rank", "id", "distance")


def matching_indices(table: pd.DataFrame, where: Any) -> np.ndarray:
    """Return the indices of the rows of a table that meet a condition, as in `ImageRetriever.query`.

    Missing values (NA) do not match.
    """
    if isinstance(where, str):
        mask = _evaluate(table, where)
    else:
        mask = where(table) if callable(where) else where
    values = as_array(mask, "where")
    if isinstance(mask, pd.Series) and isinstance(mask.dtype, pd.BooleanDtype):
        values = mask.to_numpy(dtype=bool, na_value=False)
    if values.dtype != bool or values.shape != (len(table),):
        raise ValueError(
            f"where must be one True or False for each of the {len(table)} images, got "
            f"{values.dtype} of shape {values.shape}. Use a pandas expression such as \"colour == 'red'\"."
        )
    return np.flatnonzero(values)


def _evaluate(table: pd.DataFrame, where: str) -> Any:
    try:
        return table.eval(where)
    except pd.errors.UndefinedVariableError as error:
        named = re.search(r"name '(.+?)' is not defined", str(error))
        hint = did_you_mean(named.group(1), list(table.columns)) if named else ""
        raise ValueError(f"where={where!r}: {error}.{hint} The columns are {list(table.columns)}.") from error
    except Exception as error:  # From Python, numexpr or pandas, depending on the expression.
        raise ValueError(f"where={where!r} is not a condition that pandas can evaluate: {error}") from error


def check_metadata(metadata: Any, n_images: int) -> pd.DataFrame | None:
    """Return metadata with strings as column names and a new index."""
    if metadata is None:
        return None
    if not isinstance(metadata, pd.DataFrame):
        raise TypeError(f"metadata must be a pandas DataFrame, got {type(metadata).__name__}.")
    if len(metadata) != n_images:
        raise ValueError(
            f"metadata must have one row for each image: got {len(metadata)} rows for {n_images} images."
        )
    names = [str(name) for name in metadata.columns]
    if clash := [name for name in names if name in COLUMNS]:
        raise ValueError(
            f"metadata must not have columns named {clash}, which are columns of query results. Rename them."
        )
    if len(set(names)) < len(names):
        raise ValueError(f"metadata must have columns with different names, got {names}.")
    return metadata.set_axis(names, axis=1).reset_index(drop=True)
