"""Errors of images against closed forms and definitions."""

import sys

import numpy as np
import pytest
from scipy.signal import correlate2d
from scipy.signal.windows import gaussian

from dmzrep.metrics import mse, psnr, ssim

peak_signal_noise_ratio = pytest.importorskip("skimage.metrics").peak_signal_noise_ratio


def ssim_by_definition(x, y, size):
    """The formula of Wang et al. for all windows; x and y of shape (H, W), in [0, 1]."""
    window = gaussian(size, 1.5 * size / 11)
    window = np.outer(window, window) / window.sum() ** 2

    def mean(image):
        return correlate2d(image, window, "valid")

    mx, my = mean(x), mean(y)
    vx, vy, covariance = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return np.mean((2 * mx * my + c1) * (2 * covariance + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (3, 15, 14, 3)).astype(np.uint8)
    y = np.clip(x + rng.normal(scale=40, size=x.shape), 0, 255).astype(np.uint8)
    return x, y


@pytest.mark.parametrize("size", ["auto", 7, 3])
def test_ssim_agrees_with_its_definition(pair, size):
    x, y = pair
    expected = [
        np.mean(
            [
                ssim_by_definition(a[..., c] / 255.0, b[..., c] / 255.0, 11 if size == "auto" else size)
                for c in range(3)
            ]
        )
        for a, b in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(ssim(x, y, window_size=size), expected, rtol=1e-9)


def test_ssim_of_small_images_takes_the_largest_window_that_fits(pair):
    x, y = (images[:, :8] for images in pair)
    np.testing.assert_allclose(ssim(x, y), ssim(x, y, window_size=7))


def test_errors_do_not_depend_on_dtype_range_and_layout(pair):
    x, y = pair
    expected = [np.mean((a / 255.0 - b / 255.0) ** 2) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(mse(x, y), expected)
    reference = [peak_signal_noise_ratio(a, b) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(psnr(x, y), reference)
    np.testing.assert_allclose(mse(x / 255.0, y / 255.0), expected)
    signed = [images / 127.5 - 1.0 for images in pair]
    np.testing.assert_allclose(mse(*signed, value_range=(-1.0, 1.0)), expected)
    channels_first = [np.moveaxis(images, 3, 1) for images in pair]
    np.testing.assert_allclose(ssim(*channels_first), ssim(x, y))
    assert mse(x, x).tolist() == [0.0] * 3 and np.isposinf(psnr(x, x)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: mse(x, y[:2]), "must have the same shape"),
        (lambda x, y: ssim(x, y, window_size=8), "window_size must be odd, got 8"),
        (lambda x, y: psnr(x, y / 255.0), "X has values from 0 to 255 and Y from 0 to 1; convert both"),
    ],
)
def test_invalid_images_raise(pair, call, message):
    with pytest.raises(ValueError, match=message):
        call(*pair)


def test_ssim_without_scikit_image_says_how_to_install_it(pair, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    with pytest.raises(ImportError, match=r'ssim needs scikit-image.*pip install "dmzrep\[metrics\]"'):
        ssim(*pair)
    assert np.isfinite(psnr(*pair)).all()
