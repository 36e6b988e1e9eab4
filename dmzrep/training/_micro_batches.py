"""Micro-batches that fit into memory."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from dmzrep._base._warnings import warn
from dmzrep.errors import MemoryWarning
from dmzrep.networks._device import release_cached_memory

#: Messages of out-of-memory errors without a class in torch: CPU, MPS, CUDA libraries.
_MESSAGES = (
    "can't allocate memory",
    "not enough memory",
    "backend out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the CPU or a device is out of memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error) for message in _MESSAGES)


class MicroBatches:
    """Processes batches in parts of at most `size` samples (None: whole), halved when memory runs out."""

    def __init__(self, size: int | None = None):
        self.size = size

    def run(self, n_samples: int, work: Callable[[slice], None], undo: Callable[[], None]) -> None:
        """Call `work` with slices that cover a batch; if memory runs out, call `undo` and halve the size.

        The error is raised if memory runs out for a single sample.
        """
        start = 0
        while start < n_samples:
            size = min(self.size or n_samples, n_samples)
            try:
                work(slice(start, min(start + size, n_samples)))
                start += size
                continue
            except (RuntimeError, MemoryError) as error:
                if size == 1 or not is_out_of_memory(error):
                    raise
            # Outside the handler, the frames of the error no longer keep tensors alive.
            undo()
            release_cached_memory("auto")
            start, self.size = 0, math.ceil(size / 2)
            warn(
                f"Memory ran out for {size} samples at a time. Training continues with {self.size} at a time "
                f"and the same batches. To avoid this, set micro_batch_size={self.size}.",
                MemoryWarning,
            )
