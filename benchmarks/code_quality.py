"""Measures of codes that every benchmark shares: linear probes and Hamming retrieval."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from dmzrep.retrieval import hamming_neighbors


def mean_average_precision(
    index_bits: np.ndarray,
    index_labels: np.ndarray,
    query_bits: np.ndarray,
    query_labels: np.ndarray,
    k: int = 100,
    *,
    divide_by: str = "findable",
) -> float:
    """Mean over queries of the average precision among the k nearest codes.

    A neighbour is relevant if it has the query's label. The precisions at the ranks of the relevant
    ones among the k are summed and divided by the number that could be found (k, or all rows with
    that label where they are fewer), or with `divide_by="found"` by the number that was found, as some
    of the hashing literature does; that figure is higher and says less.
    """
    relevant = index_labels[hamming_neighbors(query_bits, index_bits, k)[1]] == query_labels[:, None]
    precision = np.cumsum(relevant, axis=1) / np.arange(1, k + 1)
    if divide_by == "found":
        count = relevant.sum(axis=1).clip(min=1)
    else:
        count = pd.Series(index_labels).value_counts().reindex(query_labels, fill_value=0).clip(1, k)
    return float(((precision * relevant).sum(axis=1) / np.asarray(count)).mean())


def knn_accuracy(
    index_bits: np.ndarray,
    index_labels: np.ndarray,
    query_bits: np.ndarray,
    query_labels: np.ndarray,
    k: int = 10,
) -> float:
    """Accuracy of the majority label among the k nearest codes."""
    votes = index_labels[hamming_neighbors(query_bits, index_bits, k)[1]]
    winners = np.array([np.bincount(row).argmax() for row in votes])
    return float((winners == query_labels).mean())


def linear_probe(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> float:
    """Test accuracy of a logistic regression with scikit-learn's default penalty."""
    probe = LogisticRegression(max_iter=1000).fit(train, train_labels)
    return float(probe.score(test, test_labels))
