"""What it costs to tell a row: the row given its bits, and the bits."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from dmzrep.data import Source
from dmzrep.inference._bounds import variational_bound
from dmzrep.inference._trained import TrainedModel
from dmzrep.priors import CodePrior


def row_rates(
    model: TrainedModel, rows: Source, codes: np.ndarray | None, prior: CodePrior | None, n_terms: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give the two rates of each row.

    Parameters
    ----------
    model : TrainedModel
        The model.
    rows : ndarray of shape (n, *row_shape)
        Rows in the user's layout.
    codes : ndarray of shape (n, latent_dim) or None
        Their bits; None for an unconditional model.
    prior : CodePrior or None
        Fitted model of the bits; None for an unconditional model.
    n_terms : int
        As in `variational_bound`.

    Returns
    -------
    image_rate, code_rate : ndarray of shape (n,), float64
        In nats for the whole row: the bound given the bits, and minus the log-probability of the bits.
    """
    image_rate = variational_bound(model, rows, codes, n_terms)
    if codes is None or prior is None:
        return image_rate, np.zeros(len(rows))
    return image_rate, -prior.log_prob(codes)


def rate_table(image_rate: np.ndarray, code_rate: np.ndarray, dimensions: int) -> pd.DataFrame:
    """Sum up rates over rows.

    Parameters
    ----------
    image_rate, code_rate : ndarray of shape (n,)
        In nats.
    dimensions : int
        Numbers in a row.

    Returns
    -------
    DataFrame
        As from `DMZEncoder.bits_per_dim`.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.inference import rate_table
    >>> rate_table(np.log([2.0, 8.0]), np.log([4.0, 4.0]), 2)
           bits_per_dim  standard_error  bits
    rate
    image           1.0             0.5   2.0
    code            1.0             0.0   2.0
    total           2.0             0.5   4.0
    """
    rates = {"image": image_rate, "code": code_rate, "total": image_rate + code_rate}
    bits = pd.DataFrame(rates) / math.log(2.0)
    table = pd.DataFrame(
        {
            "bits_per_dim": bits.mean() / dimensions,
            "standard_error": bits.sem() / dimensions,
            "bits": bits.mean(),
        }
    )
    table.index.name = "rate"
    return table
