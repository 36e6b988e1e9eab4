"""Number of threads of a benchmark, and the clock that limits its training."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import torch
from threadpoolctl import threadpool_limits

from dmzrep import DMZEncoder
from dmzrep.retrieval._faiss import load_faiss

#: Number of epochs or samples that is never reached.
NO_LIMIT = 1_000_000


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add the options `--threads` and `--cpu-time`."""
    parser.add_argument("--threads", type=int, help="number of threads of all libraries")
    parser.add_argument("--cpu-time", action="store_true", help="measure CPU time, with one thread")


def check_limits(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> None:
    """Raise an error for incompatible options."""
    if parsed.cpu_time and parsed.threads != 1:
        parser.error("--cpu-time needs --threads 1: the seconds of several threads would add up")


@contextmanager
def limited_threads(n_threads: int | None) -> Iterator[None]:
    """Limit the threads of all libraries to a number; None leaves them as they are."""
    if not n_threads:
        yield
        return
    load_faiss()  # Only libraries that are loaded can be limited.
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        with threadpool_limits(n_threads):
            yield
    finally:
        torch.set_num_threads(before)


def chosen_clock(parsed: argparse.Namespace) -> Callable[[], float]:
    """Return the clock of the options, in seconds: of the core, or on the wall."""
    return time.process_time if parsed.cpu_time else time.perf_counter


def training_clock(parsed: argparse.Namespace) -> AbstractContextManager[object]:
    """Count the seconds that this process had a core for, or those of the clock on the wall."""
    clock = staticmethod(time.process_time)
    return patch.object(DMZEncoder, "_clock", clock) if parsed.cpu_time else nullcontext()


def limits_used(parsed: argparse.Namespace) -> dict[str, Any]:
    """Return the threads and the clock, for a row."""
    return {"threads": torch.get_num_threads(), "clock": "cpu" if parsed.cpu_time else "wall"}
