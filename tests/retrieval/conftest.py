"""Data of the search tests."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def clustered():
    """2,000 samples and 60 queries of 24 features, in 30 clusters."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(30, 24)) * 3.0
    X = centres[random.integers(0, 30, 2060)] + random.normal(size=(2060, 24))
    return X[:2000], X[2000:]


@pytest.fixture(scope="session")
def clustered_bits():
    """4,000 codes and 60 queries of 64 bits, in 40 clusters."""
    random = np.random.default_rng(1)
    centres = random.integers(0, 2, (40, 64))
    bits = centres[random.integers(0, 40, 4060)] ^ (random.random((4060, 64)) < 0.12)
    return bits[:4000].astype(np.uint8), bits[4000:].astype(np.uint8)


@pytest.fixture(scope="session")
def count_differing():
    """Return the number of differing bits of each pair of a query and a code."""
    return lambda queries, bits: (np.asarray(queries)[:, None] != np.asarray(bits)[None]).sum(axis=2)
