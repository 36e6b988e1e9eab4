"""Inversion of samples to noise, and editing that begins from it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep import interpolate, inversion_error
from dmzrep.inference import Sampling, StartingNoise, StartingSamples, between_noises
from tests.encoders import make_encoder

TINY = {"width": (8, 16), "encoder_width": 8, "max_iter": 1, "n_timesteps": 50, "init": "pca"}
N = 66  # More than a batch.


@pytest.fixture(scope="module")
def images(digits):
    return digits[:300] / 255.0


@pytest.fixture(scope="module")
def tiny(images):
    encoder = make_encoder(8, **TINY, objective="v", random_state=0).fit(images)
    # An untrained network is nearly zero, and so trivial to invert.
    generator = torch.Generator().manual_seed(0)
    for weights in encoder.model_.parameters():
        weights += 0.1 * torch.randn(weights.shape, generator=generator)
    return encoder


@pytest.fixture(scope="module")
def bits(tiny, images):
    return tiny.transform(images[:N]) > 0.5


@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_decoding_inverted_noise_equals_decoding_inverted_samples(tiny, images, bits, strength):
    model, sampling = tiny.decoder_, Sampling(n_steps=2)
    noise = model.invert(images[:N], bits, sampling, strength)
    assert noise.shape == (N, 1, 8, 8) and noise.dtype == np.float32
    found = model.decode(bits, [0] * N, sampling, start=StartingNoise(noise, strength))
    samples = StartingSamples(images[:N], True, bits, strength)
    assert np.array_equal(found, model.decode(bits, [0] * N, sampling, start=samples))
    few = model.invert(images[3:5], bits[3:5], sampling, strength)
    np.testing.assert_allclose(few, noise[3:5], atol=1e-4)


def test_inversion_error_is_that_of_the_round_trip(tiny, images):
    X = images[:8]
    errors = inversion_error(tiny, X, n_steps=4)
    rebuilt = tiny.reconstruct(X, noise="inverted", n_steps=4, random_state=0)
    np.testing.assert_allclose(errors, ((2.0 * rebuilt - 2.0 * X) ** 2).mean(axis=(1, 2)), rtol=1e-4)
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(X[4:6]))
    np.testing.assert_allclose(inversion_error(tiny, dataset, 4), errors[4:6], rtol=1e-3)
    assert inversion_error(tiny, X, 12).mean() < errors.mean() < inversion_error(tiny, X, 1).mean()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1000), share=st.floats(0.0, 1.0))
def test_interpolated_noise_keeps_its_norm_and_divides_the_angle(seed, share):
    first, last = np.random.default_rng(seed).normal(size=(2, 3, 2, 8))
    last *= np.sqrt((first**2).sum((1, 2), keepdims=True) / (last**2).sum((1, 2), keepdims=True))
    found = between_noises(first, last, np.array([0.0, share, 1.0]))
    np.testing.assert_allclose(found[:, [0, 2]], np.stack([first, last], axis=1), atol=1e-9)
    for i in range(3):
        a, b, c = first[i].ravel(), found[i, 1].ravel(), last[i].ravel()
        assert b @ b == pytest.approx(a @ a)
        whole = np.arccos(a @ c / (a @ a))
        assert b @ a == pytest.approx(a @ a * np.cos(share * whole))
        assert b @ c == pytest.approx(a @ a * np.cos((1.0 - share) * whole))


def test_parallel_noise_is_interpolated_linearly():
    noise = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    found = between_noises(noise, noise, np.linspace(0.0, 1.0, 4))
    np.testing.assert_allclose(found, np.repeat(noise[:, None], 4, axis=1), rtol=1e-5)
    assert found.dtype == np.float32
    assert np.isfinite(between_noises(noise, -noise, np.linspace(0.0, 1.0, 3))).all()


@pytest.mark.parametrize("path", ["smooth", "soft"])
def test_inverted_interpolation_begins_and_ends_at_the_images(tiny, images, path):
    x0, x1 = images[:3], images[3:6]
    walks, codes = interpolate(tiny, x0, x1, 4, path=path, noise="inverted", n_steps=3)
    assert walks.shape == (3, 4, 8, 8) and walks.dtype == np.float64
    for place, x in ((0, x0), (-1, x1)):
        rebuilt = tiny.reconstruct(x, noise="inverted", n_steps=3)
        np.testing.assert_allclose(walks[:, place], rebuilt, atol=1e-3)
        assert np.array_equal(codes[:, place], tiny.transform(x) > 0.5)
    assert np.array_equal(codes, interpolate(tiny, x0, x1, 4, path=path, n_steps=1)[1])
    alone = interpolate(tiny, x0[1:2], x1[1:2], 4, path=path, noise="inverted", n_steps=3)[0]
    np.testing.assert_allclose(alone[0], walks[1], atol=1e-3)
