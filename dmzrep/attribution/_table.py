"""Association of bits with attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from dmzrep._base._validation import as_numbers
from dmzrep.estimator._inputs import check_codes


def bit_table(Z: Any, Y: Any) -> pd.DataFrame:
    """Compare every bit with every binary attribute.

    Parameters
    ----------
    Z : array-like of shape (n, latent_dim)
        Bits, or probabilities (a bit is one above 0.5).
    Y : DataFrame, or array-like of shape (n,) or (n, n_attributes)
        Attributes, 0 or 1; NaN where unknown. Column names are kept.

    Returns
    -------
    DataFrame
        One row per bit and attribute, with the columns

        bit : index of the bit
        attribute : name of the attribute
        auroc : area under the ROC curve when the bit alone (its complement, where `sign` is -1)
            predicts the attribute, in [0.5, 1]; for a bit, the mean of both classes' accuracies
        mutual_information : between bit and attribute, in bits, in [0, 1]
        sign : 1 where the bit is on more often with the attribute, -1 where it is off, else 0

    Raises
    ------
    ValueError
        Lengths differ, labels are not binary, or an attribute has one class only.

    Examples
    --------
    >>> import pandas as pd
    >>> from dmzrep.attribution import bit_table
    >>> Z = [[0, 1], [0, 0], [1, 1], [1, 0]]
    >>> bit_table(Z, pd.DataFrame({"red": [1, 1, 0, 0]}))
       bit attribute  auroc  mutual_information  sign
    0    0       red    1.0                 1.0    -1
    1    1       red    0.5                 0.0     0
    """
    codes = as_numbers(Z, "Z")
    bits = check_codes(codes, codes.shape[1] if codes.ndim == 2 else -1) > 0.5
    labels, names = _labels(Y, len(bits))
    known = ~np.isnan(labels)
    positive = labels == 1.0
    # Counts are integers, exact in float32 up to 2^24 samples.
    dtype = np.float32 if len(bits) < 2**24 else np.float64
    on = bits.T.astype(dtype)
    on_and_positive = (on @ positive.astype(dtype)).astype(np.float64)
    on_total = (on @ known.astype(dtype)).astype(np.float64)
    n, positives = known.sum(axis=0).astype(np.float64), positive.sum(axis=0).astype(np.float64)
    negatives = n - positives
    if not (positives.all() and negatives.all()):
        single = [str(names[i]) for i in np.flatnonzero((positives == 0) | (negatives == 0))]
        raise ValueError(
            f"Attributes with a single class cannot be compared with bits: {', '.join(single)}. "
            "Drop these columns of Y, or pass more samples."
        )
    on_and_negative = on_total - on_and_positive
    raw = 0.5 * (1.0 + on_and_positive / positives - on_and_negative / negatives)
    counts = np.stack(
        [on_and_positive, on_and_negative, positives - on_and_positive, negatives - on_and_negative]
    )
    margins = np.stack(
        [on_total * positives, on_total * negatives, (n - on_total) * positives, (n - on_total) * negatives]
    )
    # sum p log2(p / (p_bit p_attribute)), where 0 log 0 is 0.
    ratio = np.divide(counts * n, margins, out=np.ones_like(counts), where=counts > 0)
    information = (counts / n * np.log2(ratio)).sum(axis=0)
    return pd.DataFrame(
        {
            "bit": np.repeat(np.arange(bits.shape[1]), len(names)),
            "attribute": np.tile(np.array(names, dtype=object), bits.shape[1]),
            "auroc": np.maximum(raw, 1.0 - raw).ravel(),
            "mutual_information": np.clip(information, 0.0, 1.0).ravel(),
            "sign": np.sign(raw - 0.5).astype(np.int64).ravel(),
        }
    )


def _labels(Y: Any, n_samples: int) -> tuple[np.ndarray, list[Any]]:
    """Return labels as float64 with NaN where unknown, and their names."""
    if isinstance(Y, pd.Series):
        Y = Y.to_frame()
    names = list(Y.columns) if isinstance(Y, pd.DataFrame) else None
    try:
        labels = as_numbers(Y, "Y").astype(np.float64)
    except ValueError:
        raise ValueError(
            "Y must hold binary attributes (0, 1 or NaN). Turn categories into columns with "
            "pandas.get_dummies."
        ) from None
    labels = labels[:, None] if labels.ndim == 1 else labels
    if labels.ndim != 2 or len(labels) != n_samples:
        raise ValueError(f"Y must have one row per code, {n_samples}, got shape {np.shape(Y)}.")
    names = list(range(labels.shape[1])) if names is None else names
    bad = ~(np.isnan(labels) | (labels == 0.0) | (labels == 1.0)).all(axis=0)
    if bad.any():
        name = names[int(np.argmax(bad))]
        raise ValueError(
            f"Y must hold binary attributes (0, 1 or NaN), but {name!r} has other values. Turn classes into "
            "columns with pandas.get_dummies, or compare: Y > threshold."
        )
    return labels, names
