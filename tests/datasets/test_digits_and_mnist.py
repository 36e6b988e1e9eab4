"""Digits and MNIST."""

import numpy as np
import pytest
import sklearn.datasets
from sklearn.utils import Bunch

from dmzrep import datasets
from dmzrep.datasets import _digits as mnist


def test_digits_are_those_of_scikit_learn_as_uint8():
    data = datasets.load_digits_images()
    original = sklearn.datasets.load_digits()
    assert data.images.dtype == np.uint8
    assert data.images.shape == (1797, 8, 8)
    assert (data.images.min(), data.images.max()) == (0, 255)
    np.testing.assert_allclose(data.images / 255 * 16, original.images, atol=0.04)
    X, y = datasets.load_digits_images(return_X_y=True)
    assert np.array_equal(X, data.images)
    assert np.array_equal(y, original.target)


def test_mnist_is_reshaped_to_images(monkeypatch):
    flat = np.arange(2 * 784).reshape(2, 784) % 256
    table = Bunch(data=flat.astype(float), target=np.array(["5", "0"]), DESCR="text")
    monkeypatch.setattr(mnist, "fetch_openml", lambda *args, **kwargs: table)
    data = datasets.fetch_mnist()
    assert data.images.dtype == np.uint8
    assert np.array_equal(data.images.reshape(2, 784), flat)
    assert data.target.tolist() == [5, 0]


def test_mnist_without_the_internet_suggests_data_home(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route")

    monkeypatch.setattr(mnist, "fetch_openml", offline)
    with pytest.raises(OSError, match="no route") as caught:
        datasets.fetch_mnist()
    assert "set data_home" in "".join(caught.value.__notes__)
