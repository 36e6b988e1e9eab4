"""The progress of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class Epoch:
    """An epoch in progress; its state is enough to resume it in another process.

    Parameters
    ----------
    order : Tensor
        State, when the epoch began, of the generator that drew its order of samples.
    seconds : float
        Seconds of the run when it began.
    images : int
        Images that the run had seen then.
    losses : list of Tensor
        Losses of its steps so far.

    Examples
    --------
    >>> import torch
    >>> from dmzrep.training._progress import Epoch
    >>> epoch = Epoch(torch.Generator().manual_seed(0).get_state(), seconds=0.0, images=0)
    >>> first, second = epoch.batches(4, 2)
    >>> epoch.losses.append(torch.tensor(0.5))
    >>> [torch.equal(batch, second) for batch in epoch.batches(4, 2)]
    [True]
    """

    order: Tensor
    seconds: float
    images: int
    losses: list[Tensor] = field(default_factory=list)

    @classmethod
    def begin(cls, generator: torch.Generator, n_samples: int, seconds: float, images: int) -> Epoch:
        """Begin an epoch; a generator on the CPU draws its order, and is moved on."""
        epoch = cls(generator.get_state(), seconds, images)
        torch.randperm(n_samples, generator=generator)
        return epoch

    def batches(self, n_samples: int, size: int) -> Iterator[Tensor]:
        """Positions, in 0 .. n_samples - 1, of the samples of the remaining batches of `size`."""
        generator = torch.Generator()
        generator.set_state(self.order)
        order = torch.randperm(n_samples, generator=generator)
        for start in range(len(self.losses) * size, n_samples - size + 1, size):
            yield order[start : start + size]

    def state(self) -> dict[str, Any]:
        """Return what `from_state` takes: tensors and plain numbers."""
        losses = torch.stack(self.losses) if self.losses else torch.zeros(0)
        return {"order": self.order, "seconds": self.seconds, "images": self.images, "losses": losses}

    @classmethod
    def from_state(cls, state: dict[str, Any], device: torch.device) -> Epoch:
        """Rebuild an epoch, its losses on the device of the resumed run."""
        losses = list(state["losses"].to(device).unbind())
        return cls(state["order"], state["seconds"], state["images"], losses)
