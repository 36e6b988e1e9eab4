"""A folder with the last checkpoints of a run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

from dmzrep._base._validation import as_path
from dmzrep.errors import CheckpointWarning, PersistenceError
from dmzrep.files._state import read_state, write_state

#: What files say that they hold.
KIND = "checkpoint"
_NAME = re.compile(r"checkpoint-(\d+)\.safetensors")


class CheckpointFolder:
    """Checkpoints of one run, each a file that is named by its step.

    Parameters
    ----------
    path : path-like
        The folder of all runs.
    run : str
        Name of the run's own folder in it; made if missing.
    keep : int, default=2
        How many checkpoints are kept.

    Raises
    ------
    ValueError
        The folder is missing and cannot be made.
    """

    def __init__(self, path: str | os.PathLike, run: str, keep: int = 2):
        self.path = as_path(path, "checkpoint_dir") / run
        self.keep = keep
        self._damaged: list[Path] = []
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"checkpoint_dir={os.fspath(path)!r} must be a folder, or one that can be made: {error}. "
                "Name another, or use None."
            ) from error
        # A process that was killed while it wrote leaves the part that it had written.
        for part in self.path.glob(".checkpoint-*.part"):
            shutil.rmtree(part, ignore_errors=True)

    def newest(self) -> tuple[Path, dict[str, Any]] | None:
        """Return the newest whole checkpoint and its path, or None where there is none at all.

        Raises
        ------
        PersistenceError
            There are checkpoints, but none of them is whole.

        Warns
        -----
        CheckpointWarning
            A damaged one was passed over.
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
                warnings.warn(
                    f"The checkpoint {damaged} is damaged and was passed over; training goes on from "
                    f"{path.name}, the one before.",
                    CheckpointWarning,
                    stacklevel=3,
                )
            return path, content
        if errors:
            raise PersistenceError(
                f"None of the {len(errors)} checkpoints in {self.path} is whole. {errors[0]} "
                "To start anew, delete them or use another checkpoint_dir."
            )
        return None

    def write(self, step: int, state: dict[str, Any]) -> Path:
        """Write a checkpoint, whole or not at all, and then delete those that are no longer kept.

        Parameters
        ----------
        step : int
            The step that it is of.
        state : dict
            Its content.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        OSError
            It cannot be written; those before are as they were.
        """
        path = self.path / f"checkpoint-{step:09d}.safetensors"
        write_state(path, KIND, state)
        files = self._files()
        # Later steps than this are of a run that was left for an earlier checkpoint.
        old = [file for of_step, file in files if of_step > step or file in self._damaged]
        kept = [file for _, file in files if file not in old]
        for file in [*old, *kept[: -self.keep]]:
            if file != path:
                with contextlib.suppress(OSError):
                    file.unlink()
        self._damaged = []
        return path

    def _files(self) -> list[tuple[int, Path]]:
        """Checkpoints by step, oldest first."""
        names = ((_NAME.fullmatch(path.name), path) for path in self.path.iterdir())
        return sorted((int(match[1]), path) for match, path in names if match)
