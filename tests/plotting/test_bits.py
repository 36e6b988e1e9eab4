import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dmzrep.attribution import attribute_bits, bit_effects, bit_table
from dmzrep.plotting import BitDisplay, BitTableDisplay
from dmzrep.plotting._overlays import MAGNITUDE, NEGATIVE, POSITIVE, as_rgb, overlay


def short_repr(display):
    pictures = np.stack([np.asarray(image.get_array()) for image in display.images_])
    return pictures.reshape(-1, 5, *pictures.shape[1:])


def test_a_row_shows_a_bit_by_attribution_and_effect(encoder, digits):
    display = BitDisplay.from_estimator(encoder, digits[3], bits=[5, 2], n_steps=2, baseline=0)
    effects = bit_effects(encoder, encoder.transform(digits[3:4]), [5, 2], n_steps=2)
    pictures = short_repr(display)
    assert pictures.shape == (2, 5, 8, 8, 3)
    for row, bit in enumerate([5, 2]):
        assert_allclose(pictures[row, 0, ..., 0], digits[3] / 255, atol=1e-6)
        assert_allclose(display.drives[row], attribute_bits(encoder, digits[3:4], bit, baseline=0).maps[0])
        assert_allclose(pictures[row, 2, ..., 0], effects.off[row, 0] / 255, atol=1e-6)
        assert_allclose(pictures[row, 3, ..., 0], effects.on[row, 0] / 255, atol=1e-6)
    values = encoder.transform(digits[3:4])[0, [5, 2]] > 0.5
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == [f"bit 5 ({int(values[0])})", f"bit 2 ({int(values[1])})"]
    assert display.ax_.get_title() == "What bits see and draw (2 of 8 bits)"
    columns = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert columns == ["picture", "driven by", "bit off", "bit on", "change"]


def test_the_bits_that_change_the_picture_most_are_chosen(encoder, digits):
    display = BitDisplay.from_estimator(encoder, digits[:1], max_bits=3, n_steps=2)
    effects = bit_effects(encoder, encoder.transform(digits[:1]), n_steps=2)
    assert display.bits == effects.table["bit"].tolist()[:3]


def test_colour_pictures_and_inverted_noise(colour_encoder, colour_images):
    figure, ax = plt.subplots()
    options = {"max_bits": 2, "noise": "inverted", "n_steps": 2, "method": "occlusion"}
    display = BitDisplay.from_estimator(colour_encoder, colour_images[0], ax=ax, **options)
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert display.drives.shape == (2, 8, 12)
    assert_allclose(short_repr(display)[0, 0], np.moveaxis(colour_images[0], 0, -1), atol=1e-6)
    assert display.plot() is display


def test_one_image_is_asked_for(encoder, vector_encoder, digits):
    with pytest.raises(ValueError, match="BitDisplay shows one image, got 2"):
        BitDisplay.from_estimator(encoder, digits[:2])
    with pytest.raises(ValueError, match="max_bits must be an integer of at least 1"):
        BitDisplay.from_estimator(encoder, digits[0], max_bits=0)
    with pytest.raises(ValueError, match="BitDisplay draws images"):
        BitDisplay.from_estimator(vector_encoder, np.zeros((1, 5)))


def test_overlays_are_red_above_zero_blue_below_and_faded_gray_at_zero():
    maps = np.zeros((1, 8, 8))
    maps[0, 0, :2] = 3.0, -3.0
    result = overlay(np.full((1, 8, 8, 3), 0.5), maps, signed=True, largest=3.0)
    assert_allclose(result[0, 0, 0], POSITIVE)
    assert_allclose(result[0, 0, 1], NEGATIVE)
    assert_allclose(result[0, 1, 1], 0.55 + 0.45 * 0.5)
    assert_allclose(overlay(np.ones((1, 8, 8, 3)), np.ones((1, 8, 8)), signed=False)[0, 0, 0], MAGNITUDE)
    assert np.isfinite(overlay(np.ones((1, 8, 8, 3)), np.zeros((1, 8, 8)), signed=True)).all()


def test_pictures_get_three_channels():
    gray = np.random.default_rng(0).random((2, 8, 8))
    assert_array_equal(as_rgb(gray, False), np.stack([gray] * 3, axis=-1))
    clear = np.zeros((1, 8, 8, 4))
    assert_array_equal(as_rgb(clear, True), np.ones((1, 8, 8, 3)))


@pytest.fixture
def labelled():
    rng = np.random.default_rng(0)
    Z = rng.integers(0, 2, (200, 5))
    return Z, pd.DataFrame({"hat": Z[:, 3], "smile": 1 - Z[:, 1], "beard": rng.integers(0, 2, 200)})


def test_the_heat_map_is_the_table_with_bits_in_the_attributes_order(labelled):
    Z, Y = labelled
    display = BitTableDisplay.from_codes(Z, Y)
    assert display.strengths_.index.tolist() == ["hat", "smile", "beard"]
    assert display.strengths_.columns.tolist()[0] == 3
    assert display.strengths_.loc["hat", 3] == 1.0
    assert display.strengths_.loc["smile", 1] == -1.0
    table = bit_table(Z, Y)
    for row in table.itertuples():
        expected = row.sign * (2 * row.auroc - 1)
        assert display.strengths_.loc[row.attribute, row.bit] == pytest.approx(expected)
    assert_array_equal(np.asarray(display.image_.get_array()), display.strengths_)
    assert display.ax_.get_title() == "Bits and attributes"
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["hat", "smile", "beard"]


def test_the_most_telling_bits_are_kept(labelled):
    display = BitTableDisplay.from_codes(*labelled, max_bits=2)
    assert display.strengths_.columns.tolist() == [3, 1]
    assert display.ax_.get_title() == "Bits and attributes (2 of 5)"
    with pytest.raises(ValueError, match="max_bits must be an integer of at least 1, or None, got 0"):
        BitTableDisplay.from_codes(*labelled, max_bits=0)
