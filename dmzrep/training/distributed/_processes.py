"""Processes that train one model together, each on its shard of every batch.

All of them draw the same random numbers for the whole batch, and each uses its shard. So they learn what one
process learns from the same batch, up to rounding, and another number of processes may resume the run.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

Value = TypeVar("Value")

#: How long a process waits for the others before it raises; the first may be running a callback.
TIMEOUT = timedelta(minutes=30)


class Processes:
    """The processes of a fit, one by default; tensors are reduced on `device`, `clock` returns seconds."""

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        device: torch.device | None = None,
        clock: Callable[[], float] | None = None,
    ):
        self.rank, self.size, self.device = rank, size, device
        # Looked up at each call, so that tests can replace it.
        self._clock = clock or (lambda: time.perf_counter())
        self._time = 0.0
        self._interrupted = False
        #: Separate groups, which can be destroyed after an error, whoever created the default group.
        self._group: Any = None
        self._cpu_group: Any = None
        if size > 1:
            backend = "gloo" if device is None or device.type == "cpu" else "nccl"
            self._cpu_group = dist.new_group(backend="gloo", timeout=TIMEOUT)
            self._group = (
                self._cpu_group if backend == "gloo" else dist.new_group(backend=backend, timeout=TIMEOUT)
            )

    @property
    def is_first(self) -> bool:
        """Whether this process writes files, shows progress and runs callbacks."""
        return self.rank == 0

    # -- tensors -------------------------------------------------------------------------------

    def shard(self, batch: Tensor) -> Tensor:
        """Return this process's part of a batch, whose length is a multiple of `size`."""
        n = len(batch) // self.size
        return batch[self.rank * n : (self.rank + 1) * n]

    def all_gather(self, shard: Tensor) -> Tensor:
        """Return the whole batch; gradients reach this process's shard only."""
        if self.size == 1:
            return shard
        shards = [torch.empty_like(shard, requires_grad=False) for _ in range(self.size)]
        dist.all_gather(shards, shard.detach().contiguous(), group=self._group_of(shard))
        shards[self.rank] = shard
        return torch.cat(shards)

    def all_reduce(self, tensor: Tensor) -> None:
        """Sum a contiguous tensor over the processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor, group=self._group_of(tensor))

    @torch.no_grad()
    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors with those of the first process."""
        for tensor in tensors if self.size > 1 else ():
            contiguous = tensor.contiguous()
            dist.broadcast(contiguous, 0, group=self._group_of(tensor))
            tensor.copy_(contiguous)

    @torch.no_grad()
    def reduce_gradients(self, parameters: Iterable[Tensor], loss: Tensor) -> Tensor:
        """Sum gradients over the processes in place; return the sum of the detached losses.

        A parameter may have a gradient in some of the processes only.
        """
        if self.size == 1:
            return loss
        parameters = list(parameters)
        present = torch.tensor([float(p.grad is not None) for p in parameters], device=loss.device)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([loss.float().reshape(1), present, *(g.reshape(-1).float() for g in gradients)])
        self.all_reduce(flat)
        loss, present, *sums = flat.split([1, len(present), *(g.numel() for g in gradients)])
        for p, gradient, total, n in zip(parameters, gradients, sums, present.tolist(), strict=True):
            p.grad = gradient.copy_(total.view(gradient.shape)) if n else None
        return loss[0]

    def _group_of(self, tensor: Tensor) -> Any:
        return self._cpu_group if tensor.device.type == "cpu" else self._group

    # -- objects -------------------------------------------------------------------------------

    def broadcast_object(self, value: Value) -> Value:
        """Return the first process's value."""
        return self.all_gather_object(value)[0]

    def all_gather_object(self, value: Value) -> list[Value]:
        """Return the values of all processes, by rank."""
        values: list[Any] = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value, group=self._cpu_group)
        return values

    # -- time and interruptions ----------------------------------------------------------------

    def time(self) -> float:
        """Return the seconds of the first process's clock; with several, as of the last `synchronize`."""
        return self._clock() if self.size == 1 else self._time

    def synchronize(self) -> None:
        """Share the first process's clock, and whether Ctrl-C was pressed."""
        if self.size == 1:
            return
        state = torch.tensor([float(self._interrupted), 0.0], dtype=torch.float64)
        if self.is_first:
            state[1] = self._clock()
        self.all_reduce(state)
        interrupted, self._time = state.tolist()
        self._interrupted = interrupted > 0.0

    def barrier(self) -> None:
        """Synchronise clocks, and raise KeyboardInterrupt in all processes if Ctrl-C was pressed in one."""
        self.synchronize()
        if self._interrupted:
            self._interrupted = False
            raise KeyboardInterrupt

    @contextmanager
    def deferred_interrupts(self) -> Iterator[None]:
        """With several processes, defer Ctrl-C to the next `barrier`."""
        if self.size == 1:
            yield
            return

        def defer(*_: Any) -> None:
            self._interrupted = True

        before = signal.signal(signal.SIGINT, defer)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)

    def abort(self) -> None:
        """Destroy the groups of `Processes`; processes that wait for this one get an error."""
        groups, self._group, self._cpu_group = (self._group, self._cpu_group), None, None
        if groups[0] is not groups[1]:
            dist.destroy_process_group(groups[0])
        if groups[1] is not None:
            dist.destroy_process_group(groups[1])
