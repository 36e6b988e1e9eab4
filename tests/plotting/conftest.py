import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from dmzrep.datasets import load_digits_images
from tests.encoders import make_encoder

matplotlib.use("Agg")


SMALL = {"width": (8, 16), "encoder_width": 8, "n_timesteps": 20, "max_iter": 1, "random_state": 0}


@pytest.fixture(scope="session")
def digits():
    return load_digits_images().images[:200]


@pytest.fixture(scope="session")
def encoder(digits):
    return make_encoder(8, **SMALL).fit(digits)


@pytest.fixture(scope="session")
def colour_images():
    return np.random.default_rng(0).random((24, 3, 8, 12))


@pytest.fixture(scope="session")
def colour_encoder(colour_images):
    return make_encoder(4, **SMALL).fit(colour_images)


@pytest.fixture(scope="session")
def vector_encoder():
    return make_encoder(4, **SMALL | {"width": 8}).fit(np.random.default_rng(0).normal(size=(40, 5)))


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")
