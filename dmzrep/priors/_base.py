"""Base class of the priors over codes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from dmzrep._base._batching import batches
from dmzrep._base._isolation import isolated
from dmzrep._base._random import draw_seed
from dmzrep._base._validation import check_int, short_repr
from dmzrep.codes._checks import check_codes
from dmzrep.errors import PersistenceError

#: Number of codes that are drawn at a time.
SAMPLED_TOGETHER = 4096


class CodePrior(BaseEstimator, ABC):
    """Base class of priors: validation, seeds, and state as plain arrays.

    A subclass names its fitted arrays in `state_names` and defines `_fit`, `_log_prob` and
    `_from_uniform`, which turns each vector of uniform numbers into one code, so the first m of n samples
    are the m samples of the same seed. Results are exactly batch-invariant; matrix products therefore use
    `in_blocks`.
    """

    name: ClassVar[str]
    state_names: ClassVar[tuple[str, ...]]
    #: Whether `_fit` gets the probabilities of bits, if these are passed, rather than bits.
    uses_probabilities: ClassVar[bool] = False
    #: Number of random choices per code besides its bits, such as of a component.
    n_choices: ClassVar[int] = 0
    _parameter_constraints: ClassVar[dict] = {}

    @isolated
    def fit(self, codes: np.ndarray, y: object = None) -> Self:
        """Fit the prior to codes.

        Parameters
        ----------
        codes : array-like of shape (n, latent_dim)
            Zeros and ones, or probabilities of ones, such as those of `DMZEncoder.transform`. Bits are one
            where the probability exceeds 0.5; the autoregressive priors also use the probabilities.
        y : ignored

        Returns
        -------
        self
        """
        self._validate_params()
        codes = check_codes(codes, "codes")
        self.n_features_in_ = codes.shape[1]
        self._fit((codes if self.uses_probabilities else codes > 0.5).astype(np.float64))
        return self

    @isolated
    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> np.ndarray:
        """Draw codes.

        Parameters
        ----------
        n_samples : int, default=1
            Number of codes, at least 1.
        random_state : int, RandomState or None, default=None
            Pass an int for reproducible codes; then the first ones do not depend on `n_samples`.

        Returns
        -------
        ndarray of shape (n_samples, latent_dim), uint8
        """
        check_is_fitted(self, "n_features_in_")
        n_samples = check_int(n_samples, "n_samples")
        generator = np.random.default_rng(draw_seed(random_state))
        # In blocks, since a code may take many numbers; the generator returns them row by row.
        codes = [
            self._from_uniform(generator.random((part.stop - part.start, self._n_uniform)))
            for part in batches(n_samples, SAMPLED_TOGETHER)
        ]
        return np.concatenate(codes).astype(np.uint8)

    @isolated
    def log_prob(self, bits: np.ndarray) -> np.ndarray:
        """Return the log-probability of codes.

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
        bits = check_codes(bits, "bits", "bits", n_bits=self.n_features_in_)
        return self._log_prob(bits.astype(np.float64))

    def score(self, bits: np.ndarray, y: object = None) -> float:
        """Return the mean log-probability of codes; higher is better.

        Parameters
        ----------
        bits : array-like of shape (n, latent_dim)
            Zeros and ones.
        y : ignored

        Returns
        -------
        float
            In nats per code.
        """
        return float(self.log_prob(bits).mean())

    def state(self) -> dict[str, np.ndarray]:
        """Return the fitted arrays by name.

        Returns
        -------
        dict of str and ndarray
        """
        check_is_fitted(self, "n_features_in_")
        return {name: np.asarray(getattr(self, name)) for name in self.state_names}

    def restore(self, state: dict[str, np.ndarray], latent_dim: int) -> Self:
        """Set the fitted arrays.

        Parameters
        ----------
        state : dict of str and ndarray
            From `state` of a fitted prior.
        latent_dim : int
            Number of bits.

        Returns
        -------
        self

        Raises
        ------
        PersistenceError
            `state` is not that of a fitted prior of this class and number of bits.
        """
        latent_dim = check_int(latent_dim, "latent_dim")
        self._check_names(state)
        self.n_features_in_ = latent_dim
        for name in self.state_names:
            setattr(self, name, np.array(state[name]))
        try:
            valid, reason = self._is_consistent(), "its values are invalid"
        except Exception as error:  # Arrays of other shapes and dtypes raise anything.
            valid, reason = False, repr(error)[:200]
        if not valid:
            del self.n_features_in_
            raise PersistenceError(
                f"state is not that of a fitted {type(self).__name__} of {latent_dim} bits: {reason}."
            )
        return self

    def _check_names(self, state: Any) -> None:
        names = set(state) if isinstance(state, Mapping) else None
        if names != set(self.state_names):
            found = short_repr(state) if names is None else f"those of {list(state)}"
            raise PersistenceError(
                f"state must be a dictionary with the arrays {list(self.state_names)}, got {found}. Pass the "
                f"result of the method state of a fitted {type(self).__name__}."
            )

    def _is_consistent(self) -> bool:
        """Return whether restored arrays yield log-probabilities and samples."""
        bits = np.repeat([[0], [1]], self.n_features_in_, axis=1)
        with np.errstate(all="ignore"):
            finite = all(np.isfinite(array).all() for array in self.state().values())
            log_prob, samples = self.log_prob(bits), self.sample(2, random_state=0)
        # Codes may be impossible, but then their log-probability is not NaN.
        valid = log_prob.shape == (2,) and bool((log_prob < 1e-6).all())
        return bool(finite and valid and samples.shape == bits.shape)

    @property
    def _n_uniform(self) -> int:
        """Return the number of uniform numbers that a code is drawn from."""
        return self.n_choices + self.n_features_in_

    @abstractmethod
    def _fit(self, codes: np.ndarray) -> None: ...

    @abstractmethod
    def _log_prob(self, bits: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def _from_uniform(self, uniform: np.ndarray) -> np.ndarray: ...


def smoothed_mean(bits: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the fraction of ones of each bit with half a count added to each side (Jeffreys' prior)."""
    if weights is None:
        return (bits.sum(axis=0) + 0.5) / (len(bits) + 1.0)
    return (weights.T @ bits + 0.5) / (weights.sum(axis=0)[:, None] + 1.0)
