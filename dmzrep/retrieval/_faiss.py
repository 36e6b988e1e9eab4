"""FAISS on use: its import and its threads.

FAISS and torch bring an OpenMP runtime each. On Linux and Windows both run side by side. On macOS two
of them with several threads can end the process, so FAISS gets one thread there unless asked for more.
It is imported here only, inside functions and after torch, which every import of `dmzrep` brings in first.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from joblib import effective_n_jobs


def load_faiss() -> Any:
    """Give the module `faiss`; raise ImportError that says what to install."""
    try:
        import faiss
    except ImportError as error:
        raise ImportError("Search needs FAISS. Install it with: pip install faiss-cpu") from error
    return faiss


@contextmanager
def faiss_threads(n_jobs: int | None) -> Iterator[Any]:
    """Give `faiss` with its number of threads set, and set it back afterwards.

    OpenMP keeps the number for each calling thread, so queries from several threads do not meet.

    Parameters
    ----------
    n_jobs : int or None
        Threads; -1 is all processors, -2 all but one. None leaves FAISS's own number (all processors,
        or what ``OMP_NUM_THREADS`` says), and is 1 on macOS.
    """
    faiss = load_faiss()
    if n_jobs is None and sys.platform != "darwin":
        yield faiss
        return
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1 if n_jobs is None else int(effective_n_jobs(n_jobs)))
    try:
        yield faiss
    finally:
        faiss.omp_set_num_threads(before)
