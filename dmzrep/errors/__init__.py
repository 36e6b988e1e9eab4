"""Errors and warnings of the package."""

from typing import Any


class DmzError(Exception):
    """Base class of the errors of the package."""


class TrainingDivergedError(DmzError, ArithmeticError):
    """The loss or the weights became infinite or NaN.

    Attributes
    ----------
    fitted : dict
        Fitted attributes with the last finite weights, if any, for the estimator, which takes them and
        leaves the dictionary empty.
    """

    def __init__(self, message: str):
        super().__init__(message)
        self.fitted: dict[str, Any] = {}


class PersistenceError(DmzError, ValueError):
    """A file was not written by `save`, is damaged or truncated, or has an unknown version."""


class CheckpointMismatchError(DmzError, ValueError):
    """A checkpoint belongs to another configuration or another dataset."""


class DeviceUnavailableError(DmzError, ValueError):
    """The requested device is not available on this machine."""


class CodeWarning(UserWarning):
    """The learned code is poor: for example, it has constant bits or the decoder ignores it."""


class LikelihoodWarning(UserWarning):
    """Samples are less likely under a model than under a Gaussian fitted to the training samples."""


class TrainingInterruptedWarning(UserWarning):
    """Training was interrupted from the keyboard; the model keeps its current state."""


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written, or a damaged checkpoint was skipped."""


class DeviceWarning(UserWarning):
    """A model was placed on a device other than the requested one."""


class MemoryWarning(UserWarning):
    """Memory ran out, and training continues with smaller micro-batches."""
