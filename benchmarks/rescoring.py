"""Search of a million codes with rescoring by vectors on disk, beside exact search and FAISS's indexes.

    python -m benchmarks.rescoring [--vectors 1000000] [--features 384] [--bits 128] [--threads 2]

Clustered unit vectors are drawn and written to a temporary file of float16, from which `FaissNeighbors`
reads the candidates. FAISS's refining indexes hold all in memory; "equal memory" are those whose second codes
leave as many bytes per vector as the bits alone. Rows are appended to `results/rescoring.jsonl`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.preprocessing import normalize

from benchmarks import results
from benchmarks.embeddings import nearest
from benchmarks.limits import limited_threads
from dmzrep.retrieval import FaissNeighbors, ITQTransformer

RESULTS = "rescoring"
K, OVERSAMPLE, N_QUERIES = 10, 4, 1000
#: Vectors that are drawn at a time, centres of clusters, and dimensions in which samples of a cluster differ.
BLOCK, CENTRES, RANK = 50_000, 2000, 64


def draw(n: int, n_features: int, random: np.random.Generator, shared: tuple[Any, Any]) -> np.ndarray:
    """Return clustered unit vectors, float32."""
    centres, axes = shared
    noise = random.normal(size=(n, RANK)).astype(np.float32) @ axes
    return normalize(centres[random.integers(CENTRES, size=n)] + noise, copy=False)


def write_vectors(path: Path, n: int, n_features: int, seed: int = 0) -> np.ndarray:
    """Write vectors to a file of float16; return queries, float32."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(CENTRES, n_features)).astype(np.float32)
    axes = random.normal(size=(RANK, n_features)) * np.geomspace(1.5, 0.3, RANK)[:, None] / np.sqrt(RANK)
    shared = (centres, 3.0 * axes.astype(np.float32))
    vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(n, n_features))
    for begin in range(0, n, BLOCK):
        end = min(n, begin + BLOCK)
        vectors[begin:end] = draw(end - begin, n_features, random, shared)
    return draw(N_QUERIES, n_features, random, shared)


def timed(search: Callable[[], np.ndarray], repeats: int = 3) -> tuple[np.ndarray, float]:
    """Return what a search finds, and the median of its seconds."""
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        found = search()
        seconds.append(time.perf_counter() - begun)
    return found, float(np.median(seconds))


def main(arguments: list[str] | None = None) -> None:
    """Measure all kinds of search, append their rows and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=384)
    parser.add_argument("--bits", type=int, default=128)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parsed = parser.parse_args(arguments)
    import faiss

    n, width, n_bits = parsed.vectors, parsed.features, parsed.bits
    about = {"vectors": n, "features": width, "bits": n_bits, "queries": N_QUERIES, "threads": parsed.threads}
    with limited_threads(parsed.threads), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npy"
        queries = write_vectors(path, n, width)
        vectors = np.load(path, mmap_mode="r")
        floats = vectors.astype(np.float32)
        true, exact_seconds = timed(lambda: nearest(queries, floats, K), repeats=1)

        def report(name: str, bytes_in_memory: float, found: np.ndarray, seconds: float) -> None:
            recall = (found[:, :, None] == true[:, None]).any(1).mean()
            row = {"search": name, "recall@10": round(float(recall), 4), "seconds": round(seconds, 3)}
            row |= {"bytes in memory": bytes_in_memory, "speedup": round(exact_seconds / seconds, 1)}
            results.append(RESULTS, {**about, **row}, parsed.results)
            print({**about, **row}, flush=True)

        report("exact, float32", 4 * width, true, exact_seconds)
        itq = ITQTransformer(n_bits, output="packed", random_state=0).fit(floats[:: max(1, n // 10_000)])
        codes, packed = itq.transform(floats), itq.transform(queries)
        index = FaissNeighbors(K, packed=True).fit(codes)
        report("bits", n_bits / 8, *timed(lambda: index.kneighbors(packed, return_distance=False)))
        index = FaissNeighbors(K, packed=True, rescore="cosine", oversample=OVERSAMPLE)
        index.fit(codes, vectors=vectors)
        rescored = timed(lambda: index.kneighbors(packed, vectors=queries, return_distance=False))
        report("bits, rescored from a float16 file", n_bits / 8, *rescored)
        for name, size in (
            (f"ITQ{n_bits},LSH,Refine(SQfp16)", n_bits / 8 + 2 * width),
            (f"ITQ{n_bits // 2},LSH,Refine(PQ{n_bits // 16})", n_bits / 8),
            (f"PQ{n_bits // 16},Refine(PQ{n_bits // 16})", n_bits / 8),
        ):
            refined = faiss.index_factory(width, name, faiss.METRIC_L2)
            refined.train(floats[:: max(1, n // 20_000)])
            refined.add(floats)
            refined.k_factor = OVERSAMPLE
            report(name, size, *timed(lambda refined=refined: refined.search(queries, K)[1]))


if __name__ == "__main__":
    main()
