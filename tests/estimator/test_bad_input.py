"""Errors for invalid input say what was expected, what was passed and how to mend it."""

import pickle

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from dmzrep import DMZEncoder
from dmzrep.priors import ChowLiuPrior
from tests.encoders import make_encoder

TINY = {"latent_dim": 16, "width": (8,), "encoder_width": 8, "max_iter": 1, "random_state": 0}
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)
VECTORS = IMAGES.reshape(12, 64) / 255


def with_value(value):
    images = IMAGES / 255.0
    images[3, 2, 2] = value
    return images


@pytest.mark.parametrize(
    ("X", "params", "message"),
    [
        (with_value(np.nan), {}, "contains NaN"),
        (with_value(7.0), {}, r"must have values in \[0, 1\].*to 7.*value_range"),
        (with_value(-0.5), {}, r"must have values in \[0, 1\], got values from -0.5"),
        (IMAGES[:1], {}, "n_samples=1"),
        (IMAGES[0, 0], {}, "Expected 2D array, got 1D array"),
        (np.zeros((4, 3, 9, 3)), {}, "ambiguous.*channels='first' or 'last'"),
        (IMAGES.astype(str), {}, "dtype <U3"),
        (np.ones((5, 6)), {}, "every feature is constant"),
        (VECTORS, {"image_shape": (7, 9)}, "has 63 values, but X has 64 features"),
        (IMAGES, {"backbone": "mlp"}, "backbone='mlp' is for vectors"),
        (VECTORS, {"backbone": "unet"}, "backbone='unet' needs images.*image_shape"),
        (VECTORS, {"encoder": "paper"}, "encoder='paper' needs images.*Use encoder='auto'"),
        (VECTORS, {"encoder_depth": 1}, "encoder_depth=1 needs images"),
        (VECTORS, {"augment": "flip"}, "augment='flip' needs images.*Use augment=None"),
        (VECTORS, {"conditioning": "spatial_bias"}, "conditioning='spatial_bias' needs images"),
        (VECTORS, {"width": (8, 8)}, "width must be one integer"),
        (IMAGES, {"width": 12}, "multiple of 8"),
        (IMAGES, {"patch_size": 9}, "larger than the images"),
        (IMAGES, {"attention": (5,), "width": (8, 16)}, r"names resolutions \[5\].*it has \[8, 4\]"),
        (IMAGES, {"conditioning": "cross_attention", "attention": ()}, "needs attention"),
        (IMAGES, {"depth": (2, 5)}, "up equal to down or one more"),
    ],
)
def test_fit_refuses(X, params, message):
    with pytest.raises(ValueError, match=message):
        make_encoder(**TINY | params).fit(X)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (IMAGES[:, :, :7], r"fitted on images of shape \(8, 8\).*Resize or rearrange"),
        (IMAGES[0], r"fitted on images of shape \(8, 8\).*single image as X\[None\]"),
        (IMAGES[:0], r"0 sample\(s\)"),
        (IMAGES / 255.0, "Multiply them by 255"),
        (IMAGES.astype(float) * 2, r"fitted range \[0, 255\]"),
        (np.where(IMAGES > 200, np.nan, IMAGES), "contains NaN"),
    ],
)
@pytest.mark.parametrize("method", ["transform", "reconstruct", "score_samples"])
def test_a_fitted_encoder_refuses_other_images(encoder, method, X, message):
    with pytest.raises(ValueError, match=message):
        getattr(encoder, method)(X)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"prior": "gaussian"}, r"prior must be None, 'uniform'.* got 'gaussian'.*fit_prior\('chow_liu'"),
        ({"prior": ChowLiuPrior().fit(np.eye(5))}, "fitted to codes of 5 bits, the encoder has 16"),
    ],
)
def test_sample_refuses(encoder, params, message):
    with pytest.raises(ValueError, match=message):
        encoder.sample(**params)


def test_other_methods_refuse_invalid_arguments(encoder, digits):
    with pytest.raises(ValueError, match="Turn logits into probabilities"):
        encoder.inverse_transform(np.full((1, 16), -3.0))
    with pytest.raises(
        ValueError, match=r"noise must be one of \('zero', 'random', 'inverted'\), got 'none'"
    ):
        encoder.reconstruct(digits[:2], noise="none")
    with pytest.raises(ValueError, match="output must be one of"):
        pickle.loads(pickle.dumps(encoder)).set_params(output="bytes").transform(digits[:2])
    with pytest.raises(ValueError, match="n_terms must be an integer from 2 to n_timesteps=1000, got 1"):
        encoder.score_samples(digits[:2], n_terms=1)
    with pytest.raises(ValueError, match=r"name must be one of .* got 'imagenet'"):
        DMZEncoder.paper("imagenet")


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ([], TypeError, "out must be a NumPy array or memmap, got list"),
        (np.empty((4, 16), np.float32), ValueError, r"out must have shape \(5, 16\).*got \(4, 16\)"),
        (np.empty((5, 16)), ValueError, "dtype float32 for output='probabilities', got float64"),
        (np.broadcast_to(np.float32(0), (5, 16)), ValueError, r"out is read-only.*mode='r\+'"),
    ],
)
def test_transform_refuses_arrays_that_cannot_hold_the_codes(out, error, message, encoder, digits):
    with pytest.raises(error, match=message):
        encoder.transform(digits[:5], out=out)


@pytest.mark.parametrize(
    "method", ["transform", "inverse_transform", "sample", "score", "reconstruct", "save", "export_encoder"]
)
def test_an_unfitted_encoder_raises_not_fitted_error(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(DMZEncoder(), method)(*(() if method == "sample" else (IMAGES,)))
