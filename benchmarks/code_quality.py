"""Measures of codes that every benchmark shares: linear probes, Hamming retrieval, use of the bits."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import hypergeom
from sklearn.linear_model import LogisticRegression

from dmzrep.codes import code_report
from dmzrep.codes._report import DEAD_ENTROPY
from dmzrep.probing import probe_scores
from dmzrep.retrieval import hamming_neighbors


def average_precision(
    index_labels: np.ndarray, query_labels: np.ndarray, neighbors: np.ndarray, divide_by: str = "findable"
) -> float:
    """Mean average precision of neighbours of shape (n_queries, k), rows of the index, nearest first.

    See `mean_average_precision`.
    """
    k = neighbors.shape[1]
    relevant = index_labels[neighbors] == query_labels[:, None]
    precision = np.cumsum(relevant, axis=1) / np.arange(1, k + 1)
    if divide_by == "found":
        count = relevant.sum(axis=1).clip(min=1)
    else:
        count = pd.Series(index_labels).value_counts().reindex(query_labels, fill_value=0).clip(1, k)
    return float(((precision * relevant).sum(axis=1) / np.asarray(count)).mean())


def majority_accuracy(index_labels: np.ndarray, query_labels: np.ndarray, neighbors: np.ndarray) -> float:
    """Return the accuracy of the majority label among neighbours of shape (n_queries, k)."""
    winners = np.array([np.bincount(row).argmax() for row in index_labels[neighbors]])
    return float((winners == query_labels).mean())


def mean_average_precision(
    index_bits: np.ndarray,
    index_labels: np.ndarray,
    query_bits: np.ndarray,
    query_labels: np.ndarray,
    k: int = 100,
    *,
    divide_by: str = "findable",
) -> float:
    """Return the mean over queries of the average precision among the k nearest codes.

    A neighbour is relevant if it has the query's label. The precisions at the ranks of the relevant
    ones among the k are summed and divided by the number that could be found (k, or all rows with
    that label where they are fewer), or with `divide_by="found"` by the number that was found, as some
    of the hashing literature does; that figure is higher and says less.
    """
    neighbors = hamming_neighbors(query_bits, index_bits, k)[1]
    return average_precision(index_labels, query_labels, neighbors, divide_by)


def expected_average_precision(
    index_bits: np.ndarray,
    index_labels: np.ndarray,
    query_bits: np.ndarray,
    query_labels: np.ndarray,
    k: int,
) -> float:
    """Return the mean average precision at k of Hamming search, expected over the order of equal distances.

    The precisions at the ranks of the relevant codes among the first k are summed and divided by the number
    of relevant codes among them (0 without any), as in the hashing literature. Codes at equal distances
    from a query are in uniformly random order, so the result depends neither on the order of the index nor
    on the sort.

    Let n codes, r of them relevant, be at the same distance, behind a codes, c of them relevant. At the i-th
    of these ranks, a code is relevant with probability r / n, and then c + 1 + (r - 1)(i - 1) / (n - 1) codes
    are expected to be relevant up to there. Of the codes at the last distance, only some are among the first
    k; the number of relevant ones among these is hypergeometric, and the quotient is averaged over it.
    """
    n_codes, n_bits = index_bits.shape
    classes, index_classes = np.unique(index_labels, return_inverse=True)
    index, queries = (2.0 * (bits > 0.5).astype(np.float32) - 1.0 for bits in (index_bits, query_bits))
    step, n_distances = max(1, 5_000_000 // n_codes), n_bits + 1
    precisions = []
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        distances = ((n_bits - queries[part] @ index.T) / 2.0).round().astype(np.int64)
        shape = (len(distances), len(classes), n_distances)
        distances += index_classes * n_distances
        distances += (len(classes) * n_distances * np.arange(len(distances)))[:, None]
        counts = np.bincount(distances.ravel(), minlength=np.prod(shape)).reshape(shape)
        relevant = (counts * (classes == query_labels[part][:, None])[:, :, None]).sum(axis=1)
        precisions += [_expected_precision(*c, k) for c in zip(counts.sum(axis=1), relevant, strict=True)]
    return float(np.mean(precisions))


def _expected_precision(counts: np.ndarray, relevant: np.ndarray, k: int) -> float:
    """Return the expected average precision at k for numbers of codes, and of relevant ones, by distance."""
    before = np.cumsum(counts) - counts
    last = int(np.searchsorted(np.cumsum(counts), k))
    found = relevant[:last].sum()
    total = _expected_sum(counts[:last], relevant[:last], before[:last]).sum()
    taken = k - before[last]
    fewest = max(0, taken - counts[last] + relevant[last])
    possible = np.arange(fewest, min(taken, relevant[last]) + 1)
    chances = hypergeom.pmf(possible, counts[last], relevant[last], taken)
    behind = np.full(len(possible), before[last])
    sums = total + _expected_sum(np.full(len(possible), taken), possible, behind, found)
    return float((chances * sums / (found + possible).clip(min=1)).sum())


def _expected_sum(n: np.ndarray, r: np.ndarray, before: np.ndarray, found: int | None = None) -> np.ndarray:
    """Return the expected sums of precisions over groups of n codes, r of them relevant.

    `found` is the number of relevant codes before each group; None for groups that follow each other.
    """
    c = np.cumsum(r) - r if found is None else found
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, (before + n).max(initial=0) + 1))])
    reciprocals = harmonic[before + n] - harmonic[before]
    slope = (r - 1) / (n - 1).clip(min=1)
    return r / n.clip(min=1) * ((c + 1) * reciprocals + slope * (n - (before + 1) * reciprocals))


def knn_accuracy(
    index_bits: np.ndarray,
    index_labels: np.ndarray,
    query_bits: np.ndarray,
    query_labels: np.ndarray,
    k: int = 10,
) -> float:
    """Return the accuracy of the majority label among the k nearest codes."""
    return majority_accuracy(index_labels, query_labels, hamming_neighbors(query_bits, index_bits, k)[1])


def agreement(
    index: pd.DataFrame, queries: pd.DataFrame, neighbors: np.ndarray
) -> tuple[float, float, float]:
    """Return the share of neighbours with the query's value, by chance, and normalised by chance.

    Parameters
    ----------
    index, queries : DataFrame
        A column of whole numbers for each attribute.
    neighbors : ndarray of shape (n_queries, k)
        Rows of `index`.

    Returns
    -------
    shares : tuple of three floats
        Means over attributes: agreement, chance, and (agreement - chance) / (1 - chance).
    """
    shares = []
    for name in index.columns:
        known, asked = index[name].to_numpy(), queries[name].to_numpy()
        agree = (known[neighbors] == asked[:, None]).mean()
        chance = pd.Series(known).value_counts(normalize=True).reindex(asked, fill_value=0.0).mean()
        if chance < 1.0:
            shares.append((agree, chance, (agree - chance) / (1.0 - chance)))
    agreed, by_chance, above = np.mean(shares, axis=0)
    return float(agreed), float(by_chance), float(above)


def linear_probe(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> float:
    """Return the test accuracy of a logistic regression with scikit-learn's default penalty."""
    probe = LogisticRegression(max_iter=1000).fit(train, train_labels)
    return float(probe.score(test, test_labels))


def attribute_auroc(
    train: np.ndarray, train_labels: pd.DataFrame, test: np.ndarray, test_labels: pd.DataFrame
) -> pd.Series:
    """Test AUROC of a logistic regression of standardised codes for each attribute.

    NaN where train or test rows show one class only.
    """
    parts = np.repeat(["train", "test"], [len(train), len(test)])
    labels = pd.concat([train_labels, test_labels], ignore_index=True)
    codes = np.concatenate([train, test])
    scores = probe_scores(codes, labels, protocol="holdout", split=parts, scoring="roc_auc")
    return scores.set_index("attribute")["roc_auc"]


def bit_use(bits: np.ndarray) -> dict[str, float]:
    """Return the mean entropy of the bits and the number of dead bits."""
    entropy = code_report(bits)["entropy"]
    return {"entropy": float(entropy.mean()), "dead_bits": int((entropy < DEAD_ENTROPY).sum())}
