"""Search among embeddings of images and texts by short codes, beside the quantisers of FAISS.

    python -m benchmarks.embeddings --data DATA --features FOLDER [--part validation|test] \\
        [--sets CIFAR-10 avatars WordNet] [--bits 64 128 256] [--seconds 60] [--seeds 0 1 2] \\
        [--threads 1 --cpu-time]

Each method is fitted to the stored embeddings and searched with held-out queries, by cosine similarity.
Scores: recall of the 10 and 100 exact neighbours, and of the 10 if the best of 20, 40 or 100 candidates are
kept (rescoring); mean average precision at 100 of the labels; bytes per vector; seconds to fit; vectors
encoded per second. "search" is "codes" for Hamming distances between bits, or "asymmetric" if queries are
real-valued: probabilities near one half, from logits / 6, for bits, and what FAISS does for quantisers.
Embeddings are kept in `--features`, which should not be in the repository. Choose by `--part validation`.
Rows are appended to `results/embeddings.jsonl`; those that exist already are skipped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from scipy.special import expit

from benchmarks import results
from benchmarks.embeddings_data import SETS, Embeddings, load_embeddings
from benchmarks.limits import (
    NO_LIMIT,
    add_limits,
    check_limits,
    chosen_clock,
    limited_threads,
    limits_used,
    training_clock,
)
from dmzrep import DMZEncoder
from dmzrep.estimator._parameters import nested_names
from dmzrep.retrieval import FaissNeighbors, ITQTransformer

RESULTS = "embeddings"
#: Neighbours that are found for each query, and candidates of which ten are kept by exact similarity.
K, CANDIDATES = 100, (20, 40, 100)
#: Divisor of logits, so that probabilities are nearly linear in them.
SOFTENED = 6.0
#: Length of ordered codes, of which the first bits are used.
LONGEST = 256
#: Bits of codes that have as many bits as there are features.
ALL_FEATURES = 0


class Method(Protocol):
    """A way to search; the length of its codes is set by the constructor."""

    n_bytes: float

    def fit(self, X: np.ndarray) -> Self:
        """Learn from the stored vectors."""

    def store(self, X: np.ndarray) -> None:
        """Encode vectors and store them."""

    def search(self, queries: np.ndarray) -> dict[str, np.ndarray]:
        """Return indices of the `K` nearest by each kind of search."""


class BitCodes:
    """The first bits of a transformer with real-valued logits."""

    def __init__(self, transformer: Any, n_bits: int):
        self.transformer, self.n_bits, self.n_bytes = transformer, n_bits, n_bits / 8

    def logits(self, X: np.ndarray) -> np.ndarray:
        """Return the logits of the first bits."""
        return self.transformer.transform(X)[:, : self.n_bits]

    def fit(self, X: np.ndarray) -> Self:
        """Fit the transformer."""
        self.transformer.fit(X)
        return self

    def store(self, X: np.ndarray) -> None:
        """Store bits."""
        self.index = FaissNeighbors(K, metric="asymmetric", shortlist=10 * K)
        self.index.fit((self.logits(X) > 0).astype(np.float32))

    def search(self, queries: np.ndarray) -> dict[str, np.ndarray]:
        """Search with bits, and with real-valued queries."""
        logits = self.logits(queries)
        coded = {"codes": (logits > 0).astype(np.float32), "asymmetric": expit(logits / SOFTENED)}
        return {kind: self.index.kneighbors(z, return_distance=False) for kind, z in coded.items()}


class Signs:
    """Signs of centred features: what vector databases call binary quantisation."""

    def fit(self, X: np.ndarray) -> Self:
        """Compute the means."""
        self.mean = X.mean(axis=0)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return centred features, scaled like logits."""
        return 3.0 * (X - self.mean) / np.abs(X - self.mean).mean()


class FaissIndex:
    """An index of FAISS by the name of its factory, whose queries are real-valued."""

    def __init__(self, name: str, n_features: int):
        import faiss

        self.index = faiss.index_factory(n_features, name, faiss.METRIC_INNER_PRODUCT)

    def fit(self, X: np.ndarray) -> Self:
        """Train the index."""
        self.index.train(X)
        return self

    def store(self, X: np.ndarray) -> None:
        """Add the vectors."""
        self.index.add(X)

    @property
    def n_bytes(self) -> float:
        """Bytes per vector."""
        return self.index.sa_code_size()

    def search(self, queries: np.ndarray) -> dict[str, np.ndarray]:
        """Search."""
        return {"asymmetric": self.index.search(queries, K)[1]}


class Exact:
    """The vectors themselves, as the reference of mean average precision."""

    def fit(self, X: np.ndarray) -> Self:
        """Do nothing."""
        return self

    def store(self, X: np.ndarray) -> None:
        """Keep the vectors."""
        self.X, self.n_bytes = X, X.shape[1] * X.itemsize

    def search(self, queries: np.ndarray) -> dict[str, np.ndarray]:
        """Search exactly."""
        return {"asymmetric": nearest(queries, self.X)}


def encoder(n_bits: int, seed: int, n_first: int | None = None, **options: Any) -> BitCodes:
    """Return our encoder, or the first bits of its codes; `max_iter=0` is its initialisation alone."""
    chosen = {"output": "logits", "prior": "uniform", "random_state": seed, **options}
    return BitCodes(DMZEncoder(n_bits).set_params(**nested_names(chosen)), n_first or n_bits)


def itq(method: str, n_bits: int, seed: int) -> BitCodes:
    """Return a linear method."""
    return BitCodes(ITQTransformer(n_bits, method=method, output="logits", random_state=seed), n_bits)


def methods(
    n_bits: int, n_features: int, seed: int, options: dict[str, Any]
) -> dict[str, Callable[[], Method]]:
    """Return methods for codes of a length; `ALL_FEATURES` is one bit per feature, and longer codes."""
    if n_bits == ALL_FEATURES:
        return {
            "floats": Exact,
            "SQ8": lambda: FaissIndex("SQ8", n_features),
            "signs": lambda: BitCodes(Signs(), n_features),
            "random rotation": lambda: itq("random_rotation", n_features, seed),
            "RaBitQ": lambda: FaissIndex("RaBitQ", n_features),
            "PQ": lambda: FaissIndex(f"PQ{n_features // 8}", n_features),
        }
    n_pq = n_bits // 8
    return {
        "ITQ": lambda: itq("itq", n_bits, seed),
        "PCA, random rotation": lambda: itq("pca_rotation", n_bits, seed),
        "random rotation": lambda: itq("random_rotation", n_bits, seed),
        "RaBitQ of PCA": lambda: FaissIndex(f"PCA{n_bits},RaBitQ", n_features),
        "PQ": lambda: FaissIndex(f"PQ{n_pq}", n_features),
        "PQ of PCA, random rotation": lambda: FaissIndex(f"PCAR{4 * n_pq},PQ{n_pq}", n_features),
        "initialisation": lambda: encoder(n_bits, seed, max_iter=0),
        "initialisation by CCA": lambda: encoder(n_bits, seed, max_iter=0, init="cca"),
        "initialisation by ITQ": lambda: encoder(n_bits, seed, max_iter=0, init="itq"),
        "initialisation, first of 256 ordered": lambda: encoder(
            LONGEST, seed, n_first=n_bits, max_iter=0, ordered=True
        ),
        "DMZEncoder": lambda: encoder(n_bits, seed, max_iter=NO_LIMIT, **options),
    }


#: Methods without random numbers.
SEEDLESS = ("floats", "SQ8", "signs", "RaBitQ", "RaBitQ of PCA", "PQ", "PQ of PCA, random rotation")


def nearest(queries: np.ndarray, X: np.ndarray, k: int = K) -> np.ndarray:
    """Return the indices of the k largest inner products, the largest first."""
    import faiss

    index = faiss.IndexFlatIP(X.shape[1])
    index.add(X)
    return index.search(queries, k)[1]


def score(found: np.ndarray, true: np.ndarray, data: Embeddings) -> dict[str, float]:
    """Return recall of the exact neighbours `true` (n, K) among those found, and precision of labels."""
    shared = found[:, :, None] == true[:, None, :]
    row = {"recall@10": shared[:, :10, :10].any(1).mean(), "recall@100": shared.any(1).mean()}
    for n in CANDIDATES:
        row[f"recall@10 of {n}"] = shared[:, :n, :10].any(1).mean()
    relevant = data.y[found] == data.query_labels[:, None]
    precision = relevant.cumsum(axis=1) / np.arange(1, K + 1)
    row["mAP@100"] = (precision * relevant).sum(axis=1).mean() / K
    return {name: float(value) for name, value in row.items()}


def measure(method: Method, data: Embeddings, true: np.ndarray, clock: Callable[[], float]) -> list[dict]:
    """Fit a method, and return a row for each kind of search."""
    begun = clock()
    method.fit(data.X)
    fitted = clock()
    method.store(data.X)
    stored = clock()
    costs = {
        "bytes": method.n_bytes,
        "fit_seconds": fitted - begun,
        "vectors_per_second": len(data.X) / max(stored - fitted, 1e-9),
    }
    found = method.search(data.queries)
    rows = [{"search": kind, **score(i, true, data), **costs} for kind, i in found.items()]
    return [{k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()} for row in rows]


def main(arguments: list[str] | None = None) -> None:
    """Measure what is missing, append its rows and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder that holds the images")
    parser.add_argument("--features", required=True, type=Path, help="folder of computed embeddings")
    parser.add_argument("--part", choices=("validation", "test"), default="validation")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--bits", type=int, nargs="+", default=[64, 128, 256, ALL_FEATURES])
    parser.add_argument("--names", nargs="+", help="methods; default: all")
    parser.add_argument("--seconds", type=float, default=60.0, help="fit of DMZEncoder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--params", type=json.loads, default={}, help="parameters of DMZEncoder as JSON")
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    add_limits(parser)
    parsed = parser.parse_args(arguments)
    check_limits(parser, parsed)
    options = {"max_time": parsed.seconds, **parsed.params}
    for name in parsed.sets:
        data = load_embeddings(name, parsed.data, parsed.features, parsed.part)
        true = nearest(data.queries, data.X)
        for n_bits in parsed.bits:
            for seed in parsed.seeds:
                for kind, make in methods(n_bits, data.X.shape[1], seed, options).items():
                    if (parsed.names and kind not in parsed.names) or (seed and kind in SEEDLESS):
                        continue
                    about = {"set": name, "part": parsed.part, "method": kind, "seed": seed}
                    about |= {"bits": n_bits or data.X.shape[1], "stored": len(data.X)}
                    if kind.startswith("DMZEncoder"):
                        about |= {"seconds_asked": parsed.seconds, "parameters": parsed.params}
                    if results.is_done(results.read(RESULTS, parsed.results), about):
                        continue
                    with limited_threads(parsed.threads), training_clock(parsed):
                        rows = measure(make(), data, true, chosen_clock(parsed))
                        used = limits_used(parsed)
                    for row in rows:
                        results.append(RESULTS, {**about, **row, **used}, parsed.results)
                        print({**about, **row}, flush=True)


if __name__ == "__main__":
    main()
