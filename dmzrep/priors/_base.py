"""What every prior over codes has in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._random import draw_seed
from dmzrep._base._validation import as_numbers, check_int

#: Rows that matrix products see at a time.
BLOCK_ROWS = 128


class CodePrior(BaseEstimator):
    """Base of the priors: checks, seeds, and state as plain arrays.

    A subclass names its fitted arrays in `state_names` and gives `_fit`, `_log_prob` and
    `_from_uniform`, which turns uniform numbers into codes row by row. One row of uniforms makes
    one code, so the first m of n samples are the m samples of the same seed. What is computed of a row
    depends on no other row, to the last bit; matrix products therefore go through `in_blocks`.
    """

    name: ClassVar[str]
    state_names: ClassVar[tuple[str, ...]]
    _parameter_constraints: ClassVar[dict] = {}

    def fit(self, bits: np.ndarray, y: object = None) -> Self:
        """Fit the prior to codes.

        Parameters
        ----------
        bits : array-like of shape (n, latent_dim)
            Zeros and ones.
        y : ignored

        Returns
        -------
        self
        """
        self._validate_params()
        bits = check_bits(bits)
        self.n_features_in_ = bits.shape[1]
        self._fit(bits.astype(np.float64))
        return self

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> np.ndarray:
        """Draw codes.

        Parameters
        ----------
        n_samples : int, default=1
            Number of codes, at least 1.
        random_state : int, RandomState or None, default=None
            The same integer gives the same codes, and more samples continue fewer.

        Returns
        -------
        ndarray of shape (n_samples, latent_dim), uint8
        """
        check_is_fitted(self, "n_features_in_")
        n_samples = check_int(n_samples, "n_samples")
        generator = np.random.default_rng(draw_seed(random_state))
        return self._from_uniform(generator.random((n_samples, self._n_uniform()))).astype(np.uint8)

    def log_prob(self, bits: np.ndarray) -> np.ndarray:
        """Log-probability of codes.

        Parameters
        ----------
        bits : array-like of shape (n, latent_dim)
            Zeros and ones.

        Returns
        -------
        ndarray of shape (n,), float64
            In nats; finite.
        """
        check_is_fitted(self, "n_features_in_")
        bits = check_bits(bits, self.n_features_in_)
        return self._log_prob(bits.astype(np.float64))

    def score(self, bits: np.ndarray, y: object = None) -> float:
        """Mean log-probability of codes, in nats; higher is better."""
        return float(self.log_prob(bits).mean())

    def state(self) -> dict[str, np.ndarray]:
        """Fitted arrays by name."""
        check_is_fitted(self, "n_features_in_")
        return {name: np.asarray(getattr(self, name)) for name in self.state_names}

    def restore(self, state: dict[str, np.ndarray], latent_dim: int) -> Self:
        """Take over the arrays that `state` of a fitted prior gave."""
        self.n_features_in_ = latent_dim
        for name in self.state_names:
            setattr(self, name, np.array(state[name]))
        return self

    def _n_uniform(self) -> int:
        """Uniform numbers that a code needs."""
        return self.n_features_in_

    def _fit(self, bits: np.ndarray) -> None:
        raise NotImplementedError

    def _log_prob(self, bits: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        raise NotImplementedError


def check_bits(bits: Any, latent_dim: int | None = None) -> np.ndarray:
    """Give codes as an array; raise unless they are a table of zeros and ones of the right width."""
    bits = as_numbers(bits, "bits")
    if bits.ndim != 2 or bits.shape[1] == 0 or len(bits) == 0:
        raise ValueError(f"bits must be a non-empty array of shape (n, latent_dim), got shape {bits.shape}.")
    if latent_dim is not None and bits.shape[1] != latent_dim:
        raise ValueError(
            f"bits must have {latent_dim} columns, as the prior was fitted with, got {bits.shape[1]}."
        )
    if not np.isin(bits, (0, 1)).all():
        raise ValueError("bits must be zeros and ones; threshold probabilities with Z > 0.5 first.")
    return bits


def in_blocks(
    function: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, size: int = BLOCK_ROWS
) -> np.ndarray:
    """Apply a row-wise function to blocks of exactly `size` rows; the last one is filled up and cut.

    Matrix products choose their order of summation by the shape of the block. At one shape a row's
    result is the same to the last bit in any company, and memory does not grow with the rows.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.priors._base import in_blocks
    >>> in_blocks(lambda block: block.sum(axis=1), np.eye(5), size=2).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    parts = []
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        padding = np.repeat(block[-1:], size - len(block), axis=0)
        parts.append(function(np.concatenate([block, padding]))[: len(block)])
    return np.concatenate(parts)


def smoothed_mean(bits: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Share of ones in each column with half a count added to each side (Jeffreys' prior)."""
    if weights is None:
        return (bits.sum(axis=0) + 0.5) / (len(bits) + 1.0)
    return (weights.T @ bits + 0.5) / (weights.sum(axis=0)[:, None] + 1.0)
