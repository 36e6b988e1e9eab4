"""Checkpoints: files from which a training run can be resumed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from torch import Tensor

from dmzrep._base._validation import as_path
from dmzrep._base._warnings import warn
from dmzrep.errors import CheckpointMismatchError, CheckpointWarning, PersistenceError
from dmzrep.files._state import read_state, restoring, take, write_state
from dmzrep.training._hooks import Hooks
from dmzrep.training._loop import Trainer
from dmzrep.training._processes import Processes
from dmzrep.training._state import decoded_state, encoded_state, load_trainer_state

#: Kind of the files.
KIND = "checkpoint"
_NAME = re.compile(r"checkpoint-(\d+)\.safetensors")


class Checkpoints(Hooks):
    """Reads the latest checkpoint of the run with an `identity` (JSON values), and writes new ones.

    The first process writes them at the end of each epoch or every `every` seconds, and at the end of the
    run, to a folder named by a hash of the identity; the last `keep` are kept. Raises CheckpointMismatchError
    if the folder holds another run, PersistenceError if all checkpoints are damaged.
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
        self._metadata: dict[str, Any] = {"seed": None, "resolved": {}}
        self._path = ""
        processes = processes or Processes()
        self.folder: CheckpointFolder | None = None
        latest, error = None, None
        if processes.is_first:
            try:
                self.folder = CheckpointFolder(folder, run_name(identity), keep)
                latest = self._read_latest(self.folder)
            except (ValueError, PersistenceError) as raised:
                error = raised
        #: The latest valid checkpoint, until `resume` has loaded it.
        self.latest, error = processes.broadcast_object((latest, error))
        if error is not None:
            raise error
        self._written: tuple[int, bool] | None = None
        self._written_at = 0.0
        self._has_warned = False

    def _read_latest(self, folder: CheckpointFolder) -> dict[str, Any] | None:
        latest = folder.read_latest()
        if latest is None:
            return None
        self._path, state = os.fspath(latest[0]), latest[1]
        with restoring(self._path, KIND):
            identity, *_ = take(state, "identity", "seed", "resolved", "trainer")
        names = identity.keys() | self._identity
        differing = sorted(name for name in names if identity.get(name) != self._identity.get(name))
        if differing:
            raise CheckpointMismatchError(
                f"{folder.path} holds checkpoints of another run, which differs in {', '.join(differing)}. "
                "They were moved there. Delete them, or use another checkpoint_dir."
            )
        return state

    @property
    def seed(self) -> int | None:
        """The seed of the run to resume."""
        return None if self.latest is None else self.latest["seed"]

    @property
    def resolved(self) -> dict[str, Any]:
        """Resolved values of the ``"auto"`` parameters of the run to resume, if any."""
        return {} if self.latest is None else self.latest["resolved"]

    def set_metadata(self, seed: int, resolved: dict[str, Any]) -> None:
        """Set the seed and the resolved parameters (JSON values) to store in checkpoints."""
        self._metadata = {"seed": seed, "resolved": resolved}

    def resume(self, trainer: Trainer) -> None:
        """Load the latest checkpoint, if any, into a new trainer of the same configuration."""
        if self.latest is not None:
            with restoring(self._path, KIND):
                load_trainer_state(trainer, decoded_state(self.latest["trainer"], trainer))
            self.latest, self._written = None, _position(trainer)

    def fit_begin(self, trainer: Trainer, n_samples: int) -> None:
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
        # An interrupted or failed run may be in the middle of a step.
        if trainer.stopped not in ("", "interrupted", "diverged"):
            self._write(trainer)

    def _write_if_due(self, trainer: Trainer) -> None:
        if not isinstance(self.every, str) and trainer.processes.time() - self._written_at >= self.every:
            self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        """Write a checkpoint, unless there is one of this position of the run."""
        position = _position(trainer)
        if position == self._written:
            return
        # A run must not be resumed from non-finite weights.
        trainer.guard.check(trainer)
        if self.folder is None or self._write_file(self.folder, trainer):
            self._written = position
        self._written_at = trainer.processes.time()

    def _write_file(self, folder: CheckpointFolder, trainer: Trainer) -> bool:
        """Write a checkpoint and return whether it succeeded; warn once per series of failures."""
        state = {"identity": self._identity, "trainer": encoded_state(trainer)} | self._metadata
        try:
            folder.write(trainer.step, state)
        except OSError as error:
            if not self._has_warned:
                last = (
                    f"The last one is of step {self._written[0]}." if self._written else "There is none yet."
                )
                warn(
                    f"A checkpoint could not be written to {folder.path}: {error}. Training continues, and "
                    f"tries again. {last} Free some space there, or make the folder writable.",
                    CheckpointWarning,
                )
            self._has_warned = True
            return False
        self._has_warned = False
        return True


class CheckpointFolder:
    """The folder ``path / run`` with the last `keep` checkpoints of a run, named by step."""

    def __init__(self, path: str | os.PathLike, run: str, keep: int = 2):
        self.path = as_path(path, "checkpoint_dir") / run
        self.keep = keep
        self._damaged: list[Path] = []
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"checkpoint_dir={os.fspath(path)!r} must be a folder, or a path where one can be created: "
                f"{error}. Use another path, or None."
            ) from error
        # A process that was killed while writing leaves an incomplete file.
        for part in self.path.glob(".checkpoint-*.part"):
            shutil.rmtree(part, ignore_errors=True)

    def read_latest(self) -> tuple[Path, dict[str, Any]] | None:
        """Return the latest valid checkpoint and its path, or None without checkpoints.

        Damaged ones are skipped with a warning; raises PersistenceError if all are damaged.
        """
        errors = []
        for _, path in reversed(self._files()):
            try:
                content = read_state(path, KIND)
            except PersistenceError as error:
                self._damaged.append(path)
                errors.append(error)
                continue
            for damaged in self._damaged:
                warn(
                    f"The checkpoint {damaged} is damaged and was skipped; training resumes from the one "
                    f"before, {path.name}.",
                    CheckpointWarning,
                )
            return path, content
        if errors:
            raise PersistenceError(
                f"All {len(errors)} checkpoints in {self.path} are damaged. {errors[0]} "
                "To start a new run, delete them or use another checkpoint_dir."
            )
        return None

    def write(self, step: int, state: dict[str, Any]) -> None:
        """Write a checkpoint atomically, then delete old ones."""
        path = self.path / f"checkpoint-{step:09d}.safetensors"
        write_state(path, KIND, state)
        files = self._files()
        # Later steps are from before the run was resumed from an earlier checkpoint.
        old = [file for of_step, file in files if of_step > step or file in self._damaged]
        kept = [file for _, file in files if file not in old]
        for file in [*old, *kept[: -self.keep]]:
            if file != path:
                with contextlib.suppress(OSError):
                    file.unlink()
        self._damaged = []

    def _files(self) -> list[tuple[int, Path]]:
        """Return the steps and paths of the checkpoints, in ascending order."""
        names = ((_NAME.fullmatch(path.name), path) for path in self.path.iterdir())
        return sorted((int(match[1]), path) for match, path in names if match)


def run_name(identity: dict[str, Any]) -> str:
    """Return the name of the folder of a run."""
    text = json.dumps(identity, sort_keys=True)
    return f"run-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


def _position(trainer: Trainer) -> tuple[int, bool]:
    """Return the step, and whether the epoch has ended."""
    return trainer.step, trainer.current is None
