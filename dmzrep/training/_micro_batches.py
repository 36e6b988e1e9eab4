"""Batches in parts that fit into memory."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch

from dmzrep._base._device import give_back_memory
from dmzrep.errors import MemoryWarning

#: What says that memory is full, where torch has no class of its own: CPUs, MPS, libraries of CUDA.
FULL = (
    "can't allocate memory",
    "not enough memory",
    "backend out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or the CPU's memory, is full."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in FULL)


class MicroBatches:
    """Goes through batches in parts, of fewer samples when memory runs out.

    Parameters
    ----------
    size : int or None
        Samples of a part at most; None for whole batches.

    Attributes
    ----------
    size : int or None
        The same, smaller after memory ran out.

    Examples
    --------
    >>> from dmzrep.training._micro_batches import MicroBatches
    >>> MicroBatches(3).run(8, lambda part: print(part.start, part.stop), lambda: None)
    0 3
    3 6
    6 8
    """

    def __init__(self, size: int | None = None):
        self.size = size

    def run(self, n_samples: int, work: Callable[[slice], None], undo: Callable[[], None]) -> None:
        """Work on all samples of a batch; when memory runs out, undo that and begin again with smaller parts.

        Parameters
        ----------
        n_samples : int
            Samples of the batch.
        work : callable
            Called with each part, a slice of the samples.
        undo : callable
            Called before a new beginning.

        Raises
        ------
        RuntimeError
            Memory runs out for a single sample.

        Warns
        -----
        MemoryWarning
            Parts become smaller.
        """
        while True:
            size = min(self.size or n_samples, n_samples)
            error = self._try(n_samples, size, work)
            if error is None:
                return
            undo()
            if size == 1:
                raise error
            # Frames that the error holds keep their tensors.
            error = error.with_traceback(None)
            self.size = math.ceil(size / 2)
            warnings.warn(
                f"Memory ran out for {size} samples at a time. Training goes on with {self.size} at a time, "
                f"and batches as large as before. micro_batch_size={self.size} does so from the start.",
                MemoryWarning,
                stacklevel=2,
            )
            del error
            give_back_memory("auto")

    @staticmethod
    def _try(n_samples: int, size: int, work: Callable[[slice], None]) -> BaseException | None:
        """Work on all samples; return the error that says that memory ran out, if any."""
        try:
            for start in range(0, n_samples, size):
                work(slice(start, min(start + size, n_samples)))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return error
        return None
