"""Batches for training: rows kept as they came, turned into model units a batch at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from dmzrep.data._sources import Rows, to_tensor

#: Arrays up to this many bytes are kept whole on a GPU.
DEVICE_BYTES = 8 * 2**30


class TrainingData:
    """Rows of a training set, by index, as tensors in model units on the device.

    Parameters
    ----------
    rows : ndarray, memmap or other row source
        The data as the user gave them; never written to.
    prepare : callable
        Turns raw rows (a tensor on the device) into model units.
    indices : ndarray of int64
        Rows that belong to this set.
    device : torch.device
        Where batches are made.

    Notes
    -----
    On a GPU an in-memory array is kept whole in its own dtype, so that uint8 images take a quarter
    of their float size. On the CPU, and from memmaps and other sources, a batch is read at a time.
    """

    def __init__(
        self,
        rows: Rows,
        prepare: Callable[[Tensor], Tensor],
        indices: np.ndarray,
        device: torch.device,
    ):
        self.prepare = prepare
        self.indices = indices
        self.device = device
        self._rows = rows
        self._resident: Tensor | None = None
        in_memory = isinstance(rows, np.ndarray) and not isinstance(rows, np.memmap)
        if in_memory and device.type != "cpu" and rows[:1].nbytes * len(indices) <= DEVICE_BYTES:
            self._resident = to_tensor(rows[indices], device)

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, positions: Tensor) -> Tensor:
        """Give the rows at positions 0 .. len(self) - 1, in model units, on the device."""
        if self._resident is not None:
            return self.prepare(self._resident[positions.to(self.device)])
        return self.prepare(to_tensor(self._rows[self.indices[positions.numpy()]], self.device))


def split_indices(n_rows: int, validation_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split row numbers into a training and a validation part.

    The validation part has at least one row if the fraction is above 0 and two rows exist.
    """
    if not validation_fraction or n_rows < 2:
        return np.arange(n_rows), np.arange(0)
    n_validation = min(max(1, round(validation_fraction * n_rows)), n_rows - 1)
    order = np.random.default_rng(seed).permutation(n_rows)
    return np.sort(order[n_validation:]), np.sort(order[:n_validation])
