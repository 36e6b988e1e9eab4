"""Every bad input gets an error that says what was expected, what came, and what to do."""

import pickle
import re
import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from dmzrep import DMZEncoder
from dmzrep.priors import ChowLiuPrior
from tests.encoders import make_encoder

TINY = {"latent_dim": 16, "width": 8, "encoder_width": 8, "attention": (), "max_iter": 1, "random_state": 0}
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)


def with_value(value):
    images = IMAGES / 255.0
    images[3, 2, 2] = value
    return images


@pytest.mark.parametrize(
    ("X", "params", "message"),
    [
        (with_value(np.nan), {}, "contains NaN"),
        (with_value(np.inf), {}, "contains infinity"),
        (with_value(-0.5), {}, r"must have values in \[0, 1\], got values from -0.5"),
        (with_value(7.0), {}, r"must have values in \[0, 1\].*to 7.*value_range"),
        (IMAGES[:0], {}, "minimum of 2 is required"),
        (IMAGES[:1], {}, "n_samples=1"),
        (IMAGES[0, 0], {}, "Expected 2D array, got 1D array"),
        (np.zeros((2, 3, 8, 8, 8)), {}, "got an array of 5 dimensions"),
        (np.zeros((4, 3, 9, 3)), {}, "ambiguous.*channels='first' or 'last'"),
        (np.zeros((4, 9, 9, 7)), {}, "no channel axis of 1 to 4"),
        (np.zeros((4, 9, 9, 3)), {"channels": "first"}, "have 9 channels"),
        (np.zeros((4, 7, 20)), {}, "at least 8 pixels.*7 x 20"),
        (IMAGES.astype(object), {}, "dtype object"),
        (IMAGES.astype(str), {}, "dtype <U3"),
        (IMAGES.astype(complex), {}, "dtype complex128"),
        (IMAGES.astype(np.int32), {}, r"no known range.*value_range=\(0, 255\)"),
        (np.full((5, 8, 8), 9, dtype=np.uint8), {}, "constant"),
        (np.ones((5, 6)), {}, "every feature is constant"),
        (IMAGES.reshape(12, 64), {"image_shape": (7, 9)}, "has 63 values, but X has 64 features"),
        (IMAGES, {"image_shape": (8, 9)}, "does not agree with images of shape"),
        (IMAGES, {"value_range": (0, 100)}, r"must have values in \[0, 100\]"),
        (IMAGES, {"value_range": (5, 5)}, "value_range must be two finite numbers"),
        (IMAGES, {"value_range": (0, 1, 2)}, "value_range must be two finite numbers"),
        (IMAGES, {"image_shape": (8,)}, "image_shape must"),
        (IMAGES.reshape(12, 64), {"image_shape": (8.0, 8.0)}, "image_shape must be.*whole numbers"),
        (None, {"image_shape": (8, 8)}, "minimum of 2 is required"),
        (IMAGES, {"backbone": "mlp"}, "backbone='mlp' is for vectors"),
        (IMAGES.reshape(12, 64) / 255, {"backbone": "unet"}, "backbone='unet' needs images"),
        (IMAGES.reshape(12, 64) / 255, {"encoder": "paper"}, "encoder='paper' needs images"),
        (IMAGES.reshape(12, 64) / 255, {"encoder_depth": 1}, "encoder_depth=1 needs images"),
        (IMAGES.reshape(12, 64) / 255, {"init": "cca"}, "init='cca' needs images"),
        (IMAGES.reshape(12, 64) / 255, {"encoder_augment": "affine_flip"}, "'affine_flip' needs images"),
        (IMAGES.reshape(12, 64) / 255, {"width": (8, 8)}, "width must be one integer"),
        (IMAGES, {"width": 12}, "multiple of 8"),
        (IMAGES, {"width": ()}, "multiple of 8"),
        (IMAGES, {"patch_size": 9}, "larger than the images"),
        (IMAGES, {"attention": (5,)}, r"names resolutions \[5\].*it has \[8, 4\]"),
        (IMAGES, {"device": "abacus"}, "'device' parameter must be"),
        (IMAGES, {"conditioning": "cross_attention"}, "needs attention"),
        (IMAGES, {"prior": "gaussian"}, "'prior' parameter"),
        (IMAGES, {"depth": (2, 5)}, "up equal to down or one more"),
        (IMAGES, {"depth": (0, 1)}, "up equal to down or one more"),
    ],
)
def test_fit_refuses(X, params, message):
    with pytest.raises(ValueError, match=message):
        make_encoder(**TINY | params).fit(X)


@pytest.mark.parametrize(
    "params", [{"encoder_augment": "affine"}, {"conditioning": "spatial_bias"}], ids=lambda p: next(iter(p))
)
def test_what_needs_images_refuses_vectors(params):
    (name, value), *_ = params.items()
    with pytest.raises(ValueError, match=f"{name}='{value}' needs images, but X holds vectors"):
        make_encoder(**TINY, **params).fit(np.random.default_rng(0).normal(size=(20, 4)))


def test_flips_of_vectors_are_refused():
    with pytest.raises(ValueError, match="augment='flip' needs images"):
        make_encoder(**TINY, augment="flip").fit(np.random.default_rng(0).normal(size=(20, 4)))


def test_cuda_asked_for_and_absent(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"torch sees no CUDA device here\. Use device='auto'"):
        make_encoder(**TINY, device="cuda").fit(IMAGES)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (IMAGES[:, :, :7], r"fitted on images of shape \(8, 8\).*Resize or rearrange"),
        (IMAGES[0], r"fitted on images of shape \(8, 8\).*single image as X\[None\]"),
        (IMAGES.reshape(12, 64), r"fitted on images of shape \(8, 8\)"),
        (IMAGES[:0], r"0 sample\(s\)"),
        (IMAGES / 255.0, "Multiply them by 255"),
        (IMAGES > 128, "Multiply them by 255"),
        (IMAGES.astype(float) * 2, r"fitted range \[0, 255\]"),
        (IMAGES.astype(float) - 10, r"fitted range \[0, 255\]"),
        (IMAGES.astype(object), "dtype object"),
        (np.where(IMAGES > 200, np.nan, IMAGES), "contains NaN"),
    ],
)
@pytest.mark.parametrize("method", ["transform", "reconstruct", "score_samples"])
def test_a_fitted_encoder_refuses_other_images_and_stays_intact(encoder, digits, method, X, message):
    before = encoder.transform(digits[:5])
    with pytest.raises(ValueError, match=message):
        getattr(encoder, method)(X)
    assert np.array_equal(encoder.transform(digits[:5]), before)


@pytest.mark.parametrize(
    ("Z", "message"),
    [
        (np.zeros((2, 15)), r"shape \(n, 16\).*\(2, 15\)"),
        (np.zeros(16), r"shape \(n, 16\)"),
        (np.zeros((0, 16)), "no samples"),
        (np.full((1, 16), 1.5), r"in \[0, 1\].*1.5"),
        (np.full((1, 16), -3.0), "Turn logits into probabilities"),
        (np.full((1, 16), np.nan), "NaN"),
        (np.full((1, 16), "1"), "dtype"),
    ],
)
def test_inverse_transform_refuses(encoder, Z, message):
    with pytest.raises(ValueError, match=message):
        encoder.inverse_transform(Z, random_state=0)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_samples": 0}, "n_samples must be an integer of at least 1, got 0"),
        ({"n_samples": -2}, "got -2"),
        ({"n_samples": 2.0}, "got 2.0"),
        ({"n_steps": 0}, "n_steps must be an integer of at least 1, or None, got 0"),
        ({"n_steps": 1001}, "got 1001"),
        ({"n_steps": 2.5}, "got 2.5"),
        ({"sampler": "dddim"}, "Did you mean 'ddim'"),
        ({"sampler": "euler"}, "sampler must be one of"),
        ({"eta": 1.5}, r"eta must be a float in the range \[0.0, 1.0\], got 1.5"),
        ({"eta": float("nan")}, "eta must be"),
        (
            {"prior": "gaussian"},
            r"prior must be None, 'uniform'.* got 'gaussian'.*fit_prior\('chow_liu', encoder",
        ),
        ({"prior": "autoregressive"}, r"fit_prior\('autoregressive', encoder.transform\(X\) > 0.5\)"),
        ({"prior": ChowLiuPrior().fit(np.eye(5))}, "fitted to codes of 5 bits, the encoder has 16"),
    ],
)
def test_sample_refuses(encoder, params, message):
    with pytest.raises(ValueError, match=message):
        encoder.sample(**params)


def test_other_arguments_are_refused(encoder, digits):
    with pytest.raises(ValueError, match="noise must be one of \\('random', 'inverted'\\), got 'none'"):
        encoder.reconstruct(digits[:2], noise="none", random_state=0)
    with pytest.raises(ValueError, match="n_steps must be an integer of at least 1"):
        encoder.reconstruct(digits[:2], noise="inverted", n_steps=0, random_state=0)
    with pytest.raises(ValueError, match=r"eta=0.5 is an option of DDIM"):
        encoder.sample(2, sampler="ddpm", eta=0.5)
    with pytest.raises(ValueError, match="output must be one of"):
        pickle.loads(pickle.dumps(encoder)).set_params(output="bytes").transform(digits[:2])
    with pytest.raises(ValueError, match="needs sampler='ddim'"):
        encoder.reconstruct(digits[:2], noise="inverted", sampler="ddpm", random_state=0)
    with pytest.raises(ValueError, match="n_terms must be an integer from 2 to n_timesteps=1000, got 1"):
        encoder.score_samples(digits[:2], n_terms=1)
    with pytest.raises(ValueError, match="There is no recipe 'imagenet'; there are"):
        DMZEncoder.paper("imagenet")


def test_an_unfitted_encoder_says_so():
    for call in (
        lambda e: e.transform(IMAGES),
        lambda e: e.inverse_transform(np.zeros((1, 64)), random_state=0),
        lambda e: e.sample(),
        lambda e: e.score(IMAGES),
        lambda e: e.reconstruct(IMAGES, random_state=0),
        lambda e: e.save("nowhere"),
    ):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            call(DMZEncoder())


def test_input_perturbation_warns_of_deterministic_sampling():
    encoder = make_encoder(**TINY, input_perturbation=0.1).fit(IMAGES)
    for sampler in ("ddim", "dpm++", "heun"):
        message = f"trained with input perturbation.*'{re.escape(sampler)}'.*eta=0.5"
        with pytest.warns(UserWarning, match=message):
            encoder.sample(1, sampler=sampler, n_steps=2, match_perturbation=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options in ({}, {"sampler": "ddim"}, {"match_perturbation": False}, {"sampler": "dpm++_sde"}):
            assert encoder.sample(1, n_steps=2, **options).shape == (1, 8, 8)


def test_read_only_arrays_are_never_written_to():
    images = IMAGES.copy()
    images.flags.writeable = False
    encoder = make_encoder(**TINY).fit(images)
    encoder.reconstruct(images, n_steps=1, random_state=0)
    encoder.score_samples(images, n_terms=2)
    assert np.array_equal(images, IMAGES)
