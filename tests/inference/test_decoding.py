"""Decoding that begins from samples, noised or inverted."""

import numpy as np
import pytest
import torch

from dmzrep._base._batching import DENOISER_BATCH
from dmzrep.inference import Sampling, StartingSamples
from tests.encoders import make_encoder


@pytest.fixture(scope="module")
def bits(encoder, digits):
    return (encoder.transform(digits[:8]) > 0.5).astype(np.uint8)


def distance(images, originals):
    return np.abs(images.astype(float) - originals).mean()


def test_inverted_noise_reconstructs_the_samples(encoder, digits, bits):
    images = encoder.inverse_transform(bits, like=digits[:8], noise="inverted", random_state=0)
    assert np.array_equal(images, encoder.reconstruct(digits[:8], noise="inverted", random_state=0))
    assert distance(images, digits[:8]) < 5.0


def test_without_noise_one_sample_is_closer_to_the_originals_than_those_drawn(encoder, digits, bits):
    images = encoder.inverse_transform(bits, noise="zero")
    assert np.array_equal(images, encoder.reconstruct(digits[:8], random_state=1))
    drawn = encoder.inverse_transform(bits, random_state=0)
    assert (
        np.square(images - digits[:8].astype(float)).mean()
        < np.square(drawn - digits[:8].astype(float)).mean()
    )


def test_without_noise_samplers_of_learned_variance_draw_none(digits):
    encoder = make_encoder(8, width=8, encoder_width=8, max_iter=1, learn_variance=True).fit(digits[:64])
    first, second = (encoder.reconstruct(digits[:2], n_steps=3, random_state=seed) for seed in (0, 1))
    assert np.array_equal(first, second)
    drawn = [
        encoder.reconstruct(digits[:2], n_steps=3, eta=1.0, sampler="ddim", random_state=s) for s in (0, 1)
    ]
    assert not np.array_equal(*drawn)


@pytest.mark.parametrize("noise", ["random", "inverted"])
def test_lower_strength_keeps_more_of_the_samples(encoder, digits, bits, noise):
    options = {"noise": noise, "n_steps": 20, "random_state": 0}
    moved = [
        distance(
            encoder.inverse_transform(1 - bits, like=digits[:8], strength=strength, **options), digits[:8]
        )
        for strength in (0.02, 0.3, 0.9)
    ]
    assert sorted(moved) == moved and moved[0] < 0.2 * moved[-1]


def test_full_strength_with_random_noise_ignores_the_samples(encoder, digits, bits):
    images = encoder.inverse_transform(bits, like=digits[8:16], n_steps=3, random_state=0)
    assert np.array_equal(images, encoder.inverse_transform(bits, n_steps=3, random_state=0))


def test_random_noise_is_that_of_the_strength(encoder, digits, bits):
    model = encoder.decoder_
    plan = Sampling(n_steps=4)._plan(model, noise="random", strength=0.7)
    drawn = torch.randn(8, *model.data_shape, generator=torch.Generator().manual_seed(0))
    found, _ = StartingSamples(digits[:8], False).at(model, plan, slice(0, 8), drawn)
    signal, sigma = model.objective.schedule.levels(699)
    expected = signal * model.model_units(digits[:8]) + sigma * drawn
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"strength": 0.8}, {"noise": "inverted"}, {"strength": 0.5, "noise": "inverted"}]
)
def test_decoding_from_samples_is_batch_invariant(encoder, digits, bits, options):
    many = np.arange(DENOISER_BATCH + 6) % 8
    whole = encoder.inverse_transform(bits[many], like=digits[many], n_steps=2, random_state=0, **options)
    few = encoder.inverse_transform(bits[:3], like=digits[:3], n_steps=2, random_state=0, **options)
    assert np.abs(whole[:3].astype(int) - few).max() <= 1
    if options.get("noise") == "inverted":
        assert np.abs(whole[-1].astype(int) - whole[many[-1]]).max() <= 1
    else:
        assert not np.array_equal(whole[-1], whole[many[-1]])


def test_one_seed_per_sample(encoder, digits, bits):
    images = encoder.inverse_transform(bits[[0, 1, 0]], random_state=[5, 5, 6], n_steps=2)
    for i, (sample, seed) in enumerate([(0, 5), (1, 5), (0, 6)]):
        alone = encoder.inverse_transform(bits[[sample]], random_state=seed, n_steps=2)
        assert np.abs(images[i].astype(int) - alone[0]).max() <= 1
    assert not np.array_equal(images[0], images[2])


def test_inverted_noise_reconstructs_vectors(vector_encoder, vectors):
    bits = vector_encoder.transform(vectors[:6]) > 0.5
    near = vector_encoder.inverse_transform(bits, like=vectors[:6], noise="inverted", random_state=0)
    assert np.abs(near - vectors[:6]).mean() < 0.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": "inverted"}, r"noise='inverted' needs `like`: the samples to begin from"),
        (
            {"noise": "zero", "like": slice(0, 8), "strength": 0.5},
            r"noise='zero' does not start from a sample, so strength must be 1, got 0\.5",
        ),
        ({"strength": 0.9}, r"strength=0.9 needs `like`.*or use noise='random' and strength=1.0"),
        ({"like": slice(0, 3), "strength": 0.9}, r"one sample for each code, 8, got 3. Repeat a sample"),
        ({"strength": 1e-5, "like": slice(0, 8)}, r"strength=1e-05 leaves none of the 1000.*at least 0.001"),
        (
            {"strength": 0.1, "like": slice(0, 8), "n_steps": 101},
            r"n_steps must be .*\)=100, got 101",
        ),
        ({"noise": "inverted", "like": slice(0, 8), "sampler": "ddpm"}, r"needs sampler='ddim'.*'ddpm'"),
    ],
    ids=str,
)
def test_invalid_starting_points_are_rejected(encoder, digits, bits, options, message):
    options = dict(options)
    if "like" in options:
        options["like"] = digits[options["like"]]
    with pytest.raises(ValueError, match=message):
        encoder.inverse_transform(bits, **options)
