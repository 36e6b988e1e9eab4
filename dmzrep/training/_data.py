"""The samples of a training run: split, order, and batches in model units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmzrep._base._batching import batches
from dmzrep.data import Source, is_on_disk, to_tensor

#: Largest fraction of the free memory of a device for training data, and samples per copy.
RESIDENT_SHARE = 0.25
_COPIED_AT_A_TIME = 4096


class TrainingData:
    """The samples of `source` at `indices`, as batches on the device, converted to model units by `prepare`.

    An array in memory is copied to a GPU as a whole, in its dtype, if it takes at most a quarter of the free
    memory. Otherwise, and for memory maps and data sets, each batch is read when needed.
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
        """Return the samples at positions from 0 to len(self) - 1."""
        if self._resident is not None:
            return self.prepare(self._resident[positions.to(self.device)])
        return self.prepare(to_tensor(self._source[self.indices[positions.numpy()]], self.device))


def free_memory(device: torch.device) -> int:
    """Return the free bytes of a GPU; 0 for the CPU."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return 0


def _copy(source: np.ndarray, indices: np.ndarray, device: torch.device) -> Tensor:
    """Copy samples to a device in parts, without an intermediate copy of all of them."""
    first = to_tensor(source[indices[:1]], device)
    samples = torch.empty((len(indices), *first.shape[1:]), dtype=first.dtype, device=device)
    for part in batches(len(indices), _COPIED_AT_A_TIME):
        samples[part] = to_tensor(source[indices[part]], device)
    return samples


def split_indices(n_samples: int, validation_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split sample indices into training and validation sets, each with at least one if possible."""
    if not validation_fraction or n_samples < 2:
        return np.arange(n_samples), np.arange(0)
    n_validation = min(max(1, round(validation_fraction * n_samples)), n_samples - 1)
    order = np.random.default_rng(seed).permutation(n_samples)
    return np.sort(order[n_validation:]), np.sort(order[:n_validation])


@dataclass
class Epoch:
    """An epoch in progress; its state is enough to resume it in another process."""

    #: State of the generator from which the order of the samples was drawn.
    order: Tensor
    #: Duration of the run and number of images seen before the epoch.
    seconds: float
    images: int
    #: Losses of the completed steps.
    losses: list[Tensor] = field(default_factory=list)

    @classmethod
    def begin(cls, generator: torch.Generator, n_samples: int, seconds: float, images: int) -> Epoch:
        """Begin an epoch; a CPU generator draws the order of its samples."""
        epoch = cls(generator.get_state(), seconds, images)
        torch.randperm(n_samples, generator=generator)
        return epoch

    def batches(self, n_samples: int, size: int, n_seen: int) -> Iterator[Tensor]:
        """Yield the sample positions of each remaining batch, after `n_seen` samples of the epoch."""
        generator = torch.Generator()
        generator.set_state(self.order)
        order = torch.randperm(n_samples, generator=generator)
        for start in range(n_seen, n_samples - size + 1, size):
            yield order[start : start + size]

    def state(self) -> dict[str, Any]:
        """Return tensors and numbers for `from_state`."""
        losses = torch.stack(self.losses) if self.losses else torch.zeros(0)
        return {"order": self.order, "seconds": self.seconds, "images": self.images, "losses": losses}

    @classmethod
    def from_state(cls, state: dict[str, Any], device: torch.device) -> Epoch:
        """Restore an epoch, with its losses on the device."""
        losses = list(state["losses"].to(device).unbind())
        return cls(state["order"], state["seconds"], state["images"], losses)
