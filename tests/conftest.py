"""Data and fitted encoders that several tests share."""

import numpy as np
import pytest

from dmzrep.datasets import load_digits_images
from tests.encoders import make_encoder


@pytest.fixture(scope="session")
def digits():
    return load_digits_images().images[:600]


@pytest.fixture(scope="session")
def digit_labels():
    return load_digits_images().target[:600]


@pytest.fixture(scope="session")
def encoder(digits):
    # Velocity prediction is accurate at low noise after a few epochs.
    params = {"width": (16, 32), "encoder_width": 8, "objective": "v", "max_iter": 8, "random_state": 0}
    return make_encoder(16, **params).fit(digits)


@pytest.fixture(scope="session")
def vectors():
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 2, (200, 3)) * 2.0 - 1.0
    return factors @ rng.normal(size=(3, 10)) + 0.1 * rng.normal(size=(200, 10)) + 3.0


@pytest.fixture(scope="session")
def vector_encoder(vectors):
    return make_encoder(16, width=64, encoder_width=64, max_iter=60, random_state=0).fit(vectors)
