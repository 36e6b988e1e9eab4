import numpy as np
import pytest
from numpy.testing import assert_allclose

from dmzrep.editing._interpolation import interpolate
from dmzrep.plotting import InterpolationDisplay


def short_repr(display):
    return np.stack([np.asarray(image.get_array()) for image in display.images_])


def test_a_walk_stands_between_its_two_images(encoder, digits):
    x0, x1 = digits[:3], digits[3:6]
    display = InterpolationDisplay.from_estimator(encoder, x0, x1, 4, max_walks=2, n_steps=2)
    pictures = short_repr(display).reshape(2, 6, 8, 8)
    assert_allclose(pictures[:, 0], x0[:2] / 255, atol=1e-6)
    assert_allclose(pictures[:, -1], x1[:2] / 255, atol=1e-6)
    images, codes = interpolate(encoder, x0[:2], x1[:2], 4, n_steps=2)
    assert_allclose(pictures[:, 1:-1], images / 255, atol=1e-6)
    moved = (codes != codes[:, :1]).sum(axis=2)
    texts = np.array([text.get_text() for text in display.ax_.texts]).reshape(2, 6)
    assert texts[:, 1:-1].tolist() == moved.astype(str).tolist()
    assert display.ax_.get_title() == "Walks, smooth path (below: bits moved)"


def test_several_paths_are_compared_pair_by_pair(encoder, digits):
    paths = ["ordered", "soft"]
    display = InterpolationDisplay.from_estimator(encoder, digits[:2], digits[2:4], 3, path=paths, n_steps=2)
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == paths * 2
    pictures = short_repr(display).reshape(2, 2, 5, 8, 8)
    for i, path in enumerate(paths):
        images, _ = interpolate(encoder, digits[:2], digits[2:4], 3, path=path, n_steps=2)
        assert_allclose(pictures[:, i, 1:-1], images / 255, atol=1e-6)


def test_colour_images(colour_encoder, colour_images):
    display = InterpolationDisplay.from_estimator(
        colour_encoder, colour_images[:1], colour_images[1:2], 2, n_steps=2
    )
    assert short_repr(display).shape == (4, 8, 12, 3)


def test_bad_input_is_refused(encoder, vector_encoder, digits):
    with pytest.raises(ValueError, match="max_walks must be an integer of at least 1, got 0"):
        InterpolationDisplay.from_estimator(encoder, digits, digits, max_walks=0)
    with pytest.raises(ValueError, match="InterpolationDisplay draws images"):
        InterpolationDisplay.from_estimator(vector_encoder, np.zeros((2, 5)), np.zeros((2, 5)))
    with pytest.raises(ValueError, match="path must be one of"):
        InterpolationDisplay.from_estimator(encoder, digits[:1], digits[1:2], path="straight")
