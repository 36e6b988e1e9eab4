"""Checkpoints: a training run written to files now and then, and resumed."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from typing import Any

import pandas as pd
from torch import Tensor

from dmzrep.errors import CheckpointMismatchError, CheckpointWarning, PersistenceError
from dmzrep.files._state import restoring, take
from dmzrep.training._checkpoint_folder import KIND, CheckpointFolder
from dmzrep.training._checkpoint_state import checked_state
from dmzrep.training._hooks import Hooks
from dmzrep.training._loop import Trainer
from dmzrep.training.distributed._processes import Processes


class Checkpoints(Hooks):
    """Finds the checkpoints of a run, if there are any, and writes more of them.

    Parameters
    ----------
    folder : path-like
        Made if missing. Each run has a folder of its own in it, named by a hash of its identity.
    identity : dict
        JSON values that a run must share to be resumed.
    every : {"epoch"} or float, default="epoch"
        Write at the end of each epoch, or whenever as many seconds have passed, in the midst of an epoch
        too. Either way there is one of the run's end.
    keep : int, default=2
        How many checkpoints are kept.
    processes : Processes, optional
        Those that train together, of which the first reads and writes; by default this one alone.

    Raises
    ------
    CheckpointMismatchError
        The run's own folder holds checkpoints of another run.
    PersistenceError
        There are checkpoints of the run, but none of them is whole.

    Attributes
    ----------
    found : dict or None
        The newest whole checkpoint of the run, until `resume` has taken it.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        identity: dict[str, Any],
        *,
        every: str | float = "epoch",
        keep: int = 2,
        processes: Processes | None = None,
    ):
        self.every = every
        self._identity = identity
        self._begun: dict[str, Any] = {"seed": None, "settled": {}}
        self._path = ""
        processes = processes or Processes()
        self.folder: CheckpointFolder | None = None
        found, error = None, None
        if processes.is_first:
            try:
                self.folder = CheckpointFolder(folder, run_name(identity), keep)
                found = self._newest(self.folder)
            except (ValueError, PersistenceError) as raised:
                error = raised
        self.found, error = processes.broadcast_object((found, error))
        if error is not None:
            raise error
        self._written: tuple[int, bool] | None = None
        self._written_at = 0.0
        self._fails = False

    def _newest(self, folder: CheckpointFolder) -> dict[str, Any] | None:
        newest = folder.newest()
        if newest is None:
            return None
        self._path, state = os.fspath(newest[0]), newest[1]
        with restoring(self._path, KIND):
            identity, *_ = take(state, "identity", "seed", "settled", "trainer")
        differing = sorted(
            name
            for name in identity.keys() | self._identity
            if identity.get(name) != self._identity.get(name)
        )
        if differing:
            raise CheckpointMismatchError(
                f"{folder.path} holds checkpoints of another run, which differs in {', '.join(differing)}. "
                "They were moved there. Delete them, or use another checkpoint_dir."
            )
        return state

    @property
    def seed(self) -> int | None:
        """The seed of the run that was found."""
        return None if self.found is None else self.found["seed"]

    @property
    def settled(self) -> dict[str, Any]:
        """What the run that was found had settled at its start; empty without one."""
        return {} if self.found is None else self.found["settled"]

    def begin(self, seed: int, settled: dict[str, Any]) -> None:
        """Set what all checkpoints of the run hold.

        Parameters
        ----------
        seed : int
            The seed of the run.
        settled : dict
            Plain values that a run finds out at its start, and that it need not find out again.
        """
        self._begun = {"seed": seed, "settled": settled}

    def resume(self, trainer: Trainer) -> None:
        """Bring a new trainer of the same configuration to where the run that was found stood.

        Raises
        ------
        PersistenceError
            The checkpoint is not one of such a trainer.
        """
        if self.found is not None:
            with restoring(self._path, KIND):
                trainer.load_state(checked_state(self.found["trainer"], trainer))
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
        # What is written is resumed from, so it has to be sound.
        trainer.guard.check(trainer)
        if self.folder is None or self._write_file(self.folder, trainer):
            self._written = place
        self._written_at = trainer.processes.time()

    def _write_file(self, folder: CheckpointFolder, trainer: Trainer) -> bool:
        """Write a checkpoint; return whether that went well, and warn of a disk that fails."""
        state = trainer.state()
        state["timesteps"] = {name: getattr(state["timesteps"], name) for name in ("history", "counts")}
        state["history"] = pd.DataFrame(state["history"])
        try:
            folder.write(trainer.step, {"identity": self._identity, "trainer": state} | self._begun)
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


def run_name(identity: dict[str, Any]) -> str:
    """Return the name of a run's folder."""
    text = json.dumps(identity, sort_keys=True)
    return f"run-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


def _place(trainer: Trainer) -> tuple[int, bool]:
    """Where a run stands: its step, and whether the epoch is over."""
    return trainer.step, trainer.current is None
