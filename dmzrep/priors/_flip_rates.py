"""How often the bits of a new code differ from those of a stored one."""

from __future__ import annotations

import numpy as np

from dmzrep.priors._components import log_joint

#: Codes times components in an iteration, at most.
CELLS = 1 << 23
#: Iterations at most, and the change of every rate below which they stop.
MAX_ITER, TOLERANCE = 50, 1e-3
#: Initial rate, and the rate where no code has another to be compared with.
START, UNKNOWN = 0.1, 0.25


def noisy(shares: np.ndarray, flip_rates: np.ndarray) -> np.ndarray:
    """Return the probability of a one in each component after the flips.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.priors._flip_rates import noisy
    >>> noisy(np.array([[0.0, 1.0, 0.5]]), np.array([0.1, 0.1, 0.1])).tolist()
    [[0.1, 0.9, 0.5]]
    """
    return shares * (1.0 - flip_rates) + (1.0 - shares) * flip_rates


def fit_flip_rates(
    bits: np.ndarray,
    counts: np.ndarray,
    neighbors: np.ndarray,
    shares: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """Maximise the leave-one-out likelihood of stored codes by expectation-maximisation.

    The likelihood of a code leaves out the components that one copy of it is part of, as anchor or as
    neighbour. Where codes times components exceed `CELLS`, a random sample of the codes is used.

    Parameters
    ----------
    bits : ndarray of shape (n, latent_dim), float
        Distinct codes.
    counts : ndarray of shape (n,), int
        How often each was seen.
    neighbors : ndarray of shape (n, n_neighbors), int
        Positions in `bits` of the neighbours of each code.
    shares : ndarray of shape (n * n_neighbors, latent_dim)
        Probability of a one in each component, one for each code and neighbour, before the flips.
    generator : numpy Generator
        Draws the sample.

    Returns
    -------
    ndarray of shape (latent_dim,)
        Rates in (0, 0.5], with half a count added to each side.

    References
    ----------
    Duin, "On the Choice of Smoothing Parameters for Parzen Estimators of Probability Density
    Functions", 1976 (the leave-one-out likelihood); Aitchison, Aitken, "Multivariate Binary
    Discrimination by the Kernel Method", 1976 (the kernel).
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
