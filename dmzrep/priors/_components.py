"""Mixtures of components with independent bits."""

from __future__ import annotations

import numpy as np

from dmzrep._base._batching import in_blocks


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
