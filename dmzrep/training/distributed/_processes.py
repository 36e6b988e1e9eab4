"""Processes that train one model together, each on its share of every batch.

Whatever is random is drawn alike in all of them, for the whole batch, and each takes its rows of it. So
several processes learn what one does with the same batch, up to rounding, and a run may stop in two
processes and go on in four.
"""

from __future__ import annotations

import atexit
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

Value = TypeVar("Value")

#: What launchers tell each process.
LAUNCHER = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK", "LOCAL_RANK")
#: Environment variable with that and the process's number; the process's own workers inherit it.
LAUNCHED = "DMZREP_LAUNCHED_PROCESS"
#: How long a process waits for the others: longer than the first alone may take to run a callback.
PATIENCE = timedelta(hours=2)


class Processes:
    """A process that trains alone.

    Attributes
    ----------
    rank, size : int
        Which process this is, from 0, and how many there are.
    total : callable or None
        Sums a contiguous tensor over the processes, in place; None for one process.
    device : torch.device or None
        Where the launcher wants this process to train; None for one process.

    Examples
    --------
    >>> import torch
    >>> from dmzrep.training.distributed._processes import Processes
    >>> alone = Processes()
    >>> alone.is_first, alone.size, alone.rows(8)
    (True, 1, slice(0, 8, None))
    """

    rank = 0
    size = 1
    total: Callable[[Tensor], Any] | None = None
    device: torch.device | None = None

    @property
    def is_first(self) -> bool:
        """Whether this process writes files, shows progress and runs callbacks."""
        return self.rank == 0

    def rows(self, n: int) -> slice:
        """Which rows of a batch of n are this process's; n is a multiple of `size`."""
        share = n // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def mine(self, whole: Tensor) -> Tensor:
        """Take the rows of this process of what all have of a whole batch."""
        return whole

    def whole(self, mine: Tensor, *, others: bool = True) -> Tensor:
        """The rows of all processes, of which each has its own; gradients reach one's own only.

        Without `others` those of the others are zeros, and nobody waits.
        """
        return mine

    def from_first(self, value: Value) -> Value:
        """What the first process has; a plain value or arrays."""
        return value

    def from_all(self, value: Value) -> list[Value]:
        """What each process has, by rank."""
        return [value]

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors by those of the first process."""

    def sum_gradients(self, parameters: Iterable[Tensor], loss: Tensor, *, uneven: bool = False) -> Tensor:
        """Add up the gradients of all processes, in place; give the sum of the losses, which are detached.

        With `uneven`, a weight may have a gradient in some of the processes only.
        """
        return loss

    def time(self) -> float:
        """Seconds of a clock that all processes share, read when they last agreed on it."""
        return time.perf_counter()

    def agree_on_time(self) -> None:
        """Read the first process's clock."""

    def meet(self) -> None:
        """Agree on the time; whatever was to interrupt one of the processes interrupts all.

        Raises
        ------
        KeyboardInterrupt
            Ctrl-C was pressed since the last time.
        """

    @contextmanager
    def keeping_interrupts(self) -> Iterator[None]:
        """Keep Ctrl-C until the processes meet, for as long as the context lasts."""
        yield

    def part(self) -> None:
        """Leave the others after an error, so that they do not wait for this process."""


class SeveralProcesses(Processes):
    """Processes that `torchrun` or `accelerate launch` has started, through Hugging Face accelerate.

    Parameters
    ----------
    on_cpu : bool
        Train on CPUs, whatever devices there are.

    Raises
    ------
    ImportError
        accelerate is not installed.
    RuntimeError
        An earlier error in one of the processes has parted them.
    """

    _parted = False

    def __init__(self, on_cpu: bool):
        if self._parted:
            raise RuntimeError(
                "An earlier fit has failed in one of the processes, and they no longer wait for each other. "
                "Start the script again; the first error says what to change."
            )
        try:
            from accelerate import Accelerator
            from accelerate.utils import InitProcessGroupKwargs
        except ImportError as error:
            raise ImportError(
                "Training in several processes needs accelerate: pip install 'dmzrep[distributed]'. "
                "Or start the script without torchrun."
            ) from error
        patience = InitProcessGroupKwargs(timeout=PATIENCE)
        accelerator = Accelerator(cpu=on_cpu, kwargs_handlers=[patience])
        self.device = torch.device("cpu") if on_cpu else accelerator.device
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        # Small values travel between CPUs, so that no GPU is waited for.
        self._between_cpus = _group_between_cpus()
        self.total = self._total
        self._interrupted = False
        self._time = 0.0

    def _total(self, x: Tensor) -> None:
        if x.device.type != "cpu":
            dist.all_reduce(x)
        else:
            dist.all_reduce(x, group=self._between_cpus)

    def mine(self, whole: Tensor) -> Tensor:
        return whole[self.rows(len(whole))]

    def whole(self, mine: Tensor, *, others: bool = True) -> Tensor:
        parts = [torch.zeros_like(mine, requires_grad=False) for _ in range(self.size)]
        if others:
            dist.all_gather(parts, mine.detach().contiguous())
        parts[self.rank] = mine
        return torch.cat(parts)

    def from_first(self, value: Value) -> Value:
        return _from_first(value)

    def from_all(self, value: Value) -> list[Value]:
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self._between_cpus)
        return values

    @torch.no_grad()
    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        for tensor in tensors:
            # Of whatever memory format it is.
            copied = tensor.contiguous()
            dist.broadcast(copied, 0)
            tensor.copy_(copied)

    @torch.no_grad()
    def sum_gradients(self, parameters: Iterable[Tensor], loss: Tensor, *, uneven: bool = False) -> Tensor:
        parameters = list(parameters)
        if uneven:
            self._fill_gradients(parameters)
        gradients = [p.grad for p in parameters if p.grad is not None]
        parts = [loss.to(torch.float32).reshape(1), *(_in_memory_order(g) for g in gradients)]
        summed = torch.cat(parts)
        self._total(summed)
        loss, *sums = summed.split([len(part) for part in parts])
        torch._foreach_copy_(parts[1:], sums)
        return loss[0]

    def _fill_gradients(self, parameters: list[Tensor]) -> None:
        """Put zeros where another process has a gradient."""
        present = torch.tensor([float(p.grad is not None) for p in parameters])
        self._total(present)
        for p, somewhere in zip(parameters, present.tolist(), strict=True):
            if somewhere and p.grad is None:
                p.grad = torch.zeros_like(p)

    def time(self) -> float:
        return self._time

    def agree_on_time(self) -> None:
        said = torch.tensor([float(self._interrupted), 0.0], dtype=torch.float64)
        if self.is_first:
            said[1] = time.perf_counter()
        self._total(said)
        interrupted, self._time = said.tolist()
        self._interrupted = interrupted > 0.0

    def meet(self) -> None:
        self.agree_on_time()
        if self._interrupted:
            self._interrupted = False
            raise KeyboardInterrupt

    @contextmanager
    def keeping_interrupts(self) -> Iterator[None]:
        def keep(*_: Any) -> None:
            self._interrupted = True

        before = signal.signal(signal.SIGINT, keep)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)

    def part(self) -> None:
        type(self)._parted = True
        dist.destroy_process_group()


def _in_memory_order(dense: Tensor) -> Tensor:
    """A flat view of a tensor without holes, channels-last ones included."""
    return dense.as_strided((dense.numel(),), (1,), dense.storage_offset())


@functools.cache
def _group_between_cpus() -> Any:
    """A group of all processes that talk by CPU; it is left when Python ends."""
    atexit.register(_leave)
    if dist.get_backend() == "gloo":
        return dist.group.WORLD
    return dist.new_group(backend="gloo", timeout=PATIENCE)


def _from_first(value: Value) -> Value:
    values = [value]
    dist.broadcast_object_list(values, group=_group_between_cpus())
    return values[0]


def _leave() -> None:
    # After an error others may be in the midst of something, and leaving would wait for them.
    if dist.is_initialized() and not hasattr(sys, "last_value"):
        dist.destroy_process_group()


def _is_launched() -> bool:
    """Whether a launcher has started this process together with others, rather than one of those has."""
    told = [os.environ.get(name, "") for name in LAUNCHER]
    if not dist.is_available() or not all(told) or not told[2].isdigit() or int(told[2]) < 2:
        return False
    launch = " ".join(told)
    # A launcher that one of the processes starts gives its own an environment of their own.
    if not os.environ.get(LAUNCHED, "").startswith(f"{launch} "):
        os.environ[LAUNCHED] = f"{launch} {os.getpid()}"
    return os.environ[LAUNCHED] == f"{launch} {os.getpid()}"


# Before there can be workers.
_is_launched()


def find_processes(device: torch.device) -> Processes:
    """Find the processes that a launcher has started this one with, or the one that is alone.

    Workers of joblib or multiprocessing, and threads beside the main one, train alone: they inherit the
    launcher's environment, but no place among its processes.

    Parameters
    ----------
    device : torch.device
        Where this process trains.

    Returns
    -------
    Processes

    Raises
    ------
    ValueError
        The device is MPS, of which there is one for all.
    ImportError, RuntimeError
        See `SeveralProcesses`.
    """
    if not _is_launched() or threading.current_thread() is not threading.main_thread():
        return Processes()
    if device.type == "mps":
        raise ValueError(
            "Several processes cannot share an MPS device. Use device='cpu', or start the script alone."
        )
    return SeveralProcesses(on_cpu=device.type == "cpu")
