"""The user's own numbers for the rows of an index."""

from __future__ import annotations

from typing import Any

import numpy as np

from dmzrep._base._validation import as_array


class RowIds:
    """Ids of rows 0 to n - 1: their numbers, until the user gives others or removes some.

    Numbers take no memory, and those of removed rows are not given again.

    Parameters
    ----------
    ids : ndarray of int64 or None
        Ids of all rows, or None for numbers.
    n_rows : int
        How many rows there are.
    next_id : int or None
        Number of the next row; None where ids are the user's own.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.retrieval._ids import RowIds
    >>> ids = RowIds(np.array([70, 30]), 2, None)
    >>> ids.rows(np.array([30])).tolist()
    [1]
    """

    def __init__(self, ids: np.ndarray | None, n_rows: int, next_id: int | None):
        self.ids = ids
        self.n_rows = n_rows
        self.next_id = next_id

    @classmethod
    def of(cls, ids: Any, n_rows: int) -> RowIds:
        """Check ids for the first rows; None numbers them."""
        if ids is None:
            return cls(None, n_rows, n_rows)
        return cls(check_ids(ids, n_rows), n_rows, None)

    def array(self) -> np.ndarray:
        """Give the ids of all rows."""
        return np.arange(self.n_rows) if self.ids is None else self.ids

    def extended(self, ids: Any, n_new: int) -> RowIds:
        """Give the ids with those of further rows behind them; raise if some are taken."""
        n_rows = self.n_rows + n_new
        if ids is None:
            if self.next_id is None:
                raise ValueError(
                    "The rows of this index have ids of your own, so ids must be given with new rows too."
                )
            if self.ids is None:
                return RowIds(None, n_rows, n_rows)
            fresh = np.arange(self.next_id, self.next_id + n_new)
            return RowIds(np.concatenate([self.ids, fresh]), n_rows, self.next_id + n_new)
        fresh = check_ids(ids, n_new)
        taken = fresh[np.isin(fresh, self.array())]
        if len(taken):
            raise ValueError(
                f"ids must be new, but the index already has {_few(taken)}. "
                "Remove those rows first, or give other ids."
            )
        return RowIds(np.concatenate([self.array(), fresh]), n_rows, None)

    def rows(self, ids: Any, name: str = "ids") -> np.ndarray:
        """Give the row numbers of ids; raise if some are unknown."""
        wanted = _integers(ids, name)
        if self.ids is None:
            known, rows = (wanted >= 0) & (wanted < self.n_rows), wanted
        else:
            order = np.argsort(self.ids)
            places = np.searchsorted(self.ids, wanted, sorter=order)
            rows = order[np.minimum(places, self.n_rows - 1)] if self.n_rows else np.zeros_like(wanted)
            known = self.ids[rows] == wanted if self.n_rows else np.zeros(len(wanted), dtype=bool)
        if not known.all():
            raise ValueError(f"{name} must be ids of rows in the index, which has no {_few(wanted[~known])}.")
        return rows

    def without(self, rows: np.ndarray) -> RowIds:
        """Give the ids that are left when rows are removed."""
        kept = np.delete(self.array(), rows)
        return RowIds(kept, len(kept), self.next_id)


def check_ids(ids: Any, n_rows: int) -> np.ndarray:
    """Give ids as int64; raise unless they are whole numbers, one a row, none twice."""
    numbers = _integers(ids, "ids")
    if len(numbers) != n_rows:
        raise ValueError(f"ids must be one for each row: got {len(numbers)} for {n_rows} rows.")
    unique, counts = np.unique(numbers, return_counts=True)
    if len(unique) < len(numbers):
        raise ValueError(f"ids must differ from each other, but {_few(unique[counts > 1])} come twice.")
    return numbers


def _integers(ids: Any, name: str) -> np.ndarray:
    numbers = as_array(ids, name)
    if numbers.ndim == 1 and numbers.size == 0:
        return numbers.astype(np.int64)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be whole numbers in one dimension, got dtype {numbers.dtype} and shape "
            f"{numbers.shape}. Keep names in a column of metadata instead."
        )
    if numbers.dtype == np.uint64 and numbers.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name} must fit 64 bits with a sign, got {numbers.max()}.")
    return numbers.astype(np.int64)


def _few(numbers: np.ndarray) -> str:
    listed = ", ".join(map(str, numbers[:3].tolist()))
    return listed if len(numbers) <= 3 else f"{listed} and {len(numbers) - 3} more"
