"""How much of the machine a benchmark uses, and which clock counts its training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from unittest.mock import patch

import torch
from threadpoolctl import threadpool_limits

from dmzrep.retrieval.faiss_runtime import load_faiss


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


def clock(cpu_time: bool) -> AbstractContextManager[object]:
    """Count the seconds that this process had a core for, or those of the clock on the wall."""
    return patch("time.perf_counter", time.process_time) if cpu_time else nullcontext()
