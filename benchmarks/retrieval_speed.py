"""Speed of FaissNeighbors on binary codes, compared with scikit-learn's brute force and FAISS itself.

    python -m benchmarks.retrieval_speed [--data DATA] [--rows 1000000] [--queries 1000] [--repeats 5]

With `--data`, codes are 64 ITQ bits of MNIST's train images, drawn with replacement, each bit flipped
with probability `--flips`; queries are bits of test images. Without it both are signs of projections of
a Gaussian mixture. All contenders search in turn in one process, and medians are compared; memory is
measured in a process for each. One row is appended for each contender.

Neighbours count as found if they are at most as far as the exact k-th, since ties can be broken either way.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from benchmarks.datasets import load_mnist
from benchmarks.results import append
from benchmarks.rivals import ITQ
from dmzrep.retrieval import FaissNeighbors
from dmzrep.retrieval._index_state import index_state

RESULTS = "retrieval_speed"
BITS = 64
PROBES, CANDIDATES = (8, 16, 32, 64), (16, 32, 64, 128)
SKLEARN, FLAT = "scikit-learn, brute force on float32", "FaissNeighbors, flat"
DIRECT, DIRECT_IVF = "FAISS, IndexBinaryFlat", "FAISS, IndexBinaryIVF, nprobe"


def mnist_codes(
    folder: str, n: int, n_queries: int, flips: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return ITQ bits of MNIST, train images repeated with noise."""
    data = load_mnist(folder)
    itq = ITQ(BITS, seed).fit(data.train)
    bits = itq.transform(data.train)["bits"].astype(np.uint8)
    queries = itq.transform(data.test[:n_queries])["bits"].astype(np.uint8)
    random = np.random.default_rng(seed)
    rows = bits[random.integers(0, len(bits), n)]
    for start in range(0, n, 100_000):
        part = rows[start : start + 100_000]
        part ^= random.random(part.shape, dtype=np.float32) < flips
    return rows, queries


def mixture_codes(n: int, n_queries: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Signs of projections of a mixture of 500 Gaussians in 16 dimensions."""
    random = np.random.default_rng(seed)
    centres, directions = 2.0 * random.normal(size=(500, 16)), random.normal(size=(16, BITS))
    factors = centres[random.integers(0, 500, n + n_queries)] + random.normal(size=(n + n_queries, 16))
    bits = (factors @ directions > 0).astype(np.uint8)
    return bits[:n], bits[n:]


def contenders(
    bits: np.ndarray, queries: np.ndarray, k: int, seed: int
) -> tuple[dict[str, Callable[[], Any]], dict[str, dict[str, Any]]]:
    """Return the search functions, and the columns that describe them."""
    import faiss

    searches: dict[str, Callable[[], Any]] = {}
    facts: dict[str, dict[str, Any]] = {}
    packed_queries, float_queries = np.packbits(queries, axis=1), queries.astype(np.float32)

    brute = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(bits.astype(np.float32))
    searches[SKLEARN] = lambda: brute.kneighbors(float_queries)
    facts[SKLEARN] = {"index_bytes": int(brute._fit_X.nbytes)}

    direct = faiss.IndexBinaryFlat(bits.shape[1])
    direct.add(np.packbits(bits, axis=1))
    searches[DIRECT] = lambda: direct.search(packed_queries, k)

    def ours(name: str, fitted: FaissNeighbors, **params: Any) -> None:
        def search() -> Any:
            return fitted.set_params(**params).kneighbors(queries, k)

        searches[name] = search

    for index in ("flat", "ivf", "hnsw"):
        begun = time.perf_counter()
        neighbors = FaissNeighbors(k, index=index, random_state=seed).fit(bits)
        build = {"build_seconds": round(time.perf_counter() - begun, 2)}
        build["index_bytes"] = sum(array.nbytes for array in index_state(neighbors.index_).values())
        settings = {"flat": [{}], "ivf": [{"n_probes": n} for n in ("auto", *PROBES)]}.get(
            index, [{"ef_search": n} for n in CANDIDATES]
        )
        for setting in settings:
            name = ", ".join(["FaissNeighbors", index, *(f"{a}={b}" for a, b in setting.items())])
            ours(name, neighbors, **setting)
            facts[name] = build | {"index": index, **setting}
        if index == "ivf":
            searches[f"{DIRECT_IVF}={PROBES[-1]}"] = bare(neighbors.index_.faiss_index, packed_queries, k)
        print("built", index, build, flush=True)
    return searches, facts


def bare(index: Any, packed_queries: np.ndarray, k: int) -> Callable[[], Any]:
    """Search in a FAISS object that `FaissNeighbors` made, without what is around it."""

    def search() -> Any:
        index.nprobe = PROBES[-1]
        return index.search(packed_queries, k)

    return search


def resident_bytes() -> int:
    """Return the memory that this process uses."""
    with open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def memory_of(kind: str, packed: np.ndarray, packed_queries: np.ndarray, k: int, queue: Any) -> None:
    """Put the bytes that a fitted object adds to a process in a queue: at rest, and at the peak of search."""
    # A first small search loads libraries and starts threads, which are not the index's.
    small = np.unpackbits(packed[:1000], axis=1)
    make = {"sklearn": NearestNeighbors, "ours": FaissNeighbors}[kind]
    dtype = np.float32 if kind == "sklearn" else np.uint8
    params: dict[str, Any] = {"algorithm": "brute"} if kind == "sklearn" else {}
    make(n_neighbors=k, **params).fit(small.astype(dtype)).kneighbors(small[:100].astype(dtype))
    before = resident_bytes()
    neighbors = make(n_neighbors=k, **params).fit(np.unpackbits(packed, axis=1).astype(dtype, copy=False))
    held = resident_bytes() - before
    queries = np.unpackbits(packed_queries, axis=1).astype(dtype)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # Starts the peak anew.
    neighbors.kneighbors(queries)
    with open("/proc/self/status") as file:
        peak = next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    queue.put({"held_bytes": held, "search_peak_bytes": peak - before})


def memory(kind: str, bits: np.ndarray, queries: np.ndarray, k: int) -> dict[str, int]:
    """Measure memory in a new process; return nothing if the system does not report it."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    arguments = (kind, np.packbits(bits, axis=1), np.packbits(queries, axis=1), k, queue)
    process = context.Process(target=memory_of, args=arguments)
    process.start()
    process.join()
    return queue.get(timeout=5) if process.exitcode == 0 else {}


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and append its rows to the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder with mnist.npz")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--flips", type=float, default=0.05)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dry", action="store_true", help="print the rows without appending them")
    parsed = parser.parse_args(arguments)
    if parsed.data:
        codes = mnist_codes(parsed.data, parsed.rows, parsed.queries, parsed.flips, parsed.seed)
    else:
        codes = mixture_codes(parsed.rows, parsed.queries, parsed.seed)
    bits, queries = codes
    common = {
        "codes": f"MNIST, ITQ, {parsed.flips} flipped" if parsed.data else "signs of a Gaussian mixture",
        **{
            "rows": len(bits),
            "queries": len(queries),
            "bits": BITS,
            "k": parsed.k,
            "repeats": parsed.repeats,
        },
    }
    used = {
        name: memory(kind, bits, queries, parsed.k) for name, kind in ((SKLEARN, "sklearn"), (FLAT, "ours"))
    }
    searches, facts = contenders(bits, queries, parsed.k, parsed.seed)

    seconds: dict[str, list[float]] = {name: [] for name in searches}
    found: dict[str, Any] = {}
    for _ in range(parsed.repeats):
        for name, search in searches.items():
            begun = time.perf_counter()
            found[name] = search()
            seconds[name].append(time.perf_counter() - begun)
    medians = {name: statistics.median(times) for name, times in seconds.items()}

    exact = found[DIRECT][0]
    for name in searches:
        distances = np.asarray(found[name][0], dtype=np.float64)
        if name == SKLEARN:  # Euclidean distance of bits is the root of the Hamming distance.
            distances = distances**2
        hits = (distances <= exact[:, -1:] + 1e-3) & (found[name][1] >= 0)
        row = {"name": name, **common, **facts.get(name, {}), **used.get(name, {})}
        row |= {
            "seconds": round(medians[name], 5),
            "seconds_all": [round(s, 5) for s in seconds[name]],
            "recall": round(float(hits.mean()), 5),
            "times_sklearn": round(medians[SKLEARN] / medians[name], 2),
            "times_faiss_flat": round(medians[DIRECT] / medians[name], 3),
            "times_flat": round(medians[FLAT] / medians[name], 2),
            "same_distances": bool(np.array_equal(np.rint(distances), exact)),
        }
        print({key: value for key, value in row.items() if key != "seconds_all"}, flush=True)
        if not parsed.dry:
            append(RESULTS, row)


if __name__ == "__main__":
    main()
