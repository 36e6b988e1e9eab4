"""Forked processes compute on one thread, since OpenMP's others do not come along.

A fork copies a process with the calling thread only. OpenMP runtimes keep their threads from one parallel
region to the next; in a child of a process that has computed on several threads, GNU's waits for ever for
threads that are not there. `multiprocessing` forks by default on Linux before Python 3.14, and so do some
servers (gunicorn with ``--preload``).
"""

from __future__ import annotations

import os

import torch
from threadpoolctl import threadpool_limits

_STATE = {"forked": False}


def compute_on_one_thread_after_forks() -> None:
    """Let every later fork of this process compute on one thread; called where dmzrep is imported."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_compute_on_one_thread)


def in_forked_process() -> bool:
    """Whether this process is a fork of one that had imported dmzrep."""
    return _STATE["forked"]


def _compute_on_one_thread() -> None:
    """Tell the OpenMP runtimes of torch, FAISS and scikit-learn, in a forked child, to start no threads."""
    _STATE["forked"] = True
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="openmp")
