import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose

from dmzrep.plotting import SampleDisplay


def test_every_sample_is_drawn_once_in_a_nearly_square_grid(encoder):
    display = SampleDisplay.from_estimator(encoder, 7, n_steps=2)

    assert len(display.images_) == len(display.ax_.images) == 7
    expected = encoder.sample(7, n_steps=2, random_state=0) / 255
    assert_allclose(np.stack([image.get_array() for image in display.images_]), expected, atol=1e-6)
    columns = {image.get_extent()[0] for image in display.images_}
    rows = {image.get_extent()[3] for image in display.images_}
    assert (len(rows), len(columns)) == (3, 3)
    assert display.ax_.get_title() == "Samples from 8 bits"


def test_the_grid_lies_inside_the_axes(encoder):
    display = SampleDisplay.from_estimator(encoder, 5, n_steps=2)
    (x_low, x_high), (y_high, y_low) = display.ax_.get_xlim(), display.ax_.get_ylim()
    for image in display.images_:
        left, right, bottom, top = image.get_extent()
        assert x_low < left < right < x_high
        assert y_low < top < bottom < y_high


@pytest.mark.parametrize(("n_columns", "drawn"), [(1, 1), (3, 3), (50, 6)])
def test_columns_can_be_chosen_and_are_no_more_than_the_samples(n_columns, drawn):
    display = SampleDisplay(np.zeros((6, 8, 8))).plot(n_columns=n_columns)
    assert len(display.images_) == 6
    assert len({image.get_extent()[0] for image in display.images_}) == drawn


def test_impossible_columns_are_named():
    with pytest.raises(ValueError, match="n_columns must be an integer of at least 1, or None, got 0"):
        SampleDisplay(np.zeros((6, 8, 8))).plot(n_columns=0)


def test_options_reach_the_sampler(encoder):
    one = SampleDisplay.from_estimator(encoder, 2, n_steps=2, prior="uniform", random_state=1)
    expected = encoder.sample(2, n_steps=2, prior="uniform", random_state=1) / 255
    assert_allclose(one.samples, expected, atol=1e-6)


def test_the_given_axes_are_used(encoder):
    figure, ax = plt.subplots()
    display = SampleDisplay.from_estimator(encoder, 2, n_steps=2, ax=ax)
    assert display.ax_ is ax and display.figure_ is figure
    assert plt.get_fignums() == [figure.number]


def test_colour_samples(colour_encoder):
    display = SampleDisplay.from_estimator(colour_encoder, 2, n_steps=2)
    assert display.samples.shape == (2, 8, 12, 3)
    assert len(display.images_) == 2


def test_vectors_are_refused(vector_encoder):
    with pytest.raises(ValueError, match="SampleDisplay draws images"):
        SampleDisplay.from_estimator(vector_encoder, 2)
