"""FAISS, imported on first use, and its number of threads.

FAISS and torch bring an OpenMP runtime each. On macOS two of them with several threads can end the process,
so FAISS uses one thread there unless asked for more. It is imported after torch, which `dmzrep` imports.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from joblib import effective_n_jobs


def load_faiss() -> Any:
    """Return the module `faiss`; raise ImportError that says whether it is missing or broken."""
    try:
        import faiss
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "faiss":
            raise ImportError("Search needs FAISS. Install it with: pip install faiss-cpu") from error
        raise ImportError(
            f"FAISS is installed but cannot be imported: {error}. "
            "Reinstall it with: pip install --force-reinstall faiss-cpu"
        ) from error
    return faiss


@contextmanager
def faiss_threads(n_jobs: int | None) -> Iterator[Any]:
    """Yield `faiss` with its number of threads set for the calling thread, and restore it afterwards.

    Parameters
    ----------
    n_jobs : int or None
        Threads; -1 is all processors, -2 all but one. None keeps FAISS's own number (all processors, or
        ``OMP_NUM_THREADS``), and is 1 on macOS. Forked processes always use one thread.
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
