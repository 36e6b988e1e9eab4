"""A bootstrap of the fitted codes with noise."""

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from dmzrep._base._random import draw_seed
from dmzrep.codes._checks import pack, unpack
from dmzrep.priors._base import CodePrior
from dmzrep.priors._mixture import log_joint, mixture_log_prob, pick

#: Maximum number of pairs of codes in an iteration of the estimation of flip rates.
CELLS = 1 << 23
#: Its maximum number of iterations, and the change of every rate below which they stop.
MAX_ITER, TOLERANCE = 50, 1e-3
#: Initial rate, and the rate if there is a single code.
START, UNKNOWN = 0.1, 0.25


class DatasetPrior(CodePrior):
    """A bootstrap of the fitted codes with random flips.

    A sample is a stored code, drawn in proportion to its frequency, each bit of which is flipped with that
    bit's flip rate. `log_prob` is the exact log-probability of a sample: a sum over all stored codes.

    Parameters
    ----------
    flip_rate : "auto" or float, default="auto"
        Probability that a bit is flipped. ``"auto"`` finds one for each bit, by the likelihood of
        stored codes given the other ones. A float, from 1e-9 to 0.5, is used for all bits: a small one
        hardly changes codes, and each bit by which a code differs from all stored ones costs
        ``log(flip_rate)`` nats, which bounds `log_prob` from below.
    max_codes : int, default=4096
        Maximum number of distinct codes that are stored; of more, a random sample is used. Time and
        memory of `log_prob` are proportional to it: 2,000 codes of 64 bits take about 0.1 s on one core.
    random_state : int, RandomState or None, default=None
        Controls the subsets of codes that are stored, and used for the flip rates, if there are more.
        Pass an int for a reproducible prior.

    Attributes
    ----------
    codes_ : ndarray of shape (n_codes, ceil(latent_dim / 8)), uint8
        Distinct codes in lexicographic order, packed by `numpy.packbits`.
    log_weights_ : ndarray of shape (n_codes,)
        Logarithm of the relative frequency of each code.
    flip_rates_ : ndarray of shape (latent_dim,)
        Probability that a bit is flipped, in (0, 0.5].

    See Also
    --------
    MixturePrior : A model of the codes instead of the codes themselves.

    References
    ----------
    Aitchison, Aitken, "Multivariate Binary Discrimination by the Kernel Method", 1976.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.priors import DatasetPrior
    >>> bits = np.repeat([[0, 0, 1], [1, 1, 1]], 100, axis=0)
    >>> prior = DatasetPrior().fit(bits)
    >>> np.exp(prior.log_prob([[0, 0, 1], [0, 1, 1]])).round(2).tolist()
    [0.5, 0.0]
    """

    name = "dataset"
    n_choices = 1
    state_names = ("codes_", "log_weights_", "flip_rates_")
    _parameter_constraints: ClassVar[dict] = {
        "flip_rate": [StrOptions({"auto"}), Interval(Real, 1e-9, 0.5, closed="both")],
        "max_codes": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(self, flip_rate="auto", *, max_codes=4096, random_state=None):
        self.flip_rate = flip_rate
        self.max_codes = max_codes
        self.random_state = random_state

    def _fit(self, bits: np.ndarray) -> None:
        generator = np.random.default_rng(draw_seed(self.random_state))
        self.codes_, counts = np.unique(pack(bits > 0.5), axis=0, return_counts=True)
        if len(counts) > self.max_codes:
            kept = generator.permutation(len(bits))[: self.max_codes]
            self.codes_, counts = np.unique(pack(bits[kept] > 0.5), axis=0, return_counts=True)
        self.log_weights_ = np.log(counts / counts.sum())
        if self.flip_rate == "auto":
            self.flip_rates_ = fit_flip_rates(self._stored(), counts, generator)
        else:
            self.flip_rates_ = np.full(bits.shape[1], float(self.flip_rate))

    def _stored(self) -> np.ndarray:
        return unpack(self.codes_, self.n_features_in_).astype(np.float64)

    def _log_prob(self, bits: np.ndarray) -> np.ndarray:
        return mixture_log_prob(bits, noisy(self._stored(), self.flip_rates_), self.log_weights_)

    def _from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        chosen = self._stored()[pick(uniform[:, 0], np.exp(self.log_weights_))]
        return uniform[:, 1:] < noisy(chosen, self.flip_rates_)


def noisy(bits: np.ndarray, flip_rates: np.ndarray) -> np.ndarray:
    """Return the probability of a one after the flips."""
    return bits * (1.0 - flip_rates) + (1.0 - bits) * flip_rates


def fit_flip_rates(bits: np.ndarray, counts: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Maximise the leave-one-out likelihood of distinct codes by expectation-maximisation.

    The likelihood of a code (Duin, 1976) excludes one copy of it, with the kernel of Aitchison and Aitken
    (1976). Where pairs of codes exceed `CELLS`, a random sample of the codes is used. Rates are in (0, 0.5],
    with half a count added to each side.
    """
    n_codes = len(bits)
    if n_codes == 1 and counts[0] == 1:
        return np.full(bits.shape[1], UNKNOWN)
    drawn = generator.permutation(np.repeat(np.arange(n_codes), counts))[: max(1, CELLS // n_codes)]
    chosen, weights = np.unique(drawn, return_counts=True)
    # What is left of a code without one copy: nothing of a single one.
    with np.errstate(divide="ignore"):
        fewer = np.log((counts[chosen] - 1) / counts[chosen])
    seen, log_weights = bits[chosen].astype(np.float32), np.log(counts).astype(np.float32)
    rates = np.full(bits.shape[1], START)
    for _ in range(MAX_ITER):
        probabilities = noisy(bits, rates)
        joint = log_joint(seen, probabilities.astype(np.float32), log_weights)
        joint[np.arange(len(chosen)), chosen] += fewer
        joint -= joint.max(axis=1, keepdims=True)
        np.exp(joint, out=joint)
        joint *= (weights / joint.sum(axis=1))[:, None]
        ones, total = joint.T @ seen, joint.sum(axis=0)[:, None]
        flips = ones * (1.0 - bits) * rates / probabilities
        flips += (total - ones) * bits * rates / noisy(1.0 - bits, rates)
        previous, rates = rates, np.minimum((flips.sum(axis=0) + 0.5) / (weights.sum() + 1.0), 0.5)
        if np.abs(rates - previous).max() < TOLERANCE:
            break
    return rates
