import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from dmzrep import DMZEncoder, Network, Training
from dmzrep.datasets import load_digits_images

matplotlib.use("Agg")


def small_encoder(latent_dim, width=(8, 16)):
    network, training = Network(width=width, encoder_width=8), Training(n_timesteps=20)
    return DMZEncoder(latent_dim, network=network, training=training, max_iter=1, random_state=0)


@pytest.fixture(scope="session")
def digits():
    return load_digits_images().images[:200]


@pytest.fixture(scope="session")
def encoder(digits):
    return small_encoder(8).fit(digits)


@pytest.fixture(scope="session")
def colour_images():
    return np.random.default_rng(0).random((24, 3, 8, 12))


@pytest.fixture(scope="session")
def colour_encoder(colour_images):
    return small_encoder(4).fit(colour_images)


@pytest.fixture(scope="session")
def vector_encoder():
    return small_encoder(4, width=8).fit(np.random.default_rng(0).normal(size=(40, 5)))


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")
