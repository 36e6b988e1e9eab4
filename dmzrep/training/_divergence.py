"""Detection of non-finite losses or weights, and restoration of the last finite state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dmzrep.errors import TrainingDivergedError
from dmzrep.training._data import Epoch
from dmzrep.training._options import TrainingConfig

#: Largest number of steps between checks, which wait for the device and copy the averaged weights.
CHECK_STEPS = 50


@dataclass(frozen=True)
class _Position:
    """The position of a run at a check."""

    step: int
    images_seen: int
    epoch: int
    current: Epoch | None
    n_losses: int


class DivergenceGuard:
    """Checks at intervals that a run is finite, and keeps the last finite averaged weights.

    Checks cover the losses of all steps and the averaged weights, to which non-finite gradients propagate
    immediately. The first ones follow 1, 2, 4, 8, ... steps, since most runs that diverge do so early.
    """

    def __init__(self, average: nn.Module):
        tensors = [*average.parameters(), *average.buffers()]
        self._weights = [tensor.detach() for tensor in tensors if tensor.is_floating_point()]
        self._kept = [torch.empty_like(weight) for weight in self._weights]
        self._losses: list[Tensor] = []
        self._begun = self._checked = 0

    def begin(self, trainer: Any) -> None:
        """Begin a run with the current weights."""
        self._losses = []
        self._begun = self._checked = trainer.step
        self._keep(trainer)

    def step_end(self, trainer: Any, loss: Tensor) -> None:
        """Record the loss of a step, and check if a check is due."""
        self._losses.append(loss)
        if len(self._losses) >= min(max(self._checked - self._begun, 1), CHECK_STEPS):
            self.check(trainer)

    @torch.no_grad()
    def check(self, trainer: Any) -> None:
        """Raise TrainingDivergedError unless averaged weights and losses since the last check are finite."""
        norms = [*self._losses, *torch._foreach_norm(self._weights)]
        # A single comparison, since each one waits for the device.
        is_finite = bool(torch.stack(norms).isfinite().all())
        if not all(trainer.processes.all_gather_object(is_finite)):
            raise TrainingDivergedError(f"{self._describe(trainer)} {_remedies(trainer.config)}")
        self._keep(trainer)
        self._losses, self._checked = [], trainer.step

    @torch.no_grad()
    def _keep(self, trainer: Any) -> None:
        torch._foreach_copy_(self._kept, self._weights)
        n_losses = 0 if trainer.current is None else len(trainer.current.losses)
        self._last_finite = _Position(
            trainer.step, trainer.images_seen, trainer.epoch, trainer.current, n_losses
        )

    def _describe(self, trainer: Any) -> str:
        epoch = trainer.epoch + (trainer.current is not None)
        for i, loss in enumerate(torch.stack(self._losses).tolist() if self._losses else []):
            if not math.isfinite(loss):
                return f"The training loss became {loss} in epoch {epoch} (step {self._checked + i + 1})."
        return f"Weights, but not the loss, became non-finite in epoch {epoch}, by step {trainer.step}."

    @torch.no_grad()
    def restore(self, trainer: Any) -> None:
        """Restore the averaged weights, the counters and the history of the last successful check."""
        good = self._last_finite
        torch._foreach_copy_(self._weights, self._kept)
        trainer.step, trainer.images_seen = good.step, good.images_seen
        trainer.history = [row for row in trainer.history if row["images"] <= good.images_seen]
        trainer.epoch, trainer.current = good.epoch, None
        last = trainer.history[-1] if trainer.history else {"epoch": 0, "images": 0}
        if last["images"] == good.images_seen:
            trainer.epoch = int(last["epoch"])
        elif good.current is not None:
            del good.current.losses[good.n_losses :]
            trainer.current = good.current


def _remedies(config: TrainingConfig) -> str:
    remedies = [f"lower learning_rate (it was {config.learning_rate:g})"]
    if config.options.gradient_clip is None:
        remedies.append("set gradient_clip=1.0")
    if config.precision != "float32":
        remedies.append("use precision='float32'")
    return f"Possible remedies: {', or '.join(remedies)}."
