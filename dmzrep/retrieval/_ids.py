"""Ids of the samples of an index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dmzrep._base._validation import as_array


@dataclass(frozen=True)
class SampleIds:
    """Ids of samples 0 to n - 1: their indices, unless ids are passed or samples removed.

    `ids` is None for indices, which take no memory. `next_id` is the id of the next sample, as ids of
    removed samples are not reused; it is None if ids are passed.
    """

    ids: np.ndarray | None
    n_samples: int
    next_id: int | None

    @classmethod
    def of(cls, ids: Any, n_samples: int) -> SampleIds:
        """Return checked ids of the first samples; None numbers them from 0."""
        if ids is None:
            return cls(None, n_samples, n_samples)
        return cls(check_ids(ids, n_samples), n_samples, None)

    def array(self) -> np.ndarray:
        """Return the ids of all samples."""
        return np.arange(self.n_samples) if self.ids is None else self.ids

    def at(self, indices: np.ndarray) -> np.ndarray:
        """Return the ids of the samples with these indices."""
        return indices if self.ids is None else self.ids[indices]

    def extended(self, ids: Any, n_new: int) -> SampleIds:
        """Return the ids followed by those of new samples; raise if some already exist."""
        n_samples = self.n_samples + n_new
        if ids is None:
            if self.next_id is None:
                raise ValueError("fit was passed ids, so add needs ids for the new samples too.")
            if self.ids is None:
                return SampleIds(None, n_samples, n_samples)
            new = np.arange(self.next_id, self.next_id + n_new)
            return SampleIds(np.concatenate([self.ids, new]), n_samples, self.next_id + n_new)
        new = check_ids(ids, n_new)
        existing = new[np.isin(new, self.array())]
        if len(existing):
            raise ValueError(
                f"ids must be new, but the index already has {_few(existing)}. "
                "Remove those samples first, or pass other ids."
            )
        return SampleIds(np.concatenate([self.array(), new]), n_samples, None)

    def indices(self, ids: Any, name: str = "ids") -> np.ndarray:
        """Return the indices of ids; raise if some are unknown."""
        requested, own = _integers(ids, name), self.array()
        order = np.argsort(own)
        found = np.searchsorted(own, requested, sorter=order)
        known = found < len(own)
        indices = order[found[known]]
        known[known] = own[indices] == requested[known]
        if not known.all():
            unknown = _few(requested[~known])
            raise ValueError(f"{name} must be ids of samples in the index; {unknown} are not in it.")
        return indices

    def without(self, indices: np.ndarray) -> SampleIds:
        """Return the ids that are left when samples are removed."""
        kept = np.delete(self.array(), indices)
        return SampleIds(kept, len(kept), self.next_id)


def check_ids(ids: Any, n_samples: int) -> np.ndarray:
    """Return ids as int64; raise unless they are distinct integers, one per sample."""
    checked = _integers(ids, "ids")
    if len(checked) != n_samples:
        raise ValueError(f"ids must be one for each sample: got {len(checked)} for {n_samples} samples.")
    unique, counts = np.unique(checked, return_counts=True)
    if len(unique) < len(checked):
        raise ValueError(f"ids must be distinct, but {_few(unique[counts > 1])} occur more than once.")
    return checked


def _integers(ids: Any, name: str) -> np.ndarray:
    array = as_array(ids, name)
    if array.ndim == 1 and array.size == 0:
        return array.astype(np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be integers in one dimension, got dtype {array.dtype} and shape {array.shape}. "
            "Keep names in a column of metadata instead."
        )
    return array.astype(np.int64)


def _few(ids: np.ndarray) -> str:
    """Return up to three ids as text."""
    listed = ", ".join(map(str, ids[:3].tolist()))
    return listed if len(ids) <= 3 else f"{listed} and {len(ids) - 3} more"
