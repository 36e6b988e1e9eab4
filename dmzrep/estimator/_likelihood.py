"""Likelihood methods of the estimator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._isolation import isolated
from dmzrep._base._validation import check_int
from dmzrep._base._warnings import warn
from dmzrep.data import open_like_fitted
from dmzrep.diffusion._calibration import Calibration
from dmzrep.errors import LikelihoodWarning
from dmzrep.inference import rate_table, sample_rates


class LikelihoodMixin(BaseEstimator):
    """Methods of `DMZEncoder` that compute the variational bound."""

    calibration_: Calibration | None

    @isolated
    def score_samples(self, X: Any, *, n_terms: int | None = None) -> np.ndarray:
        """Return the negative variational bound of each sample, in bits per dimension; higher is better.

        The bound is the rate of the sample given its bits plus the rate of the bits under `prior_`. Unless
        the variance is learned, it uses the estimates of `calibration_`, fitted after training.

        Parameters
        ----------
        X : array-like, table or map-style dataset
            Samples in the fitted layout.
        n_terms : int or None, default=None
            Network evaluations per sample, from 2 to the number of timesteps, which evaluates every term;
            fewer give a stratified, unbiased estimate. None is 32, or all timesteps if there are fewer.

        Returns
        -------
        ndarray of shape (n,), float64
            Deterministic and batch-invariant. A log-probability for integer images, a log-density in model
            units for other data.
        """
        data_rate, code_rate = self._rates(X, n_terms)
        return -(data_rate + code_rate) / (math.log(2.0) * math.prod(self.decoder_.data_shape))

    @isolated
    def bits_per_dim(self, X: Any, *, n_terms: int | None = None) -> pd.DataFrame:
        """Return the mean variational bound in bits per dimension, with its parts; lower is better.

        Issues a LikelihoodWarning if a Gaussian with the mean and variance of each channel of the training
        samples is a better model.

        Parameters
        ----------
        X : array-like, table or map-style dataset
            Samples in the fitted layout.
        n_terms : int or None, default=None
            As in `score_samples`.

        Returns
        -------
        DataFrame
            Rows "image" (a sample given its bits), "code" (the bits under `prior_`) and "total"; columns

            - bits_per_dim: mean over the samples
            - standard_error: of that mean, over the samples; NaN for a single sample. It covers the choice
              of samples, timesteps and noise, not another training.
            - bits: mean bits of a whole sample

        See Also
        --------
        score_samples : The negative total of each sample.

        Examples
        --------
        >>> import warnings
        >>> from dmzrep import DMZEncoder, Network
        >>> from dmzrep.datasets import load_digits_images
        >>> from dmzrep.errors import LikelihoodWarning
        >>> X = load_digits_images().images[:64]
        >>> encoder = DMZEncoder(16, network=Network(width=(8, 16)), max_iter=1, random_state=0).fit(X)
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", LikelihoodWarning)  # After one epoch.
        ...     table = encoder.bits_per_dim(X, n_terms=4)
        >>> list(table.index), list(table.columns)
        (['image', 'code', 'total'], ['bits_per_dim', 'standard_error', 'bits'])
        """
        table = rate_table(*self._rates(X, n_terms), math.prod(self.decoder_.data_shape))
        gaussian = math.inf if self.calibration_ is None else self.calibration_.gaussian_bits
        found = table.loc["total", "bits_per_dim"]
        if found > gaussian:
            warn(
                f"The variational bound is {found:.3g} bits per dimension, worse than that of a Gaussian "
                f"with the mean and variance of each channel of the training samples ({gaussian:.3g}). "
                "Either the samples are unlike the training samples, or the denoiser is poor: train longer "
                "(max_iter, max_time), or with timestep_sampling='uniform' or learn_variance=True.",
                LikelihoodWarning,
            )
        return table

    def _rates(self, X: Any, n_terms: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the rates of each sample given its bits, and of the bits, in nats."""
        check_is_fitted(self)
        n_timesteps = self.decoder_.objective.schedule.n_timesteps
        n_terms = min(32, n_timesteps) if n_terms is None else n_terms
        n_terms = check_int(n_terms, "n_terms", 2, n_timesteps, limit="n_timesteps")
        log_prob = None if self.prior_ is None else self.prior_.log_prob
        return sample_rates(self.decoder_, open_like_fitted(self, X), log_prob, n_terms)

    def score(self, X: Any, y: object = None) -> float:
        """Return the mean of `score_samples`, the negative bits per dimension; higher is better.

        Parameters
        ----------
        X : array-like, table or map-style dataset
            Samples in the fitted layout.
        y : ignored

        Returns
        -------
        float
        """
        return float(self.score_samples(X).mean())
