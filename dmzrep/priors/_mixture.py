"""Mixtures of components with independent bits."""

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from scipy.special import logsumexp
from sklearn.utils._param_validation import Interval

from dmzrep._base._batching import in_blocks
from dmzrep._base._random import numpy_generator
from dmzrep.priors._base import CodePrior, smoothed_mean


class MixturePrior(CodePrior):
    """A mixture of components with independent bits, fitted by expectation-maximisation.

    Parameters
    ----------
    n_components : int, default=32
        Number of components; at most a tenth of the number of samples.
    max_iter : int, default=100
        Maximum number of EM iterations.
    tol : float, default=1e-4
        Improvement of the mean log-likelihood, in nats, below which EM stops.
    random_state : int, RandomState or None, default=None
        Determines the initialisation. Pass an int for a reproducible prior.

    Attributes
    ----------
    log_weights_ : ndarray of shape (n_components,)
        Logarithm of the weight of each component.
    probabilities_ : ndarray of shape (n_components, latent_dim)
        Probability of a one in each component.

    See Also
    --------
    IndependentPrior : A single component.

    References
    ----------
    Bishop, "Pattern Recognition and Machine Learning", 2006, section 9.3.3.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.priors import MixturePrior
    >>> bits = np.repeat([[0, 0, 0], [1, 1, 1]], 100, axis=0)
    >>> prior = MixturePrior(n_components=2, random_state=0).fit(bits)
    >>> bool(prior.log_prob([[1, 1, 1]])[0] > prior.log_prob([[1, 0, 1]])[0])
    True
    """

    name = "mixture"
    n_choices = 1
    state_names = ("log_weights_", "probabilities_")
    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(self, n_components=32, *, max_iter=100, tol=1e-4, random_state=None):
        self.n_components = n_components
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def _fit(self, bits: np.ndarray) -> None:
        n_components = max(1, min(self.n_components, len(bits) // 10))
        random = numpy_generator(self.random_state)
        shuffled = bits[random.permutation(len(bits))]
        # Components that begin as the same code would remain equal.
        first = np.unique(shuffled, axis=0, return_index=True)[1]
        centres = shuffled[np.sort(first)[:n_components]]
        self.probabilities_ = 0.25 + 0.5 * centres
        self.log_weights_ = np.full(len(centres), -np.log(len(centres)))
        previous = -np.inf
        for _ in range(self.max_iter):
            joint = log_joint(bits, self.probabilities_, self.log_weights_)
            total = logsumexp(joint, axis=1)
            responsibilities = np.exp(joint - total[:, None])
            self.probabilities_ = smoothed_mean(bits, responsibilities)
            weights = responsibilities.sum(axis=0) + 0.5
            self.log_weights_ = np.log(weights / weights.sum())
            if total.mean() - previous < self.tol:
                break
            previous = total.mean()

    def _log_prob(self, bits: np.ndarray) -> np.ndarray:
        return mixture_log_prob(bits, self.probabilities_, self.log_weights_)

    def _from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        component = pick(uniform[:, 0], np.exp(self.log_weights_))
        return uniform[:, 1:] < self.probabilities_[component]


def log_joint(bits: np.ndarray, probabilities: np.ndarray, log_weights: np.ndarray) -> np.ndarray:
    """Return the joint log-probability of each code and each component, shape (n, n_components)."""
    if_zero = np.log1p(-probabilities)
    return bits @ (np.log(probabilities) - if_zero).T + (if_zero.sum(axis=1) + log_weights)


def mixture_log_prob(bits: np.ndarray, probabilities: np.ndarray, log_weights: np.ndarray) -> np.ndarray:
    """Return the log-probability of each code, shape (n,), in nats."""
    if_zero = np.log1p(-probabilities)
    slopes = np.ascontiguousarray((np.log(probabilities) - if_zero).T)
    offsets = if_zero.sum(axis=1) + log_weights

    def of_block(block: np.ndarray) -> np.ndarray:
        joint = block @ slopes
        joint += offsets
        largest = joint.max(axis=1)
        joint -= largest[:, None]
        # In place, as there may be tens of thousands of components.
        return largest + np.log(np.exp(joint, out=joint).sum(axis=1))

    return in_blocks(of_block, bits)


def pick(uniform: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Turn uniform numbers in [0, 1) into components in proportion to their weights."""
    cumulative = np.cumsum(weights)
    component = np.searchsorted(cumulative, uniform * cumulative[-1], side="right")
    return np.minimum(component, len(cumulative) - 1)
