"""How well attributes can be predicted from codes, beside baselines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from dmzrep.probing._scores import probe_scores
from dmzrep.probing._summary import average_folds


def probe_report(
    Z: Any,
    Y: Any,
    *,
    cv: Any = 5,
    scoring: str | Iterable[str] | None = None,
    baselines: Mapping[str, Any] | None = None,
    protocol: str | None = None,
    split: Any = None,
    estimator: Any = None,
    task: str = "auto",
    name: str = "codes",
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> pd.DataFrame:
    """Report how well each attribute can be predicted from codes, beside baselines.

    Parameters
    ----------
    Z : array-like of shape (n, latent_dim)
        Codes: bits, probabilities, logits or any numbers.
    Y : array-like of shape (n,) or (n, n_attributes), Series or DataFrame
        Classes or values; NaN where unknown, and such samples are left out for that attribute.
    cv : int, splitter or list of (train, test), default=5
        Folds. A number makes shuffled folds of each attribute's labelled samples, stratified by class.
        A list holds positions among all samples, the same for every attribute.
    scoring : str, sequence of str or None, default=None
        Of classes "accuracy", "balanced_accuracy", "roc_auc", "average_precision"; of values "r2",
        "pearson_r", "mean_squared_error". None is all that apply. With more than two classes AUROC and
        average precision are means over classes, each against the rest.
    baselines : dict of str and array-like of shape (n, columns), optional
        Other representations of the same samples, such as raw pixels.
    protocol : {"dmz", "infodiffusion", "diti", "holdout"} or None, default=None
        Protocol of the literature; see Notes. It fixes the folds and, except "holdout", the estimator.
    split : array-like of shape (n,) of {"train", "validation", "test"}, optional
        Part of each sample, for "holdout" and "diti".
    estimator : scikit-learn estimator, optional
        What is fitted for each attribute; a classifier gets classes as 0, 1, ... None is
        ``LinearProbe(scale=True)``.
    task : {"auto", "classification", "regression"}, default="auto"
        As in `LinearProbe`.
    name : str, default="codes"
        Name of Z in the table.
    random_state : int, RandomState or None, default=None
        Determines the folds where `cv` is a number, and training under "diti". Pass an int for
        reproducible output; all representations share the folds in any case.
    n_jobs : int or None, default=None
        Fits at the same time, through joblib.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    DataFrame
        A row for each attribute and representation: "attribute", "representation", "n_labels",
        "n_positive" (NA unless there are two classes), "chance" (accuracy of always predicting the
        most frequent class in training; that of AUROC is 0.5, that of average precision the share of
        positives), each score's mean over folds and, as for example "roc_auc_std", its population
        standard deviation (NaN where there is one fold), "n_folds", and "n_undefined", the folds left out
        because they have a single class.

    Raises
    ------
    ValueError
        Arrays of different lengths, labels with a single class throughout, unknown names, a split or
        folds that do not suit the protocol.
    TypeError
        The estimator cannot be fitted, or scores, baselines or a name are of another type.

    Warns
    -----
    UndefinedMetricWarning
        Some folds have a single class.
    ConvergenceWarning
        Some fits did not converge; the protocols' default of 100 is low.

    Notes
    -----
    "dmz": all samples, five shuffled folds (seed 0), logistic regression with scikit-learn's defaults on
    codes as they are. Test folds may hold samples that trained the encoder.
    "infodiffusion": the same with the first 10,000 samples and codes standardised on the training fold.
    "diti": one linear layer for all attributes (which must have two classes), binary cross-entropy, Adam
    (1e-3), batches of 128, 15 epochs, the epoch with the best macro average precision on validation samples,
    scores of test samples. Without the authors' mirrored images.
    "holdout": fitted on training samples, scored on test samples, which must not have trained the encoder.
    Samples marked "validation" are not used.

    References
    ----------
    M. Proszewska and others, arXiv 2506.00136, 2025. Y. Wang and others, "InfoDiffusion", arXiv
    2306.08757, 2023. Z. Yue and others, arXiv 2401.11430, 2024.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from dmzrep.probing import probe_report
    >>> random = np.random.default_rng(0)
    >>> Z = random.random((120, 8))
    >>> Y = pd.DataFrame({"hat": Z[:, 0] > 0.5, "beard": Z[:, 1] > 0.9})
    >>> report = probe_report(Z, Y, cv=3, baselines={"noise": random.random((120, 8))}, random_state=0)
    >>> report[["attribute", "representation", "n_positive"]].values.tolist()
    [['hat', 'codes', 66], ['hat', 'noise', 66], ['beard', 'codes', 11], ['beard', 'noise', 11]]
    >>> bool(report["roc_auc"][0] > 0.95)
    True
    """
    options = {"cv": cv, "scoring": scoring, "baselines": baselines, "protocol": protocol, "split": split}
    options |= {"estimator": estimator, "task": task, "name": name, "random_state": random_state}
    return average_folds(probe_scores(Z, Y, n_jobs=n_jobs, verbose=verbose, **options))
