"""Disentanglement, completeness and informativeness, from models that predict factors."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.stats import entropy
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.linear_model import LassoCV
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from dmzrep._base._random import draw_seed
from dmzrep._base._validation import check_choice, check_number
from dmzrep.codes._labels import Target
from dmzrep.metrics._disentanglement import read_codes_and_factors


@dataclass(frozen=True)
class DCIScores:
    """Disentanglement, completeness and informativeness of codes.

    Parameters
    ----------
    disentanglement : float
        In [0, 1]; 1 if each code is important for a single factor.
    completeness : float
        In [0, 1]; 1 if a single code is important for each factor.
    informativeness : float
        Held-out accuracy, or R^2 for continuous factors, averaged over factors.
    table : DataFrame
        One row per factor: "factor", "completeness", "informativeness", "chance" (accuracy of always
        predicting the most frequent class; 0 for continuous factors).
    importance : DataFrame of shape (latent_dim, n_factors)
        Importance of each code for the model of each factor; columns sum to 1, or are all 0.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    table: pd.DataFrame
    importance: pd.DataFrame


def dci(
    Z: Any,
    factors: Any,
    *,
    model: str = "gradient_boosting",
    test_size: float = 0.25,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
) -> DCIScores:
    """Return the DCI scores: fit a model of each factor on codes, and compare which codes it uses.

    Parameters
    ----------
    Z : array-like of shape (n, latent_dim)
        Codes, at least two columns.
    factors : DataFrame, or array-like of shape (n, n_factors)
        Generating factors, at least two: classes, or continuous values.
    model : {"gradient_boosting", "lasso"}, default="gradient_boosting"
        Boosted trees, which see interactions, and their importances; or linear models of standardised
        codes with a cross-validated penalty (one for each class of a factor), and the magnitudes of their
        coefficients.
    test_size : float, default=0.25
        Fraction of samples on which informativeness is measured.
    random_state : int, RandomState or None, default=None
        Controls the split and the models.
    n_jobs : int or None, default=None
        Number of joblib workers; factors are fitted in parallel.

    Returns
    -------
    DCIScores

    Raises
    ------
    ValueError
        Codes or factors are not finite, differ in length or are constant, or there are fewer than two.

    See Also
    --------
    mig : Gaps of mutual information.
    tad : Gaps of AUROC, for binary attributes.

    Notes
    -----
    With importances R, the disentanglement of code j is 1 minus the entropy of its row of R, scaled to
    sum to 1, in units of log(n_factors); codes are averaged with the weights sum_k R_jk. The completeness
    of factor k is the same for its column in units of log(latent_dim), with equal weights; a factor whose
    model uses no code has 0.

    References
    ----------
    Eastwood, Williams, "A Framework for the Quantitative Evaluation of Disentangled Representations",
    2018, section 2; boosted trees as in Locatello et al., "Challenging Common Assumptions in the
    Unsupervised Learning of Disentangled Representations", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.metrics import dci
    >>> factors = np.random.default_rng(0).integers(0, 2, (200, 2))
    >>> scores = dci(factors, factors, random_state=0)
    >>> round(scores.disentanglement, 3), round(scores.completeness, 3), scores.informativeness
    (1.0, 1.0, 1.0)
    """
    codes, targets = read_codes_and_factors(Z, factors)
    check_choice("model", model, ("gradient_boosting", "lasso"))
    if len(targets) < 2:
        raise ValueError("factors must have at least two columns to disentangle, got 1.")
    test_size = check_number(test_size, "test_size", 0, 1)
    seed = draw_seed(random_state) % 2**31
    train, test = train_test_split(np.arange(len(codes)), test_size=test_size, random_state=seed)
    fit = _fit_boosting if model == "gradient_boosting" else _fit_lasso
    fitted = Parallel(n_jobs=n_jobs)(delayed(fit)(codes, factor, train, test, seed) for factor in targets)
    names = [factor.name for factor in targets]
    importance = np.column_stack([_shares(values) for values, _ in fitted])
    weights = importance.sum(axis=1)
    by_code = np.array([_concentration(row) for row in importance])
    table = pd.DataFrame(
        {
            "factor": names,
            "completeness": [_concentration(column) for column in importance.T],
            "informativeness": [score for _, score in fitted],
            "chance": [_chance(factor, train, test) for factor in targets],
        }
    )
    return DCIScores(
        float(_shares(weights) @ by_code),
        float(table["completeness"].mean()),
        float(table["informativeness"].mean()),
        table,
        pd.DataFrame(importance, columns=names),
    )


def _fit_boosting(
    codes: np.ndarray, factor: Target, train: np.ndarray, test: np.ndarray, seed: int
) -> tuple[np.ndarray, float]:
    """Return the importance of each code, and the held-out score."""
    kind = GradientBoostingClassifier if factor.is_class else GradientBoostingRegressor
    if factor.is_class and len(np.unique(factor.values[train])) < 2:
        raise ValueError(
            f"factors {factor.name!r} has a single class in the training part; use more samples, or drop it."
        )
    model = kind(random_state=seed).fit(codes[train], factor.values[train])
    return model.feature_importances_, float(model.score(codes[test], factor.values[test]))


def _fit_lasso(
    codes: np.ndarray, factor: Target, train: np.ndarray, test: np.ndarray, seed: int
) -> tuple[np.ndarray, float]:
    scaler = StandardScaler().fit(codes[train])
    X_train, X_test = scaler.transform(codes[train]), scaler.transform(codes[test])
    y_train, y_test = factor.values[train], factor.values[test]
    if not factor.is_class:
        model = LassoCV(random_state=seed).fit(X_train, y_train)
        return np.abs(model.coef_), float(model.score(X_test, y_test))
    classes = range(int(factor.values.max()) + 1)
    models = [LassoCV(random_state=seed).fit(X_train, (y_train == k).astype(float)) for k in classes]
    predicted = np.argmax([model.predict(X_test) for model in models], axis=0)
    return np.abs([model.coef_ for model in models]).sum(axis=0), float((predicted == y_test).mean())


def _chance(factor: Target, train: np.ndarray, test: np.ndarray) -> float:
    if not factor.is_class:
        return 0.0
    return float((factor.values[test] == np.bincount(factor.values[train]).argmax()).mean())


def _shares(values: np.ndarray) -> np.ndarray:
    total = values.sum()
    return values / total if total > 0.0 else np.zeros_like(values)


def _concentration(values: np.ndarray) -> float:
    """Return 1 minus the normalised entropy of non-negative values; 0 if all are 0."""
    return float(1.0 - entropy(values, base=len(values))) if values.any() else 0.0
