"""Training that goes wrong: losses or weights that are no numbers, and the last weights that were."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from dmzrep.errors import TrainingDivergedError
from dmzrep.training._config import TrainingConfig
from dmzrep.training._progress import Epoch
from dmzrep.training.distributed._processes import Processes

#: Steps from one look to the next, at most: a look waits for the device and copies the averaged weights.
LOOK_STEPS = 50


class Run(Protocol):
    """What is looked at of a training run; `Trainer` has it."""

    config: TrainingConfig
    processes: Processes
    step: int
    images_seen: int
    epoch: int
    current: Epoch | None
    history: list[dict[str, float]]


@dataclass(frozen=True)
class _Place:
    """Where a run stood at a look."""

    step: int
    images_seen: int
    epoch: int
    current: Epoch | None
    n_losses: int


class DivergenceGuard:
    """Looks now and then whether a run is still all numbers, and keeps the averaged weights that were.

    Looked at are the losses of all steps and the averaged weights, which a gradient that is no number
    reaches with its step. The first looks come after 1, 2, 4, 8, ... steps: most runs that go wrong do so
    early.

    Parameters
    ----------
    average : nn.Module
        The model with the averaged weights.
    """

    def __init__(self, average: nn.Module):
        tensors = [*average.parameters(), *average.buffers()]
        self._weights = [tensor.detach() for tensor in tensors if tensor.is_floating_point()]
        self._kept = [torch.empty_like(weight) for weight in self._weights]
        self._losses: list[Tensor] = []
        self._begun = self._looked = 0

    def begin(self, trainer: Run) -> None:
        """Start a run with the weights that it has."""
        self._losses = []
        self._begun = self._looked = trainer.step
        self._keep(trainer)

    def step_end(self, trainer: Run, loss: Tensor) -> None:
        """Take note of the loss of a step, and look if it is time to; raises as `look` does."""
        self._losses.append(loss)
        since_begin = self._looked - self._begun
        if len(self._losses) >= min(max(since_begin, 1), LOOK_STEPS):
            self.look(trainer)

    @torch.no_grad()
    def look(self, trainer: Run) -> None:
        """Raise unless the losses since the last look, and the averaged weights, are numbers.

        Parameters
        ----------
        trainer : Run
            The run.

        Raises
        ------
        TrainingDivergedError
            Some are not. The message names the step and remedies.
        """
        numbers = [*self._losses, *torch._foreach_norm(self._weights)]
        # One question, since each waits for the device.
        found = bool(torch.stack(numbers).isfinite().all())
        if not all(trainer.processes.from_all(found)):
            raise TrainingDivergedError(f"{self._what(trainer)} {_remedies(trainer.config)}")
        self._keep(trainer)
        self._losses, self._looked = [], trainer.step

    @torch.no_grad()
    def _keep(self, trainer: Run) -> None:
        torch._foreach_copy_(self._kept, self._weights)
        current = trainer.current
        self._good = _Place(
            trainer.step,
            trainer.images_seen,
            trainer.epoch,
            current,
            0 if current is None else len(current.losses),
        )

    def _what(self, trainer: Run) -> str:
        epoch = trainer.epoch + (trainer.current is not None)
        for i, loss in enumerate(torch.stack(self._losses).tolist() if self._losses else []):
            if not math.isfinite(loss):
                return f"The training loss became {loss} in epoch {epoch} (step {self._looked + i + 1})."
        return (
            f"The weights became infinite or not a number in epoch {epoch}, by step {trainer.step}, "
            "though the loss was finite."
        )

    @torch.no_grad()
    def restore(self, trainer: Run) -> bool:
        """Put the averaged weights, the counters and the history back to the last good look of the run.

        Returns
        -------
        bool
            Whether the run had learned anything by then.
        """
        place = self._good
        torch._foreach_copy_(self._weights, self._kept)
        trainer.step, trainer.images_seen = place.step, place.images_seen
        trainer.history = [row for row in trainer.history if row["images"] <= place.images_seen]
        trainer.epoch, trainer.current = place.epoch, None
        last = trainer.history[-1] if trainer.history else {"epoch": 0, "images": 0}
        if last["images"] == place.images_seen:
            trainer.epoch = int(last["epoch"])
        elif place.current is not None:
            del place.current.losses[place.n_losses :]
            trainer.current = place.current
        return place.step > self._begun


def _remedies(config: TrainingConfig) -> str:
    found = [f"lower learning_rate (it was {config.learning_rate:g})"]
    if config.options.gradient_clip is None:
        found.append("set gradient_clip=1.0")
    if config.precision != "float32":
        found.append("use precision='float32'")
    return f"What helps: {', or '.join(found)}."
