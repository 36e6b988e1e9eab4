"""Joining the processes of a fit, which a script or a launcher has started."""

from __future__ import annotations

import functools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed as dist
from torch.distributed import distributed_c10d
from torch.distributed.rendezvous import rendezvous

from dmzrep._base._device import resolve_device
from dmzrep.training.distributed._processes import TIMEOUT, Processes

#: Environment variables by which torchrun and `accelerate launch` describe a process.
LAUNCHER_VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK")


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
    """Return the GPU of the local rank, unless the parameter names another."""
    resolved = resolve_device(device)
    if owned and resolved.type == "cuda" and str(device) in ("auto", "cuda"):
        return resolve_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
    return resolved


@functools.cache
def _store() -> tuple[Any, int, int]:
    """Return the store of the launcher, rank and size; cached, since the first process may host it."""
    return next(iter(rendezvous("env://", timeout=TIMEOUT)))


def _initialise(device: str | torch.device) -> None:
    """Create the default process group, with keys in the store of the launcher that only this fit uses."""
    store, rank, size = _store()
    fit = (store.add("dmzrep", 1) - 1) // size
    backend = "gloo" if resolve_device(device).type == "cpu" else "cpu:gloo,cuda:nccl"
    store = distributed_c10d.PrefixStore(f"dmzrep/{fit}", store)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
