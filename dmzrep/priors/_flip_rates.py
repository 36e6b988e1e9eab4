"""Estimation of flip rates: how often the bits of a new code differ from those of a stored one."""

from __future__ import annotations

import numpy as np

from dmzrep.priors._mixture import log_joint

#: Maximum number of codes times components in an iteration.
CELLS = 1 << 23
#: Maximum number of iterations, and the change of every rate below which they stop.
MAX_ITER, TOLERANCE = 50, 1e-3
#: Initial rate, and the rate if there is a single code.
START, UNKNOWN = 0.1, 0.25


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
