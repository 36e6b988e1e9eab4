"""Processes that train one model together, each on its shard of every batch.

All processes draw the same random numbers for the whole batch, and each uses its shard. The result is that of
a single process, up to rounding, and a run can be resumed with another number of processes.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed import distributed_c10d
from torch.distributed.rendezvous import rendezvous

from dmzrep.networks._device import resolve_device

Value = TypeVar("Value")

#: Time after which a process that waits for others raises; the first may be running a callback.
TIMEOUT = timedelta(minutes=30)
#: Environment variables by which torchrun and `accelerate launch` describe a process.
LAUNCHER_VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK")


class Processes:
    """The processes of a fit, one by default, with tensors on `device`; `clock` returns seconds."""

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        device: torch.device | None = None,
        clock: Callable[[], float] | None = None,
    ):
        self.rank, self.size, self.device = rank, size, device
        self._clock = clock or time.perf_counter
        self._time = 0.0
        self._interrupted = False
        #: Separate groups, which can be destroyed after an error independently of the default group.
        self._group: Any = None
        self._cpu_group: Any = None
        if size > 1:
            self._group = self._cpu_group = dist.new_group(backend="gloo", timeout=TIMEOUT)
            if device is not None and device.type != "cpu":
                self._group = dist.new_group(backend="nccl", timeout=TIMEOUT)

    @property
    def is_first(self) -> bool:
        """Whether this process writes files, shows progress and runs callbacks."""
        return self.rank == 0

    def shard(self, batch: Tensor) -> Tensor:
        """Return this process's part of a batch, whose length is a multiple of `size`."""
        n = len(batch) // self.size
        return batch[self.rank * n : (self.rank + 1) * n]

    def all_gather(self, shard: Tensor) -> Tensor:
        """Return the whole batch; only this process's shard gets gradients."""
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

        A parameter may have a gradient in only some of the processes.
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

    def broadcast_object(self, value: Value) -> Value:
        """Return the first process's value."""
        return self.all_gather_object(value)[0]

    def all_gather_object(self, value: Value) -> list[Value]:
        """Return the values of all processes, by rank."""
        values: list[Any] = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value, group=self._cpu_group)
        return values

    def time(self) -> float:
        """Return the time of the first process's clock; with several processes, at the last `synchronize`."""
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
        groups = dict.fromkeys([self._group, self._cpu_group])
        self._group = self._cpu_group = None
        for group in filter(None, groups):
            dist.destroy_process_group(group)


@contextmanager
def find_processes(
    device: str | torch.device, distributed: bool, clock: Callable[[], float] | None = None
) -> Iterator[Processes]:
    """Join the processes that train together within the context.

    A process group that the script has initialised is used and left as it is. Otherwise one is created from
    the environment of torchrun or `accelerate launch`, and destroyed at the end.
    """
    if not distributed:
        yield Processes(clock=clock)
        return
    owned = not (dist.is_available() and dist.is_initialized())
    _check_can_join(device, owned)
    if owned:
        _initialise(device)
    processes = None
    try:
        rank, size = dist.get_rank(), dist.get_world_size()
        processes = Processes(rank, size, _device_of(device, owned), clock)
        yield processes
    except BaseException as error:
        error.add_note(
            "This ends the fit in all processes. If the connection was lost, see the errors of the others."
        )
        raise
    finally:
        if processes is not None:
            processes.abort()
        if owned:
            dist.destroy_process_group()


def _check_can_join(device: str | torch.device, owned: bool) -> None:
    if resolve_device(device).type == "mps":
        raise ValueError("Several processes cannot share an MPS device. Use device='cpu'.")
    if threading.current_thread() is not threading.main_thread():
        raise ValueError("distributed=True needs the main thread. Use distributed=False in other threads.")
    if not owned:
        return
    if multiprocessing.parent_process() is not None:
        raise ValueError(
            "distributed=True trains in the processes that a launcher has started, but this is a worker of "
            "one of them. Use n_jobs=None, or distributed=False."
        )
    if not dist.is_available() or not all(os.environ.get(name) for name in LAUNCHER_VARIABLES):
        raise ValueError(
            "distributed=True needs several processes, but there is no process group and no launcher. Start "
            "the script with 'torchrun --nproc-per-node 2 script.py' or 'accelerate launch script.py', call "
            "torch.distributed.init_process_group first, or use distributed=False."
        )


def _device_of(device: str | torch.device, owned: bool) -> torch.device:
    """Return the device; by default, the GPU of the local rank."""
    resolved = resolve_device(device)
    if owned and resolved.type == "cuda" and str(device) in ("auto", "cuda"):
        return resolve_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
    return resolved


@functools.cache
def _store() -> tuple[Any, int, int]:
    """Return the launcher's store, rank and size; cached, since the first process may host the store."""
    return next(iter(rendezvous("env://", timeout=TIMEOUT)))


def _initialise(device: str | torch.device) -> None:
    """Create the default process group, with keys in the launcher's store that are unique to this fit."""
    store, rank, size = _store()
    fit = (store.add("dmzrep", 1) - 1) // size
    backend = "gloo" if resolve_device(device).type == "cpu" else "cpu:gloo,cuda:nccl"
    store = distributed_c10d.PrefixStore(f"dmzrep/{fit}", store)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
