"""Checkpoints: a training run written to files now and then, and taken up again."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmzrep.errors import CheckpointMismatchError, CheckpointWarning, PersistenceError
from dmzrep.training._checkpoint_folder import CheckpointFolder
from dmzrep.training._hooks import Hooks
from dmzrep.training._loop import Trainer
from dmzrep.training.distributed._processes import Processes


class Checkpoints(Hooks):
    """Takes up the run that a folder holds, if any, and writes checkpoints of the run that follows.

    Parameters
    ----------
    folder : path-like
        Made if missing. It belongs to one run.
    every : {"epoch"} or float, default="epoch"
        Write at the end of each epoch, or whenever as many seconds have passed, in the midst of an epoch
        too. Either way there is one of the run's end.
    keep : int, default=2
        How many checkpoints are kept.
    processes : Processes, optional
        Those that train together, of which the first reads and writes; by default this one alone.

    Attributes
    ----------
    found : tuple of (dict, dict of ndarray) or None
        The newest whole checkpoint of the folder, until `resume` has taken it.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        every: str | float = "epoch",
        keep: int = 2,
        processes: Processes | None = None,
    ):
        self.every = every
        processes = processes or Processes()
        self.folder: CheckpointFolder | None = None
        found, error = None, None
        if processes.is_first:
            try:
                self.folder = CheckpointFolder(folder, keep)
                found = self.folder.newest()
            except (ValueError, PersistenceError) as raised:
                error = raised
        self.found, error = processes.broadcast_object((found, error))
        if error is not None:
            raise error
        self._identity: dict[str, Any] = {}
        self._settled: dict[str, Any] = {}
        self._written: tuple[int, bool] | None = None
        self._written_at = 0.0
        self._fails = False

    @property
    def seed(self) -> int | None:
        """The seed of the run that was found."""
        return None if self.found is None else self.found[0]["identity"]["seed"]

    @property
    def settled(self) -> dict[str, Any]:
        """What the run that was found had settled; empty without one."""
        return {} if self.found is None else self.found[0]["settled"]

    def begin(self, identity: dict[str, Any], settled: dict[str, Any]) -> None:
        """Say which run it is that checkpoints are of.

        Parameters
        ----------
        identity : dict
            Plain values that a run must share to go on from a checkpoint; ``"seed"`` is one of them.
        settled : dict
            Plain values that a run finds out at its start, and that it need not find out again.

        Raises
        ------
        CheckpointMismatchError
            The folder holds another run. The message lists the differences.
        """
        stored = identity if self.found is None else self.found[0]["identity"]
        differences = [
            f"{name}: checkpoint {stored.get(name)!r}, now {identity.get(name)!r}"
            for name in sorted(set(stored) | set(identity))
            if stored.get(name) != identity.get(name)
        ]
        if differences:
            raise CheckpointMismatchError(
                "checkpoint_dir holds a run of another configuration: " + "; ".join(differences) + ". "
                "Use another folder, or delete the checkpoints."
            )
        self._identity, self._settled = identity, settled

    def resume(self, trainer: Trainer) -> None:
        """Bring a trainer to where the run that was found stood.

        Parameters
        ----------
        trainer : Trainer
            New, of the same configuration.
        """
        if self.found is not None:
            trainer.load_state(_unflatten(trainer.state(), *self.found))
            self.found, self._written = None, _place(trainer)

    # -- hooks ---------------------------------------------------------------------------------

    def fit_begin(self, trainer: Trainer, n_rows: int) -> None:
        self._written_at = trainer.processes.time()

    def step_end(self, trainer: Trainer, loss: Tensor) -> None:
        self._write_if_due(trainer)

    def epoch_end(self, trainer: Trainer) -> bool:
        if self.every == "epoch":
            self._write(trainer)
        else:
            self._write_if_due(trainer)
        return False

    def fit_end(self, trainer: Trainer) -> None:
        # A run that was broken off may have stood between two steps.
        if trainer.stopped not in ("", "interrupted", "diverged"):
            self._write(trainer)

    def _write_if_due(self, trainer: Trainer) -> None:
        if not isinstance(self.every, str) and trainer.processes.time() - self._written_at >= self.every:
            self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        """Write a checkpoint, unless there is one of this place."""
        place = _place(trainer)
        if place == self._written:
            return
        # What is written is gone on from, so it has to be sound.
        trainer.guard.check(trainer)
        if self.folder is None or self._write_file(self.folder, trainer):
            self._written = place
        self._written_at = trainer.processes.time()

    def _write_file(self, folder: CheckpointFolder, trainer: Trainer) -> bool:
        """Write a checkpoint, and tell whether that went well; a disk that fails is warned of."""
        values, arrays = _flatten(trainer.state())
        values |= {"identity": self._identity, "settled": self._settled}
        try:
            folder.write(trainer.step, values, arrays)
        except OSError as error:
            self._warn(folder, error)
            return False
        self._fails = False
        return True

    def _warn(self, folder: CheckpointFolder, error: OSError) -> None:
        """Warn of a checkpoint that could not be written, once for as long as that lasts."""
        if not self._fails:
            last = f"The last is of step {self._written[0]}." if self._written else "There is none so far."
            warnings.warn(
                f"A checkpoint could not be written to {folder.path}: {error}. Training goes on, and "
                f"tries again. {last} Free some space there, or make the folder writable.",
                CheckpointWarning,
                stacklevel=2,
            )
        self._fails = True


def _place(trainer: Trainer) -> tuple[int, bool]:
    """Where a run stands: its step, and whether the epoch is over."""
    return trainer.step, trainer.current is None


#: Parts of `Trainer.state` that are plain values, and those that are tensors.
_VALUES = ("counters", "start", "history", "scaler", "noise_device", "decorrelation")
_TENSORS = ("order", "noise")


def _flatten(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Turn the state of a trainer into plain values and arrays."""
    values = {name: state[name] for name in _VALUES}
    tensors: dict[str, Tensor] = {name: state[name] for name in _TENSORS}
    for part in ("model", "average", "best", "torch_states"):
        tensors.update({f"{part}.{name}": tensor for name, tensor in state[part].items()})
    for index, slots in state["optimizer"].items():
        tensors.update({f"optimizer.{index}.{name}": tensor for name, tensor in slots.items()})
    values["current"] = None
    if state["current"] is not None:
        values["current"] = {name: state["current"][name] for name in ("seconds", "images")}
        tensors.update({f"current.{name}": state["current"][name] for name in ("order", "losses")})
    arrays = {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
    arrays["timesteps.history"] = state["timesteps"].history
    arrays["timesteps.counts"] = state["timesteps"].counts
    return values, arrays


def _unflatten(
    state: dict[str, Any], values: dict[str, Any], arrays: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Undo `_flatten`; `state` is that of a new trainer, and is filled."""
    groups: dict[str, dict[str, Tensor]] = {"current": {}}
    for name, array in arrays.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = torch.from_numpy(np.array(array))
    state |= {name: values[name] for name in _VALUES}
    state |= {name: groups[name][""] for name in _TENSORS}
    state |= {name: groups.get(name, {}) for name in ("model", "average", "best", "torch_states")}
    state["optimizer"] = {}
    for name, tensor in groups.get("optimizer", {}).items():
        index, slot = name.split(".")
        state["optimizer"].setdefault(int(index), {})[slot] = tensor
    timesteps = groups["timesteps"]
    state["timesteps"].history, state["timesteps"].counts = (
        timesteps[name].numpy() for name in ("history", "counts")
    )
    state["current"] = values["current"] and values["current"] | groups["current"]
    return state
