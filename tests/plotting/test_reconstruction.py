import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from dmzrep import DMZEncoder
from dmzrep.plotting import ReconstructionDisplay


def short_repr(display):
    return np.stack([np.asarray(image.get_array()) for image in display.images_])


def test_originals_stand_above_their_reconstructions(encoder, digits):
    display = ReconstructionDisplay.from_estimator(encoder, digits, max_images=4, n_steps=2)

    assert len(display.images_) == len(display.ax_.images) == 8
    pictures = short_repr(display)
    assert_allclose(pictures[:4], digits[:4] / 255, atol=1e-6)
    assert_allclose(pictures[4:], encoder.reconstruct(digits[:4], n_steps=2) / 255, atol=1e-6)
    # Reading order: each reconstruction is right below its original.
    for original, reconstruction in zip(display.images_[:4], display.images_[4:], strict=True):
        left, right, bottom, _ = original.get_extent()
        assert reconstruction.get_extent()[:2] == [left, right]
        assert reconstruction.get_extent()[3] > bottom


def test_title_and_rows_say_what_is_shown(encoder, digits):
    display = ReconstructionDisplay.from_estimator(encoder, digits, max_images=2, n_draws=3, n_steps=2)
    assert display.ax_.get_title() == "Reconstructions from 8 bits"
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == ["original", "draw 1", "draw 2", "draw 3"]


def test_draws_differ_and_the_first_is_what_reconstruct_gives(encoder, digits):
    display = ReconstructionDisplay.from_estimator(encoder, digits[:2], n_draws=2, n_steps=2, random_state=5)
    assert display.reconstructions.shape == (2, 2, 8, 8)
    assert not np.array_equal(*display.reconstructions)
    first = encoder.reconstruct(digits[:2], n_steps=2, random_state=5)
    assert_allclose(display.reconstructions[0], first / 255, atol=1e-6)


def test_inverted_noise_is_named_and_has_one_draw(encoder, digits):
    display = ReconstructionDisplay.from_estimator(encoder, digits[:2], noise="inverted", n_steps=2)
    assert display.ax_.get_title() == "Reconstructions from 8 bits and inverted noise"
    with pytest.raises(ValueError, match="n_draws must be 1 with noise='inverted'"):
        ReconstructionDisplay.from_estimator(encoder, digits[:2], noise="inverted", n_draws=2)


def test_the_given_axes_are_used_and_plot_can_be_repeated(encoder, digits):
    figure, axes = plt.subplots(1, 2)
    display = ReconstructionDisplay.from_estimator(encoder, digits[:3], n_steps=2, ax=axes[0])
    assert display.ax_ is axes[0]
    assert display.figure_ is figure

    assert display.plot(ax=axes[1]) is display
    assert display.ax_ is axes[1]
    assert len(axes[0].images) == len(axes[1].images) == 6


def test_colour_pictures_keep_shape_and_channels(colour_encoder, colour_images):
    display = ReconstructionDisplay.from_estimator(colour_encoder, colour_images, max_images=2, n_steps=2)
    assert_allclose(short_repr(display)[:2], np.moveaxis(colour_images[:2], 1, -1), atol=1e-6)
    left, right, bottom, top = display.images_[0].get_extent()
    assert (bottom - top) / (right - left) == pytest.approx(8 / 12)


def test_a_display_is_made_of_arrays_alone():
    display = ReconstructionDisplay(np.zeros((3, 8, 8)), np.ones((1, 3, 8, 8)), title="Mine").plot()
    assert display.ax_.get_title() == "Mine"
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["original", "reconstruction"]
    assert_array_equal(short_repr(display)[3:], 1.0)


@pytest.mark.parametrize(
    ("options", "message"), [({"n_draws": 0}, "n_draws"), ({"max_images": 0}, "max_images")]
)
def test_impossible_counts_are_named(encoder, digits, options, message):
    with pytest.raises(ValueError, match=f"{message} must be an integer of at least 1"):
        ReconstructionDisplay.from_estimator(encoder, digits, **options)


def test_an_encoder_that_was_not_fitted_is_refused(digits):
    with pytest.raises(NotFittedError):
        ReconstructionDisplay.from_estimator(DMZEncoder(), digits)
