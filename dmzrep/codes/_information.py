"""Information in bits and between bits, and between samples and codes."""

import math

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.special import entr, rel_entr

from dmzrep.codes._checks import check_codes

#: Maximum number of samples that are compared with all samples for the lower bound.
COMPARED_SAMPLES = 128


def binary_entropy(p: np.ndarray) -> np.ndarray:
    """Return the entropy of bits that are one with probability p, in bits."""
    return (entr(p) + entr(1.0 - p)) / math.log(2.0)


def joint_distribution(p: np.ndarray, smoothing: float = 0.0) -> np.ndarray:
    """Return the joint distribution of pairs of bits that are independent given the sample.

    `p` holds probabilities of shape (n, latent_dim). The result, of shape (4, latent_dim, latent_dim), is
    the probability that bits i and j are (1, 1), (1, 0), (0, 1) and (0, 0); `smoothing` is a pseudo-count
    added to each of the four cells.
    """
    n, ones, both = len(p), p.sum(axis=0), p.T @ p
    counts = np.stack([both, ones[:, None] - both, ones - both, n - ones[:, None] - ones + both])
    return (np.maximum(counts, 0.0) + smoothing) / (n + 4.0 * smoothing)


def mutual_information(joint: np.ndarray) -> np.ndarray:
    """Return the mutual information, in bits, of the pairs of a `joint_distribution`."""
    first, second = joint[0] + joint[1], joint[0] + joint[2]
    products = np.stack(
        [first * second, first * (1.0 - second), (1.0 - first) * second, (1.0 - first) * (1.0 - second)]
    )
    # By rounding a product can be zero where the joint probability is slightly above zero.
    products = np.maximum(products, np.finfo(np.float64).tiny)
    return np.maximum(rel_entr(joint, products).sum(axis=0), 0.0) / math.log(2.0)


def maximum_spanning_tree(weights: np.ndarray) -> csr_array:
    """Return the spanning tree of the largest total weight, for weights of at least 0."""
    # The solver reads zeros as missing edges, so every edge gets a weight below zero.
    return minimum_spanning_tree(-(weights + 1.0))


def absolute_correlations(bits: np.ndarray) -> np.ndarray:
    """Return the absolute correlations of bits; 0 on the diagonal and for bits that never vary."""
    joint = joint_distribution(bits.astype(np.float64))
    mean = joint[0].diagonal()
    std = np.sqrt(mean * (1.0 - mean))
    scale = np.outer(std, std)
    correlations = np.abs(joint[0] - np.outer(mean, mean))
    correlations = np.divide(correlations, scale, out=np.zeros_like(scale), where=scale > 0.0)
    np.fill_diagonal(correlations, 0.0)
    return np.minimum(correlations, 1.0)


def bit_information(p: np.ndarray) -> np.ndarray:
    """Return the mutual information I(x; z_i) of each bit and the sample x, in bits, shape (latent_dim,).

    Exact: the entropy of the mean probability minus the mean entropy of the probabilities.
    """
    return np.maximum(binary_entropy(p.mean(axis=0)) - binary_entropy(p).mean(axis=0), 0.0)


def information_bounds(probabilities: np.ndarray) -> tuple[float, float]:
    """Return bounds on the mutual information I(x; z) of samples and whole codes.

    Given its sample, a code's bits are independent, so I(x; z) = H(z) - sum of mean H(z_i | x), and only
    H(z) needs a bound. It is at most the entropy of a tree-shaped distribution with the same pairs (Chow and
    Liu), so the upper bound is the sum of I(x; z_i) minus the mutual information of the pairs of bits along
    the tree. For the mixture of the n samples' posteriors, I(x; z) is at least minus the mean over
    samples of the logarithm of the mean Bhattacharyya coefficient of a sample with all samples (Kolchinsky
    and Tracey).

    Parameters
    ----------
    probabilities : array-like of shape (n, latent_dim)
        Probabilities of ones given each sample.

    Returns
    -------
    lower, upper : float
        In bits. Both hold for x drawn from the n samples. As an estimate for the distribution that the
        samples come from, the lower bound is conservative, as it cannot exceed log2(n). Up to 128 samples
        it is exact, beyond that the outer mean is over 128 samples.

    See Also
    --------
    dmzrep.metrics.mutual_information_over_time : Information in noised samples.

    References
    ----------
    Chow, Liu, "Approximating Discrete Probability Distributions with Dependence Trees", 1968; Kolchinsky,
    Tracey, "Estimating Mixture Entropy with Pairwise Distances", 2017, equation 19 with alpha = 1/2.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.codes import information_bounds
    >>> same = np.array([[1.0, 1.0], [0.0, 0.0]])  # Two equal bits: one bit in all.
    >>> [round(bound, 6) for bound in information_bounds(same)]
    [1.0, 1.0]
    """
    p = check_codes(probabilities, "probabilities").astype(np.float64)
    information = mutual_information(joint_distribution(p))
    edges = maximum_spanning_tree(information).nonzero()
    upper = max(float(bit_information(p).sum() - information[edges].sum()), 0.0)
    return min(_mixture_information(p), upper), upper


def _mixture_information(p: np.ndarray) -> float:
    """Return a lower bound on I(x; z), in bits, from Bhattacharyya coefficients of posteriors."""
    # Bits before samples, so that products over bits run along contiguous memory.
    one, zero = (np.ascontiguousarray(np.sqrt(q.T), dtype=np.float32) for q in (p, 1.0 - p))
    chosen = np.unique(np.linspace(0, len(p) - 1, min(len(p), COMPARED_SAMPLES)).astype(np.int64))
    logarithms = [
        np.log2(np.prod(one * one[:, [i]] + zero * zero[:, [i]], axis=0).mean(dtype=np.float64))
        for i in chosen
    ]
    return max(-float(np.mean(logarithms)), 0.0)
