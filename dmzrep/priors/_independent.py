"""Priors of independent bits."""

import math

import numpy as np

from dmzrep.priors._base import CodePrior, smoothed_mean


class UniformPrior(CodePrior):
    """Every bit is one with probability one half, independently: the paper's prior.

    See Also
    --------
    IndependentPrior : Fits the probability of each bit.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.priors import UniformPrior
    >>> prior = UniformPrior().fit(np.zeros((3, 2), dtype=np.uint8))
    >>> np.exp(prior.log_prob([[0, 1]])).tolist()
    [0.25]
    """

    name = "uniform"
    state_names = ()

    def _fit(self, bits: np.ndarray) -> None:
        pass

    def _log_prob(self, bits: np.ndarray) -> np.ndarray:
        return np.full(len(bits), -self.n_features_in_ * math.log(2.0))

    def _from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        return uniform < 0.5


class IndependentPrior(CodePrior):
    """Every bit has its own probability, independently of the others.

    Attributes
    ----------
    probabilities_ : ndarray of shape (latent_dim,)
        Probability of a one, with half a count added to each side.

    See Also
    --------
    ChowLiuPrior : Pairs of dependent bits.
    MixturePrior : A mixture of such priors.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.priors import IndependentPrior
    >>> prior = IndependentPrior().fit(np.array([[1, 0], [1, 1], [1, 0]]))
    >>> prior.probabilities_.tolist()
    [0.875, 0.375]
    """

    name = "independent"
    state_names = ("probabilities_",)

    def _fit(self, bits: np.ndarray) -> None:
        self.probabilities_ = smoothed_mean(bits)

    def _log_prob(self, bits: np.ndarray) -> np.ndarray:
        return np.where(bits > 0.5, np.log(self.probabilities_), np.log1p(-self.probabilities_)).sum(axis=1)

    def _from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        return uniform < self.probabilities_
