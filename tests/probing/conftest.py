import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="session")
def codes():
    """Random probabilities of bits, float32."""
    return np.random.default_rng(0).random((300, 6)).astype(np.float32)


@pytest.fixture(scope="session")
def attributes(codes):
    """Two attributes that codes predict with some noise, and one independent of them."""
    noise = np.random.default_rng(1).normal(size=(300, 2))
    return pd.DataFrame(
        {
            "hat": (codes[:, 0] + 0.2 * noise[:, 0] > 0.5).astype(int),
            "beard": (codes[:, 1] + 0.2 * noise[:, 1] > 0.8).astype(int),
            "coin": np.random.default_rng(2).integers(0, 2, 300),
        }
    )
