"""Outliers, clusters, labels and positions on a map, from the logits of a collection."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import pairwise_distances_argmin

from dmzrep._base._imports import optional_import
from dmzrep.probing import LinearProbe
from dmzrep.retrieval import FaissNeighbors

#: Limits of grey levels in [0, 1]: the standard deviation of flat pictures, the 95th percentile of dark
#: and the 5th of bright ones.
FLAT, DARK, BRIGHT = 0.01, 0.12, 0.9
_PERPLEXITY = 30.0


def information_kinds(squares: np.ndarray) -> np.ndarray:
    """Return "flat", "dark", "bright" or "" for each picture, uint8 of shape (n, side, side, 3)."""
    kinds = np.full(len(squares), "", dtype=object)
    for i, square in enumerate(squares):
        grey = square.astype(np.float32) @ (np.array([0.299, 0.587, 0.114], dtype=np.float32) / 255.0)
        if grey.std() < FLAT:
            kinds[i] = "flat"
        elif np.quantile(grey, 0.95) < DARK:
            kinds[i] = "dark"
        elif np.quantile(grey, 0.05) > BRIGHT:
            kinds[i] = "bright"
    return kinds


def cluster(vectors: np.ndarray, n_clusters: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the clusters of vectors, large ones first, and the index nearest to each centre."""
    model = MiniBatchKMeans(n_clusters, n_init=5, batch_size=1024, random_state=seed).fit(vectors)
    present, sizes = np.unique(model.labels_, return_counts=True)
    order = present[np.argsort(-sizes, kind="stable")]
    number = np.empty(n_clusters, dtype=np.int64)
    number[order] = np.arange(len(order))
    labels = number[model.labels_]
    centres = np.empty(len(order), dtype=np.int64)
    for i, centre in enumerate(model.cluster_centers_[order]):
        members = np.flatnonzero(labels == i)
        centres[i] = members[pairwise_distances_argmin(centre[None], vectors[members])[0]]
    return labels, centres


def propagate_labels(
    vectors: np.ndarray, known: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return a label and its probability for each vector, from the labels of a few.

    The probabilities of a linear probe are calibrated by a temperature from cross-validation, if each class
    has at least two labels.
    """
    probe = LinearProbe(scale=True)
    _, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        fitted: Any = probe.fit(vectors[known], labels)
    else:
        # Scores of several classes are needed in one array, which scikit-learn's classifiers return.
        fitted = CalibratedClassifierCV(
            clone(probe), method="temperature", cv=int(min(5, counts.min())), ensemble=False
        ).fit(vectors[known], labels)
    probabilities = np.asarray(fitted.predict_proba(vectors))
    return np.asarray(fitted.classes_)[probabilities.argmax(axis=1)], probabilities.max(axis=1)


def positions(
    vectors: np.ndarray, indexed: np.ndarray, neighbors: FaissNeighbors, method: str, seed: int
) -> np.ndarray:
    """Return a place in the plane for each vector, from the graph of nearest neighbours.

    `indexed` are the vectors as they are in the index.
    """
    n = len(vectors)
    if n < 4:
        return np.column_stack([np.arange(n, dtype=np.float64), np.zeros(n)])
    if method == "umap":
        with optional_import('method="umap" needs umap-learn, unlike method="tsne"', "umap"):
            from umap import UMAP
        return UMAP(metric="cosine", random_state=seed, n_jobs=1).fit_transform(vectors).astype(np.float64)
    start = PCA(2, random_state=seed).fit_transform(vectors)
    start = start / max(start[:, 0].std(), 1e-12) * 1e-4
    perplexity = min(_PERPLEXITY, (n - 1) / 3.0)
    # As in scikit-learn's transformers of neighbours, each picture is its own nearest.
    graph = neighbors.kneighbors_graph(indexed, min(n, int(3.0 * perplexity) + 2), mode="distance")
    tsne = TSNE(
        metric="precomputed",
        perplexity=perplexity,
        init=start,
        random_state=seed,
        learning_rate="auto",
        max_iter=750,
    )
    return tsne.fit_transform(graph).astype(np.float64)
