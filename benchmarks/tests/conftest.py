"""Small data that stand in for the benchmarks' own."""

import numpy as np
import pytest

from benchmarks.datasets import ImageData
from dmzrep.datasets import load_digits_images
from dmzrep.estimator import _resolve


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    """Make networks small where a benchmark does not set their widths."""
    monkeypatch.setattr(_resolve, "default_widths", lambda *_: (8, 16))


@pytest.fixture(scope="session")
def digits():
    """Small digits in the place of MNIST: 500 train and 100 test images."""
    loaded = load_digits_images()
    images, labels = loaded.images, loaded.target
    return ImageData(images[:500], images[500:600], labels[:500], labels[500:600])


@pytest.fixture
def folder(tmp_path, digits):
    """A folder with these digits as a file that the loader of MNIST reads."""
    parts = {"x_train": digits.train, "x_test": digits.test}
    parts |= {"y_train": digits.train_labels, "y_test": digits.test_labels}
    np.savez(tmp_path / "mnist.npz", **parts)
    return tmp_path
