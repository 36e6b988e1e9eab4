"""Tiny fitted estimators, so that a case takes milliseconds."""

import numpy as np
import pytest
import torch

from dmzrep import DMZEncoder
from dmzrep.arguments import as_numbers
from dmzrep.datasets import load_digits_images

TINY = {"width": 8, "encoder_width": 8, "attention": (), "max_iter": 1, "n_timesteps": 10, "random_state": 0}


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Rows are few: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def images():
    return load_digits_images().images[:40]


@pytest.fixture(scope="session")
def tiny(images):
    return DMZEncoder(8, prior="independent", **TINY).fit(images)


@pytest.fixture(scope="session")
def tiny_vectors():
    return np.random.default_rng(0).normal(size=(40, 5))


@pytest.fixture(scope="session")
def tiny_of_vectors(tiny_vectors):
    return DMZEncoder(8, prior="independent", **(TINY | {"width": 16})).fit(tiny_vectors)


class Pixels:
    """An encoder whose codes are the rows themselves."""

    def transform(self, X):
        return as_numbers(X, "X").astype(np.float64)

    def inverse_transform(self, Z):
        return np.asarray(Z, dtype=np.float64)


@pytest.fixture(scope="session")
def pixels():
    return Pixels()
