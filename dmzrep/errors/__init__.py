"""Errors and warnings of the package."""

from __future__ import annotations

from typing import Any


class DmzError(Exception):
    """Base of all errors that are the package's own."""


class TrainingDivergedError(DmzError, ArithmeticError):
    """The loss or the weights became infinite or not a number.

    Attributes
    ----------
    fitted : dict
        On its way from training to the estimator: fitted attributes with the last weights that were
        numbers, if any. Empty once the estimator has taken them.
    """

    def __init__(self, message: str):
        super().__init__(message)
        self.fitted: dict[str, Any] = {}


class PersistenceError(DmzError, ValueError):
    """A file is not what `save` wrote: foreign, damaged, truncated or of an unknown version."""


class CheckpointMismatchError(DmzError, ValueError):
    """A checkpoint belongs to another configuration or to other data."""


class DeviceUnavailableError(DmzError, ValueError):
    """A device that torch knows is not on this machine."""


class CodeWarning(UserWarning):
    """The learned code is not what it should be, such as ignored by the decoder or with dead bits."""


class TrainingInterruptedWarning(UserWarning):
    """Training was stopped from the keyboard; the model keeps what it has learned."""


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written, or one that is damaged was passed over."""


class DeviceWarning(UserWarning):
    """A model went to another device than the one it was made on or asked for."""


class MemoryWarning(UserWarning):
    """Memory ran out, and training goes on with fewer rows at a time."""
