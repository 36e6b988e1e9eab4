"""Errors and warnings of the package."""

from __future__ import annotations


class DmzError(Exception):
    """Base of all errors that are the package's own."""


class TrainingDivergedError(DmzError, ArithmeticError):
    """The loss or the weights became infinite or not a number."""


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


class DeviceWarning(UserWarning):
    """A model went to another device than the one it was made on or asked for."""
