"""Domains whose codes are their pixels, with known probabilities."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import BaseEstimator

from dmzrep import DomainTransfer
from tests.encoders import make_encoder

N_BITS = 6


class Pixels(BaseEstimator):
    """Probabilities are pixels; decoding multiplies by ten and adds noise."""

    def __init__(self, output="probabilities"):
        self.output = output

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def transform(self, X):
        return np.asarray(X, dtype=float)

    def inverse_transform(self, Z, *, random_state=0, n_steps=None):
        noise = [0.1 * np.random.default_rng(seed).random(Z.shape[1]) for seed in random_state]
        return (10.0 * np.asarray(Z) + np.stack(noise)).reshape(len(Z), 2, -1)


def true_probabilities(X):
    """Probabilities of target bits: nearly certain, likely, fair, and an exclusive or."""
    sign = 2.0 * (X > 0.5) - 1.0
    log_odds = np.stack(
        [-6 * sign[:, 0], 2 * sign[:, 1], sign[:, 2], 0 * sign[:, 3], 6 * sign[:, 4] * sign[:, 5]], axis=1
    )
    return expit(log_odds)


def draw_pairs(n, seed):
    random = np.random.default_rng(seed)
    X = np.where(random.integers(0, 2, (n, N_BITS)) == 1, 0.9, 0.1) + random.uniform(-0.05, 0.05, (n, N_BITS))
    return X, (random.random((n, 5)) < true_probabilities(X)).astype(float)


@pytest.fixture(scope="session")
def pairs():
    return draw_pairs(600, 0)


@pytest.fixture(scope="session")
def new_pairs():
    return draw_pairs(1500, 1)


@pytest.fixture(scope="session")
def transfer(pairs):
    return DomainTransfer(Pixels(), Pixels(), random_state=0).fit(*pairs)


@pytest.fixture(scope="session")
def negatives(digits):
    """Images of the second domain: inverted digits, shifted by one pixel."""
    return np.roll(255 - digits, 1, axis=1)


@pytest.fixture(scope="session")
def encoders(digits, negatives):
    tiny = {"width": (8, 16), "encoder_width": 8, "max_iter": 1, "n_timesteps": 50, "random_state": 0}
    source = make_encoder(16, **tiny).fit(digits)
    target = make_encoder(12, **tiny, init="itq").fit(negatives)
    return source, target


@pytest.fixture(scope="session")
def digit_transfer(encoders, digits, negatives):
    return DomainTransfer(*encoders, random_state=0).fit(digits[:500], negatives[:500])
