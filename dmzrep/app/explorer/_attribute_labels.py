"""Labels of attributes from a table, joined to the pictures of a collection."""

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd

#: Attributes that are learned from one table.
MAX_ATTRIBUTES = 100


def read_labels(source: str | os.PathLike, paths: Sequence[str]) -> tuple[np.ndarray, pd.DataFrame, str]:
    """Read a CSV file with a column "path" and columns of zeros and ones.

    Returns
    -------
    rows : int array
        Rows of `paths` that have labels.
    labels : DataFrame
        Their labels as floats; NaN is unknown.
    note : str
        A sentence on what was found and what was left out.
    """
    try:
        table = pd.read_csv(source)
    except (OSError, ValueError) as error:
        raise ValueError(f"The labels cannot be read as a CSV file: {error}") from error
    if "path" not in table:
        raise ValueError(
            f"The labels need a column 'path', got the columns {list(map(str, table.columns))[:10]}. It "
            "names pictures of the collection by their paths, or by the ends of their paths."
        )
    rows = match_paths(table["path"].astype(str), paths)
    labels = binary_columns(table.drop(columns="path")).assign(row=rows)
    labels = labels[labels["row"] >= 0].drop_duplicates("row", keep="last")
    if labels.empty:
        raise ValueError(
            f"None of the {len(table)} paths of the labels is in the collection, for example "
            f"{', '.join(table['path'].astype(str)[:1])!r}. Write them as in the collection: {paths[0]!r}."
        )
    rows = labels.pop("row").to_numpy()
    both = [name for name in labels if labels[name].nunique() == 2]
    if not both:
        raise ValueError(
            "The labels need a column of zeros and ones, with both values among the pictures of the "
            f"collection. Found the columns {list(map(str, table.columns))[:10]}."
        )
    left_out = [str(name) for name in table.columns if name != "path" and name not in both[:MAX_ATTRIBUTES]]
    note = f"{len(rows)} of {len(paths)} pictures have labels."
    if len(rows) < len(table):
        note += f" {len(table) - len(rows)} rows match no single picture of the collection, or repeat one."
    if left_out:
        note += f" Not used, as they are no zeros and ones or have one value: {', '.join(left_out[:10])}."
    return rows, labels[both[:MAX_ATTRIBUTES]], note


def binary_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns whose values are 0, 1 (or False, True) and missing, as floats."""
    numbers = {str(name): pd.to_numeric(table[name], errors="coerce") for name in table}
    binary = {
        name: column.astype(float)
        for name, column in numbers.items()
        if column.notna().equals(table[name].notna()) and column.dropna().isin([0, 1]).all()
    }
    return pd.DataFrame(binary, index=table.index)


def match_paths(wanted: Sequence[str], paths: Sequence[str]) -> np.ndarray:
    """Return the position of each path, or -1; a path may also be the end of exactly one of `paths`."""
    known = [path.replace("\\", "/") for path in paths]
    position = {path: i for i, path in enumerate(known)}
    named: dict[str, list[int]] = {}
    for i, path in enumerate(known):
        named.setdefault(path.rsplit("/", 1)[-1], []).append(i)
    found = []
    for path in wanted:
        end = path.replace("\\", "/").removeprefix("./")
        if end in position:
            found.append(position[end])
            continue
        ending = [i for i in named.get(end.rsplit("/", 1)[-1], []) if known[i].endswith("/" + end)]
        found.append(ending[0] if len(ending) == 1 else -1)
    return np.array(found, dtype=np.int64)
