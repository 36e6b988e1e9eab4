"""Rates: bits of a sample given its code, and bits of the code."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dmzrep.data import Source
from dmzrep.priors import CodePrior

if TYPE_CHECKING:
    from dmzrep.inference._decoder import Decoder


def sample_rates(
    decoder: Decoder, samples: Source, codes: np.ndarray | None, prior: CodePrior | None, n_terms: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rate of each sample given its bits, and that of the bits.

    Parameters
    ----------
    decoder : Decoder
        The fitted model.
    samples : ndarray or other source of n samples
        In the user's layout.
    codes : ndarray of shape (n, latent_dim) or None
        Their bits; None for an unconditional model.
    prior : CodePrior or None
        Fitted model of the bits; None for an unconditional model.
    n_terms : int
        Network evaluations per sample.

    Returns
    -------
    data_rate, code_rate : ndarray of shape (n,), float64
        In nats per sample: the bound given the bits, and minus the log-probability of the bits.
    """
    data_rate = decoder.bound(samples, codes, n_terms)
    if codes is None or prior is None:
        return data_rate, np.zeros(len(samples))
    return data_rate, -prior.log_prob(codes)


def rate_table(data_rate: np.ndarray, code_rate: np.ndarray, dimensions: int) -> pd.DataFrame:
    """Average rates over samples.

    Parameters
    ----------
    data_rate, code_rate : ndarray of shape (n,)
        In nats.
    dimensions : int
        Values of a sample.

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
    rates = {"image": data_rate, "code": code_rate, "total": data_rate + code_rate}
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
