import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from dmzrep import DMZEncoder, Training
from dmzrep.datasets import load_digits_images

matplotlib.use("Agg")


@pytest.fixture(scope="session")
def digits():
    return load_digits_images().images[:200]


@pytest.fixture(scope="session")
def encoder(digits):
    return DMZEncoder(8, max_iter=1, training=Training(n_timesteps=20), random_state=0).fit(digits)


@pytest.fixture(scope="session")
def colour_images():
    return np.random.default_rng(0).random((24, 3, 8, 12))


@pytest.fixture(scope="session")
def colour_encoder(colour_images):
    return DMZEncoder(4, max_iter=1, training=Training(n_timesteps=20), random_state=0).fit(colour_images)


@pytest.fixture(scope="session")
def vector_encoder():
    X = np.random.default_rng(0).normal(size=(40, 5))
    return DMZEncoder(4, max_iter=1, training=Training(n_timesteps=20), random_state=0).fit(X)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")
