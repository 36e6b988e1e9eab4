"""Micro-batches that fit into memory."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch

from dmzrep._base._device import give_back_memory
from dmzrep.errors import MemoryWarning

#: Messages of out-of-memory errors for which torch has no class: CPU, MPS, libraries of CUDA.
_MESSAGES = (
    "can't allocate memory",
    "not enough memory",
    "backend out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of a device or of the CPU is full."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error) for message in _MESSAGES)


class MicroBatches:
    """Processes batches in parts of at most `size` samples (None: whole), halved when memory runs out."""

    def __init__(self, size: int | None = None):
        self.size = size

    def run(self, n_samples: int, work: Callable[[slice], None], undo: Callable[[], None]) -> None:
        """Call `work` with slices that cover a batch; if memory runs out, call `undo` and retry with smaller.

        Raises the error if memory runs out for a single sample.
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
                f"Memory ran out for {size} samples at a time. Training continues with {self.size} at a time "
                f"and the same batches. To avoid this, set micro_batch_size={self.size}.",
                MemoryWarning,
                stacklevel=2,
            )
            del error
            give_back_memory("auto")

    @staticmethod
    def _try(n_samples: int, size: int, work: Callable[[slice], None]) -> BaseException | None:
        """Return the out-of-memory error, if any."""
        try:
            for start in range(0, n_samples, size):
                work(slice(start, min(start + size, n_samples)))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return error
        return None
