"""Disentanglement measured by the gap between the best and the second best code of each factor."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.metrics import mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from dmzrep._base._validation import check_int, check_number
from dmzrep.codes._checks import check_codes
from dmzrep.codes._labels import Target, read_labels


@dataclass(frozen=True)
class DisentanglementScore:
    """A score computed from the gaps between the best and the second best code of each factor.

    Parameters
    ----------
    score : float
        Mean of the gaps for MIG; sum of the gaps of the counted attributes for TAD.
    table : DataFrame
        One row per factor or attribute.
    """

    score: float
    table: pd.DataFrame

    def __float__(self) -> float:
        return self.score


def mig(Z: Any, factors: Any, *, n_bins: int = 20) -> DisentanglementScore:
    """Return the mutual information gap (MIG): how far the best code of a factor is ahead of the next best.

    Parameters
    ----------
    Z : array-like of shape (n, latent_dim)
        Codes, at least two columns. Bits and other integers are used as they are, which is exact; columns
        with more than `n_bins` distinct non-integer values are discretised into bins of equal width.
    factors : DataFrame, or array-like of shape (n,) or (n, n_factors)
        Generating factors: classes, or continuous values, which are discretised likewise.
    n_bins : int, default=20
        At least 2.

    Returns
    -------
    DisentanglementScore
        `score` in [0, 1] is the mean of the column "gap". The table has the columns "factor", "entropy"
        (bits), "code" (column of the most informative code), "information" (of that code, bits), "second"
        (of the next best code, bits) and "gap", (information - second) / entropy.

    Raises
    ------
    ValueError
        Codes or factors are not finite, differ in length, have missing values or are constant.

    See Also
    --------
    dci : Scores from models of each factor.
    tad : Gaps of AUROC, for binary attributes.

    Notes
    -----
    The plug-in estimate of information is biased upwards by about (classes of the code - 1) * (classes of
    the factor - 1) / (2 n ln 2) bits.

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
    columns = [_discretise(column, n_bins) for column in codes.T]
    rows = []
    for factor in targets:
        values = factor.values if factor.is_class else _discretise(factor.values, n_bins)
        information = np.array([_mutual_information(column, values) for column in columns])
        second, best = np.sort(information)[-2:]
        entropy = _mutual_information(values, values)
        gap = (best - second) / entropy
        rows.append((factor.name, entropy, int(information.argmax()), best, second, gap))
    table = pd.DataFrame(rows, columns=["factor", "entropy", "code", "information", "second", "gap"])
    return DisentanglementScore(float(table["gap"].mean()), table)


def tad(Z: Any, Y: Any, *, min_auroc: float = 0.75, max_redundancy: float = 0.2) -> DisentanglementScore:
    """Return the total AUROC difference (TAD): the summed gaps between best and second-best codes.

    For data with attributes rather than independent factors. An attribute is
    counted if some code predicts it and no other attribute implies it.

    Parameters
    ----------
    Z : array-like of shape (n, latent_dim)
        Codes, at least two columns: bits, probabilities or other values.
    Y : DataFrame, or array-like of shape (n,) or (n, n_attributes)
        Attributes with two values each.
    min_auroc : float, default=0.75
        AUROC that a single code, or its negative, must reach for an attribute to be counted.
    max_redundancy : float, default=0.2
        Largest mutual information with another attribute, as a fraction of the attribute's entropy, for
        an attribute to be counted.

    Returns
    -------
    DisentanglementScore
        `score` is the sum of "gap" over the attributes with "counts". The table has the columns
        "attribute", "code" (column of the best code), "auroc" (of that code or its negative), "second" (of
        the next best code), "gap", "redundancy" and "counts".

    Raises
    ------
    ValueError
        Codes or attributes are not finite, differ in length, have missing values or are constant.

    See Also
    --------
    mig : Gaps of mutual information.

    Notes
    -----
    The papers average over the training parts of five folds of the first 10,000 samples.

    References
    ----------
    Yeats, Liu, Womble, Li, "NashAE: Disentangling Representations through Adversarial Covariance
    Minimization", 2022; used likewise in Wang et al., "InfoDiffusion", 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.metrics import tad
    >>> hat = np.array([0, 0, 1, 1])
    >>> float(tad(np.column_stack([hat, [0, 1, 0, 1]]), hat))
    0.5
    """
    codes, attributes = read_codes_and_factors(Z, Y, "Y")
    check_number(min_auroc, "min_auroc")
    check_number(max_redundancy, "max_redundancy")
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
    information = np.array([[_mutual_information(one, other) for other in values.T] for one in values.T])
    entropy = information.diagonal().copy()
    np.fill_diagonal(information, 0.0)
    redundancy = information.max(axis=1) / entropy
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


def read_codes_and_factors(
    Z: Any, factors: Any, argument: str = "factors"
) -> tuple[np.ndarray, list[Target]]:
    """Return codes, at least two columns, and their factors, without missing values and none constant."""
    codes = check_codes(Z, kind="numbers")
    if codes.shape[1] < 2:
        raise ValueError(
            f"Z must have at least two columns to compare with each other, got {codes.shape[1]}."
        )
    targets = read_labels(factors, len(codes), argument=argument).targets
    for target in targets:
        label = f"{argument} {target.name!r}"
        if not target.known.all():
            raise ValueError(f"{label} has missing values; drop these samples, and their codes.")
        if len(np.unique(target.values)) < 2:
            raise ValueError(f"{label} has the same value in all samples. Drop it.")
    return codes, targets


def _discretise(values: np.ndarray, n_bins: int) -> np.ndarray:
    """Return indices of distinct values; non-integers are put into bins if there are more than `n_bins`."""
    distinct, indices = np.unique(values, return_inverse=True)
    if len(distinct) <= n_bins or np.array_equal(values, np.round(values)):
        return indices
    edges = np.linspace(values.min(), values.max(), n_bins + 1)
    return np.searchsorted(edges[1:-1], values, side="right")


def _mutual_information(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mutual information of two discrete variables by their frequencies, in bits."""
    counts = contingency_matrix(one, other, sparse=True)
    return float(mutual_info_score(None, None, contingency=counts) / np.log(2.0))


def _auroc(codes: np.ndarray, attributes: np.ndarray) -> np.ndarray:
    """Return the AUROC of every code for every attribute, shape (n_attributes, n_codes), from ranks."""
    ranks = rankdata(codes, axis=0)
    positives = attributes.sum(axis=0)[:, None].astype(np.float64)
    above = attributes.T @ ranks - positives * (positives + 1.0) / 2.0
    return above / (positives * (len(codes) - positives))
