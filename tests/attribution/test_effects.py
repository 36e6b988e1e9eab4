"""Effects of bits, on a decoder whose effects are known and on a fitted encoder."""

import numpy as np
import pytest

from dmzrep.attribution import bit_effects


class Painter:
    """Bit k adds `weights[k]` to row k of a 4 x 3 image; noise is added everywhere."""

    weights = np.array([1.0, 0.0, -4.0, 2.0])

    def __init__(self):
        self.calls = []

    def inverse_transform(self, Z, random_state=0, like=None, brightness=1.0):
        self.calls.append(len(Z))
        assert set(np.unique(Z)) <= {0.0, 1.0}
        images = np.repeat((Z * self.weights)[:, :, None], 3, axis=2) * brightness
        noise = np.stack([np.random.default_rng(seed).normal(size=(4, 3)) for seed in random_state])
        return images + noise + (0.0 if like is None else like)


@pytest.fixture(scope="module")
def codes():
    return np.random.default_rng(0).integers(0, 2, (20, 4))


def test_effects_are_ranked_and_located(codes):
    found = bit_effects(Painter(), codes)
    assert found.table["bit"].tolist() == [2, 3, 0, 1]
    np.testing.assert_allclose(found.table["change"], [1.0, 0.5, 0.25, 0.0], atol=1e-6)
    np.testing.assert_allclose(found.table["share"], [4 / 7, 2 / 7, 1 / 7, 0.0], atol=1e-6)
    np.testing.assert_allclose(found.table["area"], [0.25, 0.25, 0.25, 0.0], atol=1e-6)
    np.testing.assert_allclose(found.table["row"], [2.0, 3.0, 0.0, np.nan])
    np.testing.assert_allclose(found.table["column"], [1.0, 1.0, 1.0, np.nan])
    assert found.bits.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(
        found.maps, np.abs(Painter.weights)[:, None, None] * np.eye(4)[:, :, None] * np.ones(3), atol=1e-6
    )
    np.testing.assert_allclose(found.signed_maps[2, 2], -4.0, atol=1e-6)


def test_off_and_on_images_differ_in_one_bit(codes):
    found = bit_effects(Painter(), codes, [3, 0], n_images=2, random_state=5)
    assert found.off.shape == found.on.shape == (2, 2, 4, 3)
    np.testing.assert_allclose((found.on - found.off)[0, :, 3], 2.0)
    np.testing.assert_allclose((found.on - found.off)[1, :, 0], 1.0)
    # The noise of a code does not depend on the bit that is set.
    flat = np.ones(4, dtype=bool)
    flat[[0, 3]] = False
    np.testing.assert_array_equal(found.off[0][:, flat], found.on[1][:, flat])
    assert not np.allclose(found.off[0, 0, 1], found.off[0, 1, 1])


def test_results_are_batch_invariant(codes, monkeypatch):
    options = {"n_images": 3, "random_state": 0}
    whole = bit_effects(Painter(), codes, **options)
    few = bit_effects(Painter(), codes[:3], [2], **options)
    assert np.array_equal(few.on[0], whole.on[2])
    monkeypatch.setattr("dmzrep.attribution._effects._CALL_SAMPLES", 12)
    painter = Painter()
    parts = bit_effects(painter, codes, **options)
    assert max(painter.calls) == 15
    assert sum(painter.calls) == 20 * 5  # Each code once, and once more for each bit.
    np.testing.assert_allclose(parts.maps, whole.maps, atol=1e-6)
    assert np.array_equal(parts.off, whole.off)
    assert np.array_equal(parts.on, whole.on)


def test_options_and_like_reach_the_decoder(codes):
    like = np.arange(20.0)[:, None, None] * np.ones((4, 3))
    options = {"n_images": 20, "brightness": 3.0, "random_state": 0}
    plain = bit_effects(Painter(), codes, **options)
    found = bit_effects(Painter(), codes, like=like, **options)
    np.testing.assert_allclose(found.off - plain.off, np.broadcast_to(like, found.off.shape))
    np.testing.assert_allclose(found.maps[2, 2], 12.0, atol=1e-5)


def test_probabilities_and_logits_are_read_as_bits(codes):
    expected = bit_effects(Painter(), codes, random_state=0).on
    found = bit_effects(Painter(), np.where(codes, 0.6, 0.5), random_state=0)
    assert np.array_equal(found.on, expected)
    painter = Painter()
    painter.output = "logits"
    found = bit_effects(painter, np.where(codes, 0.1, -7.0), random_state=0)
    assert np.array_equal(found.on, expected)


def test_differences_of_uint8_images_are_signed(encoder, digits):
    found = bit_effects(encoder, encoder.transform(digits[:3]), [0, 5], n_steps=2, n_images=3)
    assert found.off.dtype == np.uint8
    difference = found.on.astype(float) - found.off
    np.testing.assert_allclose(found.maps, np.abs(difference).mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(found.signed_maps, difference.mean(axis=1), rtol=1e-5, atol=1e-5)
    assert found.table["row"].between(0, 7).all()


def test_effects_on_vectors_have_no_location(vector_encoder, vectors):
    found = bit_effects(vector_encoder, vector_encoder.transform(vectors[:2]), n_steps=2)
    assert found.table.columns.tolist() == ["bit", "change", "share", "area"]
    assert found.maps.shape == (16, 10)


def test_bits_beyond_the_code_are_refused(encoder):
    with pytest.raises(ValueError, match="bits must be one or more integers from 0 to 15"):
        bit_effects(encoder, np.zeros((2, 16)), bits=[16])
