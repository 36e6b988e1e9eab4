"""Association of bits with attributes."""

from typing import Any

import numpy as np
import pandas as pd

from dmzrep.codes._checks import check_codes
from dmzrep.codes._information import mutual_information
from dmzrep.codes._labels import read_binary_labels


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

        - bit: index of the bit
        - attribute: name of the attribute
        - auroc: area under the ROC curve when the bit alone (its complement, where `sign` is -1)
          predicts the attribute, in [0.5, 1]; for a bit, this equals the balanced accuracy
        - mutual_information: between bit and attribute, in bits, in [0, 1]
        - sign: 1 where the bit is on more often with the attribute, -1 where it is off, else 0

    Raises
    ------
    ValueError
        Lengths differ, labels are not binary, or an attribute has one class only.

    See Also
    --------
    bit_effects : What bits change in decoded images.
    dmzrep.plotting.BitTableDisplay : The table as a figure.

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
    bits = check_codes(Z) > 0.5
    table = read_binary_labels(Y, len(bits))
    labels, names = table.to_numpy(), list(table)
    known = ~np.isnan(labels)
    positive = labels == 1.0
    # Counts are integers, exact in float32 up to 2^24 samples.
    dtype = np.float32 if len(bits) < 2**24 else np.float64
    on = bits.T.astype(dtype)
    on_and_positive = (on @ positive.astype(dtype)).astype(np.float64)
    on_total = (on @ known.astype(dtype)).astype(np.float64)
    n, positives = known.sum(axis=0).astype(np.float64), positive.sum(axis=0).astype(np.float64)
    negatives = n - positives
    on_and_negative = on_total - on_and_positive
    raw = 0.5 * (1.0 + on_and_positive / positives - on_and_negative / negatives)
    counts = np.stack(
        [on_and_positive, on_and_negative, positives - on_and_positive, negatives - on_and_negative]
    )
    return pd.DataFrame(
        {
            "bit": np.repeat(np.arange(bits.shape[1]), len(names)),
            "attribute": np.tile(np.array(names, dtype=object), bits.shape[1]),
            "auroc": np.maximum(raw, 1.0 - raw).ravel(),
            "mutual_information": np.minimum(mutual_information(counts / n), 1.0).ravel(),
            "sign": np.sign(raw - 0.5).astype(np.int64).ravel(),
        }
    )
