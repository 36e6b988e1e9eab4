"""Batches for training: samples kept in their own dtype, converted to model units a batch at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from dmzrep._base._batching import batches
from dmzrep.data import Source, is_on_disk, to_tensor

#: Share of a device's free memory that training data may take.
RESIDENT_SHARE = 0.25
#: Samples that are copied to a device at a time.
_COPIED_AT_A_TIME = 4096


class TrainingData:
    """Samples of a training set, by index, as tensors in model units on the device.

    Parameters
    ----------
    source : ndarray, memmap or other source
        The original data; never written to.
    prepare : callable
        Converts raw samples (a tensor on the device) to model units.
    indices : ndarray of int64
        Samples that belong to this set.
    device : torch.device
        Where batches are made.

    Notes
    -----
    On a GPU an in-memory array is kept whole in its own dtype where it takes at most a quarter of the free
    memory: uint8 images take a quarter of their float size. Otherwise, on the CPU, and from memmaps and
    data sets, a batch is read at a time.
    """

    def __init__(
        self,
        source: Source,
        prepare: Callable[[Tensor], Tensor],
        indices: np.ndarray,
        device: torch.device,
    ):
        self.prepare = prepare
        self.indices = indices
        self.device = device
        self._source = source
        self._resident: Tensor | None = None
        if isinstance(source, np.ndarray) and not is_on_disk(source):
            n_bytes = source[:1].nbytes * len(indices)
            if 0 < n_bytes <= RESIDENT_SHARE * free_memory(device):
                self._resident = _copy(source, indices, device)

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, positions: Tensor) -> Tensor:
        """Return the samples at positions 0 .. len(self) - 1, in model units, on the device."""
        if self._resident is not None:
            return self.prepare(self._resident[positions.to(self.device)])
        return self.prepare(to_tensor(self._source[self.indices[positions.numpy()]], self.device))


def free_memory(device: torch.device) -> int:
    """Return the bytes of a GPU that are free, 0 where they are unknown and on the CPU."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return 0


def _copy(source: np.ndarray, indices: np.ndarray, device: torch.device) -> Tensor:
    """Copy samples to a device, some at a time: no copy of all of them is made on the way."""
    first = to_tensor(source[indices[:1]], device)
    samples = torch.empty((len(indices), *first.shape[1:]), dtype=first.dtype, device=device)
    for part in batches(len(indices), _COPIED_AT_A_TIME):
        samples[part] = to_tensor(source[indices[part]], device)
    return samples


def split_indices(n_samples: int, validation_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split the numbers of samples into a training and a validation part.

    The validation part has at least one sample if the fraction is above 0 and two samples exist.
    """
    if not validation_fraction or n_samples < 2:
        return np.arange(n_samples), np.arange(0)
    n_validation = min(max(1, round(validation_fraction * n_samples)), n_samples - 1)
    order = np.random.default_rng(seed).permutation(n_samples)
    return np.sort(order[n_validation:]), np.sort(order[:n_validation])
