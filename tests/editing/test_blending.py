import numpy as np
import pytest

from dmzrep.data import learn_image_format
from dmzrep.editing._blending import keep_unchanged


class Encoder:
    def __init__(self, images):
        self.data_format_ = learn_image_format(images, value_range=(0, 255))


@pytest.mark.parametrize("channels", ["first", "last"])
def test_a_pixel_is_blended_by_its_largest_change_over_channels(channels):
    X = np.full((2, 8, 8, 3), 100, dtype=np.uint8)
    X[0, 0, 0] = 90
    before = np.full((2, 8, 8, 3), 50, dtype=np.uint8)
    after = before.copy()
    after[0, 2, 3] = [101, 60, 50]
    after[1, 5, 5] = [50, 50, 75]
    if channels == "first":
        X, before, after = (np.moveaxis(images, 3, 1) for images in (X, before, after))
    out = keep_unchanged(Encoder(X), X, before, after)
    assert out.dtype == np.uint8
    out = np.moveaxis(out, 1, 3) if channels == "first" else out
    # 51 is a fifth of 255, and replaces the pixel; 25 is nearly half of it.
    assert out[0, 2, 3].tolist() == [101, 60, 50]
    np.testing.assert_array_equal(out[1, 5, 5], np.rint(100 + 25 / 51 * (np.array([50, 50, 75]) - 100.0)))
    out[0, 0, 0] = out[0, 2, 3] = out[1, 5, 5] = 100
    assert (out == 100).all()


def test_flat_colour_images_are_blended_per_pixel():
    flat = np.zeros((1, 8 * 8 * 3))
    encoder = Encoder(np.random.default_rng(0).random((4, 8, 8, 3)))
    after = flat.copy()
    after[0, 4] = 255.0  # Second pixel, second channel.
    out = keep_unchanged(encoder, flat + 0.5, flat, after)
    assert out.dtype == np.float64
    assert out[0, :9].tolist() == [0.5, 0.5, 0.5, 0.0, 255.0, 0.0, 0.5, 0.5, 0.5]
