"""A bootstrap of the fitted codes with noise."""

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from dmzrep._base._random import draw_seed
from dmzrep.codes._checks import pack, unpack
from dmzrep.priors._base import CodePrior
from dmzrep.priors._mixture import log_joint, mixture_log_prob, pick

#: Codes whose distances to all others are in memory at a time.
BLOCK_CODES = 256
#: Maximum number of codes times components in an iteration of the estimation of flip rates.
CELLS = 1 << 23
#: Its maximum number of iterations, and the change of every rate below which they stop.
MAX_ITER, TOLERANCE = 50, 1e-3
#: Initial rate, and the rate if there is a single code.
START, UNKNOWN = 0.1, 0.25


class DatasetPrior(CodePrior):
    """A bootstrap of the fitted codes, with bits swapped between neighbours and random flips.

    A sample starts from a stored code, the anchor, drawn in proportion to its frequency, and one of the
    anchor's `n_neighbors` nearest other codes by Hamming distance, drawn uniformly. Each bit is from the
    neighbour with probability `swap`, else from the anchor, and is flipped with that bit's flip rate. Given
    anchor and neighbour the bits are independent, so `log_prob` is the exact log-probability of a sample: a
    sum over all pairs.

    Parameters
    ----------
    swap : float, default=0.0
        Probability that a bit comes from the neighbour, in [0, 1]; 0 is the plain bootstrap.
    n_neighbors : int, default=8
        Neighbours of each code, at most as many as other distinct codes. Ties are in the order of the
        stored codes. Has no effect if `swap` is 0.
    flip_rate : "auto" or float, default="auto"
        Probability that a bit is flipped. ``"auto"`` finds one for each bit, by the likelihood of
        stored codes given the other ones. A float, from 1e-9 to 0.5, is used for all bits: a small one
        hardly changes codes, and each bit by which a code differs from all stored ones costs
        ``log(flip_rate)`` nats, which bounds `log_prob` from below.
    max_codes : int, default=4096
        Maximum number of distinct codes that are stored; of more, a random sample is used. Time and
        memory of `log_prob` are proportional to it, times `n_neighbors` where bits are swapped: 2,000
        codes of 64 bits take about 0.1 s, or 1 s, on one core.
    random_state : int, RandomState or None, default=None
        Controls the subsets of codes that are stored, and used for the flip rates, if there are more.
        Pass an int for a reproducible prior.

    Attributes
    ----------
    codes_ : ndarray of shape (n_codes, ceil(latent_dim / 8)), uint8
        Distinct codes in lexicographic order, packed by `numpy.packbits`.
    log_weights_ : ndarray of shape (n_codes,)
        Logarithm of the relative frequency of each code.
    neighbors_ : ndarray of shape (n_codes, n_neighbors), int32
        Positions in `codes_`, the nearest first; without swaps, or for a single code, its own position.
    swap_ : ndarray of shape (), float64
        As `swap`.
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
    >>> DatasetPrior(swap=0.5).fit(bits).log_prob([[0, 1, 1]]).round(1).tolist()
    [-1.4]
    """

    name = "dataset"
    n_choices = 2
    state_names = ("codes_", "log_weights_", "neighbors_", "swap_", "flip_rates_")
    _parameter_constraints: ClassVar[dict] = {
        "swap": [Interval(Real, 0, 1, closed="both")],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "flip_rate": [StrOptions({"auto"}), Interval(Real, 1e-9, 0.5, closed="both")],
        "max_codes": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(self, swap=0.0, *, n_neighbors=8, flip_rate="auto", max_codes=4096, random_state=None):
        self.swap = swap
        self.n_neighbors = n_neighbors
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
        self.swap_ = np.array(float(self.swap))
        stored = self._stored().astype(np.float64)
        self.neighbors_ = np.arange(len(stored), dtype=np.int32)[:, None]
        if self.swap > 0 and len(stored) > 1:
            self.neighbors_ = nearest_others(stored, min(self.n_neighbors, len(stored) - 1))
        if self.flip_rate == "auto":
            self.flip_rates_ = fit_flip_rates(stored, counts, self.neighbors_, self._shares(), generator)
        else:
            self.flip_rates_ = np.full(bits.shape[1], float(self.flip_rate))

    def _stored(self) -> np.ndarray:
        return unpack(self.codes_, self.n_features_in_)

    def _shares(self) -> np.ndarray:
        """Return the probability of a one before the flips, for each pair of anchor and neighbour."""
        stored = self._stored().astype(np.float64)
        anchors = np.repeat(stored, self.neighbors_.shape[1], axis=0)
        return anchors + self.swap_ * (stored[self.neighbors_.ravel()] - anchors)

    def _log_prob(self, bits: np.ndarray) -> np.ndarray:
        n_neighbors = self.neighbors_.shape[1]
        log_weights = np.repeat(self.log_weights_ - np.log(n_neighbors), n_neighbors)
        return mixture_log_prob(bits, noisy(self._shares(), self.flip_rates_), log_weights)

    def _from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        anchor = pick(uniform[:, 0], np.exp(self.log_weights_))
        n_neighbors = self.neighbors_.shape[1]
        neighbor = self.neighbors_[anchor, (uniform[:, 1] * n_neighbors).astype(np.int64)]
        stored = self._stored()
        shares = (1.0 - self.swap_) * stored[anchor] + self.swap_ * stored[neighbor]
        return uniform[:, 2:] < noisy(shares, self.flip_rates_)


def nearest_others(bits: np.ndarray, k: int) -> np.ndarray:
    """Return the k nearest other codes of each code by Hamming distance, ties in their order."""
    n = len(bits)
    signs = np.where(bits > 0.5, 1.0, -1.0).astype(np.float32)  # Their products are exact integers.
    neighbors = np.empty((n, k), dtype=np.int32)
    for start in range(0, n, BLOCK_CODES):
        block = np.arange(start, min(start + BLOCK_CODES, n))
        distances = ((bits.shape[1] - signs[block] @ signs.T) / 2.0).astype(np.int64)
        keys = distances * n + np.arange(n)
        keys[np.arange(len(block)), block] = np.iinfo(np.int64).max
        neighbors[block] = np.sort(np.partition(keys, k - 1, axis=1)[:, :k], axis=1) % n
    return neighbors


def noisy(shares: np.ndarray, flip_rates: np.ndarray) -> np.ndarray:
    """Return the probability of a one in each component after the flips."""
    return shares * (1.0 - flip_rates) + (1.0 - shares) * flip_rates


def fit_flip_rates(
    bits: np.ndarray,
    counts: np.ndarray,
    neighbors: np.ndarray,
    shares: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """Maximise the leave-one-out likelihood of stored codes by expectation-maximisation.

    The likelihood of a code (Duin, 1976) excludes the components that one copy of it is part of, as anchor
    or as neighbour, with the kernel of Aitchison and Aitken (1976). A component is a pair of a code and one
    of its neighbours, and `shares`, of shape (n * n_neighbors, latent_dim), are its probabilities of a one
    before the flips. Where codes times components exceed `CELLS`, a random sample of the codes is used.
    Rates are in (0, 0.5], with half a count added to each side.
    """
    n_codes, n_neighbors = neighbors.shape
    anchors = np.repeat(np.arange(n_codes), n_neighbors)
    drawn = generator.permutation(np.repeat(np.arange(n_codes), counts))[: max(1, CELLS // len(anchors))]
    chosen, weights = np.unique(drawn, return_counts=True)
    single = (counts[chosen] == 1)[:, None]
    without = single & ((anchors == chosen[:, None]) | (neighbors.ravel() == chosen[:, None]))
    explained = ~without.all(axis=1)
    if not explained.any():
        return np.full(bits.shape[1], UNKNOWN)
    chosen, weights, without = chosen[explained], weights[explained], without[explained]
    fewer = np.log(np.maximum(counts[chosen] - 1, 1) / counts[chosen])
    seen = bits[chosen].astype(np.float32)
    log_weights = np.log(counts[anchors])
    rates = np.full(bits.shape[1], START)
    for _ in range(MAX_ITER):
        probabilities = noisy(shares, rates)
        joint = log_joint(seen, probabilities.astype(np.float32), log_weights.astype(np.float32))
        joint.reshape(-1, n_codes, n_neighbors)[np.arange(len(chosen)), chosen] += fewer[:, None]
        joint[without] = -np.inf
        joint -= joint.max(axis=1, keepdims=True)
        np.exp(joint, out=joint)
        joint *= (weights / joint.sum(axis=1))[:, None]
        ones, total = joint.T @ seen, joint.sum(axis=0)[:, None]
        flips = ones * (1.0 - shares) * rates / probabilities
        flips += (total - ones) * shares * rates / noisy(1.0 - shares, rates)
        previous, rates = rates, np.minimum((flips.sum(axis=0) + 0.5) / (weights.sum() + 1.0), 0.5)
        if np.abs(rates - previous).max() < TOLERANCE:
            break
    return rates
