"""Recall of an index: the share of the exact nearest neighbours by float vectors that it finds."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from dmzrep._base._batching import batches
from dmzrep._base._validation import as_array, check_choice, check_number
from dmzrep.codes._checks import check_integers
from dmzrep.retrieval._faiss import load_faiss
from dmzrep.retrieval._rescoring import RESCORE, VectorStore, check_vectors

#: Maximum number of vector values in memory at a time.
_BLOCK = 1 << 24
#: Relative rounding error of distances; those this close count as equal.
_TIE = 1e-12


def check_settings(
    k: Any, oversample: Any, wanted: Any, n_samples: int
) -> tuple[list[int], list[float], float, int]:
    """Return the checked settings of `FaissNeighbors.recall`."""
    ks = sorted(check_integers(k, "k", 1, n_samples).tolist())
    factors = np.atleast_1d(as_array(oversample, "oversample")).tolist()
    factors = sorted({check_number(factor, "oversample", 1, None, "left") for factor in factors})
    return ks, factors, check_number(wanted, "wanted", 0, 1, "right"), n_samples


def reference_and_queries(
    neighbors: Any, X: Any, queries: np.ndarray, vectors: Any, reference: Any, metric: Any
) -> tuple[str, Any, np.ndarray]:
    """Return the metric of an exact search, the `VectorStore` to search, and the vectors of the queries.

    Of the checked queries, `queries` are in the units of the index and X is as passed.
    """
    binary, own, store = neighbors._samples.binary, neighbors._samples.metric, neighbors._vectors
    if metric is None:
        metric = neighbors.rescore or ("cosine" if binary else own)
    check_choice("metric", metric, RESCORE)
    if reference is not None:
        width = None if store is None else store.n_features
        store = VectorStore.of(
            check_vectors(reference, neighbors.n_samples_fit_, metric, width, name="reference")
        )
    elif store is not None:
        store.require_parts()
    elif binary or neighbors.index_.options.kind == "pq":
        raise ValueError(
            "recall needs the float vectors of the samples, which the index does not hold: pass "
            "reference=..., in the order of ids_."
        )
    elif vectors is not None:
        raise ValueError(
            "vectors of queries need a reference, the vectors of the samples; or leave both out."
        )
    else:
        return metric, VectorStore.of(neighbors.index_.vectors()), queries
    if vectors is None and binary:
        raise ValueError("recall needs the float vectors of the queries: pass vectors=...")
    asked = check_vectors(X if vectors is None else vectors, len(queries), metric, store.n_features)
    return metric, store, asked


def recall_table(
    store: VectorStore,
    queries: np.ndarray,
    metric: str,
    found: Callable[[int, int], np.ndarray],
    ks: list[int],
    factors: list[float],
    wanted: float,
    n_samples: int,
) -> pd.DataFrame:
    """Return the table of `FaissNeighbors.recall`.

    ``found(k, n_candidates)`` returns the indices that are found for each query.
    """
    # Twice as many, for those at the same distance as the k-th, and for rounding errors of float32.
    most = min(2 * ks[-1], n_samples)
    distances, exact = store.nearest(_near(store, queries, most, metric), queries, most, metric)
    rows, suggested = [], {}
    for k in ks:
        limits = distances[:, k - 1] * (1.0 + _TIE) + _TIE
        nearest = [row[near] for row, near in zip(exact, distances <= limits[:, None], strict=True)]
        for factor in factors:
            n_candidates = min(math.ceil(factor * k), n_samples)
            indices = found(k, n_candidates)
            hits = [min(k, np.isin(*pair).sum()) for pair in zip(nearest, indices, strict=True)]
            recall = float(np.mean(hits)) / k
            rows.append((k, factor, n_candidates, recall, recall >= wanted))
        sufficient = [row[1] for row in rows if row[0] == k and row[4]]
        suggested[k] = min(sufficient, default=None)
    table = pd.DataFrame(rows, columns=["k", "oversample", "candidates", "recall", "enough"])
    table.attrs["oversample"] = suggested
    return table


def _near(store: VectorStore, queries: np.ndarray, k: int, metric: str) -> np.ndarray:
    """Return the indices of the k nearest samples by exhaustive search in float32."""
    n_samples = store.n_rows if store.rows is None else len(store.rows)
    # Float32 keeps more digits of centred values.
    centre = store.read(np.arange(min(n_samples, 1000))).mean(axis=0)
    queries = _prepared(queries, centre, metric)
    distances: np.ndarray = np.empty((len(queries), 0), np.float32)
    indices: np.ndarray = np.empty((len(queries), 0), np.int64)
    for part in batches(n_samples, max(1, _BLOCK // store.n_features)):
        block = _prepared(store.read(np.arange(part.start, part.stop)), centre, metric)
        near, which = load_faiss().knn(queries, block, min(k, len(block)))
        distances = np.concatenate([distances, near], axis=1)
        indices = np.concatenate([indices, which + part.start], axis=1)
        order = np.argsort(distances, axis=1, kind="stable")[:, :k]
        distances, indices = (np.take_along_axis(a, order, axis=1) for a in (distances, indices))
    return indices


def _prepared(vectors: np.ndarray, centre: np.ndarray, metric: str) -> np.ndarray:
    vectors = vectors.astype(np.float64)
    if metric == "l2":
        vectors -= centre
    else:
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.where(lengths > 0.0, lengths, 1.0)
    return np.ascontiguousarray(vectors, dtype=np.float32)
