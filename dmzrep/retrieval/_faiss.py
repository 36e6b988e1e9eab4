"""FAISS, imported on first use, and its number of threads.

FAISS and torch each bring an OpenMP runtime. On macOS two of them with several threads can crash the process,
so the default there is one thread. It is imported after torch, which `dmzrep` imports.
"""

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
def faiss_threads(n_jobs: int | None) -> Iterator[None]:
    """Set FAISS's number of threads from the `n_jobs` of `FaissNeighbors`, and restore it afterwards."""
    faiss = load_faiss()
    if n_jobs is None and sys.platform != "darwin":
        yield
        return
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1 if n_jobs is None else int(effective_n_jobs(n_jobs)))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
