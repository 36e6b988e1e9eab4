"""Disentanglement measured by the gap between the best and the second best code of each factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from dmzrep._base._validation import check_int, check_number
from dmzrep.metrics._factors import (
    discretise,
    entropy_bits,
    mutual_information_bits,
    read_codes_and_factors,
)


@dataclass(frozen=True)
class DisentanglementScore:
    """A score made of the gaps between the best and the second best code of each factor.

    Parameters
    ----------
    score : float
        For MIG the mean of the gaps, for TAD the sum of those that count.
    table : DataFrame
        One line per factor or attribute.
    """

    score: float
    table: pd.DataFrame

    def __float__(self) -> float:
        return self.score


def mig(Z: Any, factors: Any, *, n_bins: int = 20) -> DisentanglementScore:
    """Return the mutual information gap (MIG): how far the best code of a factor is ahead of the next one.

    Parameters
    ----------
    Z : array-like of shape (n, latent_dim)
        Codes, at least two columns. Bits and other integers are used as they are, which is exact; a
        column with more than `n_bins` different fractions is put into `n_bins` bins of equal width.
    factors : DataFrame, or array-like of shape (n,) or (n, n_factors)
        Generating factors: classes, or values, which are binned in the same way.
    n_bins : int, default=20
        At least 2.

    Returns
    -------
    DisentanglementScore
        `score` in [0, 1] is the mean of the column "gap". The table has the columns "factor",
        "entropy" (bits), "code" (column of the code with most information about the factor),
        "information" (of that code, bits), "second" (of the next one, bits) and "gap",
        (information - second) / entropy.

    Raises
    ------
    ValueError
        Codes or factors are not finite, differ in length, have missing values or do not vary.

    Notes
    -----
    Information is that of the observed frequencies, which is biased upwards by about (classes of the
    code - 1) * (classes of the factor - 1) / (2 n ln 2) bits.

    References
    ----------
    Chen, Li, Grosse, Duvenaud, "Isolating Sources of Disentanglement in Variational Autoencoders", 2018,
    equation 6.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.metrics import mig
    >>> red = np.array([0, 0, 1, 1])
    >>> float(mig(np.column_stack([red, [0, 1, 0, 1]]), red)), float(mig(np.column_stack([red, red]), red))
    (1.0, 0.0)
    """
    codes, targets = read_codes_and_factors(Z, factors)
    n_bins = check_int(n_bins, "n_bins", least=2)
    columns = [discretise(column, n_bins) for column in codes.T]
    rows = []
    for factor in targets:
        values = discretise(factor.values, len(codes) if factor.is_class else n_bins)
        information = np.array([mutual_information_bits(column, values) for column in columns])
        second, best = np.sort(information)[-2:]
        entropy = entropy_bits(values)
        gap = (best - second) / entropy
        rows.append((factor.name, entropy, int(information.argmax()), best, second, gap))
    table = pd.DataFrame(rows, columns=["factor", "entropy", "code", "information", "second", "gap"])
    return DisentanglementScore(float(table["gap"].mean()), table)


def tad(Z: Any, Y: Any, *, min_auroc: float = 0.75, max_redundancy: float = 0.2) -> DisentanglementScore:
    """Return the total AUROC difference (TAD): the sum over attributes of the lead of the best code.

    For data that have attributes rather than independent factors. An attribute counts where some code
    predicts it, and no other attribute implies it.

    Parameters
    ----------
    Z : array-like of shape (n, latent_dim)
        Codes, at least two columns: bits, probabilities or other numbers.
    Y : DataFrame, or array-like of shape (n,) or (n, n_attributes)
        Attributes with two values each.
    min_auroc : float, default=0.75
        An attribute counts where a single code, or its negative, reaches this AUROC.
    max_redundancy : float, default=0.2
        And where its mutual information with any other attribute is at most this fraction of its entropy.

    Returns
    -------
    DisentanglementScore
        `score` is the sum of "gap" over attributes with "counts". The table has the columns
        "attribute", "code" (column of the best code), "auroc" (its AUROC, or its negative's), "second"
        (the next best code's), "gap", "redundancy" and "counts".

    Raises
    ------
    ValueError
        Codes or attributes are not finite, differ in length, have missing values or do not vary.

    Notes
    -----
    Papers average over the training parts of five folds of the first 10,000 samples.

    References
    ----------
    Yeats, Liu, Womble, Li, "NashAE: Disentangling Representations through Adversarial Covariance
    Minimization", 2022; used so in Wang et al., "InfoDiffusion", 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.metrics import tad
    >>> hat = np.array([0, 0, 1, 1])
    >>> float(tad(np.column_stack([hat, [0, 1, 0, 1]]), hat))
    0.5
    """
    codes, attributes = read_codes_and_factors(Z, Y, "Y")
    for name, value in (("min_auroc", min_auroc), ("max_redundancy", max_redundancy)):
        check_number(value, name)
    for attribute in attributes:
        if not attribute.is_class or attribute.values.max() > 1:
            raise ValueError(
                f"Y must have attributes with two values each, but {attribute.name!r} has more. Turn classes "
                "into columns with pandas.get_dummies, or compare: Y > threshold."
            )
    values = np.column_stack([attribute.values for attribute in attributes])
    auroc = _auroc(codes, values)
    auroc = np.maximum(auroc, 1.0 - auroc)
    second, best = np.sort(auroc, axis=1)[:, -2:].T
    redundancy = _redundancy(values)
    table = pd.DataFrame(
        {
            "attribute": [attribute.name for attribute in attributes],
            "code": auroc.argmax(axis=1),
            "auroc": best,
            "second": second,
            "gap": best - second,
            "redundancy": redundancy,
            "counts": (best >= min_auroc) & (redundancy <= max_redundancy),
        }
    )
    return DisentanglementScore(float(table.loc[table["counts"], "gap"].sum()), table)


def _auroc(codes: np.ndarray, attributes: np.ndarray) -> np.ndarray:
    """Return the AUROC of every code for every attribute, shape (n_attributes, n_codes), from ranks."""
    ranks = rankdata(codes, axis=0)
    positives = attributes.sum(axis=0)[:, None].astype(np.float64)
    above = attributes.T @ ranks - positives * (positives + 1.0) / 2.0
    return above / (positives * (len(codes) - positives))


def _redundancy(attributes: np.ndarray) -> np.ndarray:
    """Return the largest mutual information with another attribute as a fraction of the entropy of each."""
    n = attributes.shape[1]
    information = np.zeros((n, n))
    for i in range(n):
        for k in range(i):
            information[i, k] = mutual_information_bits(attributes[:, i], attributes[:, k])
    return np.maximum(information, information.T).max(axis=1) / np.array(
        [entropy_bits(column) for column in attributes.T]
    )
