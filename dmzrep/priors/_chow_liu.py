"""The maximum-likelihood tree of bits."""

import numpy as np
from scipy.sparse.csgraph import breadth_first_order

from dmzrep.codes._information import joint_distribution, maximum_spanning_tree, mutual_information
from dmzrep.priors._base import CodePrior, smoothed_mean


class ChowLiuPrior(CodePrior):
    """The maximum-likelihood tree, in which each bit depends on one other.

    Attributes
    ----------
    order_ : ndarray of shape (latent_dim,)
        Bits from the root outwards.
    parents_ : ndarray of shape (latent_dim,)
        Parent of each bit; -1 at the root.
    conditionals_ : ndarray of shape (2, latent_dim)
        Probability of a one given that the parent is zero, and one.

    See Also
    --------
    AutoregressivePrior : Each bit depends on all earlier bits.

    References
    ----------
    Chow, Liu, "Approximating Discrete Probability Distributions with Dependence Trees", 1968.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.priors import ChowLiuPrior
    >>> bits = np.repeat([[0, 0], [1, 1]], 50, axis=0)
    >>> prior = ChowLiuPrior().fit(bits)
    >>> bool(prior.log_prob([[1, 1]])[0] > prior.log_prob([[1, 0]])[0])
    True
    """

    name = "chow_liu"
    state_names = ("order_", "parents_", "conditionals_")

    def _fit(self, bits: np.ndarray) -> None:
        tree = maximum_spanning_tree(mutual_information(joint_distribution(bits, smoothing=0.25)))
        order, parents = breadth_first_order(tree, 0, directed=False)
        self.order_ = order.astype(np.int64)
        self.parents_ = np.where(np.arange(bits.shape[1]) == 0, -1, parents).astype(np.int64)
        marginal = smoothed_mean(bits)
        conditionals = np.stack([marginal, marginal])
        for bit in self.order_[1:]:
            parent = bits[:, self.parents_[bit]]
            for value in (0, 1):
                chosen = parent == value
                # One count spread as the marginal, so that unseen values of the parent carry no information.
                conditionals[value, bit] = (bits[chosen, bit].sum() + marginal[bit]) / (chosen.sum() + 1.0)
        self.conditionals_ = conditionals

    def _log_prob(self, bits: np.ndarray) -> np.ndarray:
        parent_values = bits[:, np.maximum(self.parents_, 0)].astype(bool)
        probabilities = np.where(parent_values, self.conditionals_[1], self.conditionals_[0])
        return (bits * np.log(probabilities) + (1.0 - bits) * np.log1p(-probabilities)).sum(axis=1)

    def _from_uniform(self, uniform: np.ndarray) -> np.ndarray:
        bits = np.zeros(uniform.shape, dtype=np.uint8)
        for bit in self.order_:
            values = bits[:, max(self.parents_[bit], 0)]
            bits[:, bit] = uniform[:, bit] < self.conditionals_[values, bit]
        return bits
