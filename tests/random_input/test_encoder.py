"""Random input to the estimator: to fitted ones, and to its parameters and rows before training."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_calls import accepted, call, cases, refused
from random_values import (
    ANYTHING,
    NUMBERS,
    SCALARS,
    SEEDS,
    WHOLE,
    arrays,
    as_reference,
    choices,
    inputs,
    near,
    same_values,
)

from dmzrep import DMZEncoder, interpolate, inversion_error
from dmzrep.datasets import load_digits_images
from dmzrep.priors import IndependentPrior, fit_prior

IMAGES = load_digits_images().images[:3]
VECTORS = np.random.default_rng(0).normal(size=(40, 5))[:3]
CODES = np.random.default_rng(1).integers(0, 2, (2, 8)).astype(np.float32)


def check_images(result, n):
    assert result.shape == (n, 8, 8) and result.dtype == np.uint8


@cases(500)
@given(inputs(IMAGES), st.sampled_from(("probabilities", "logits", "bits")))
def test_transform_of_images(tiny, X, output):
    result = call(tiny.set_params(output=output).transform, X)
    right = tiny.set_params(output="probabilities").transform(IMAGES)
    if not refused(result):
        assert result.shape == (len(X), 8) and np.isfinite(result).all()
        assert result.dtype == (np.uint8 if output == "bits" else np.float32)
        assert output == "logits" or (result.min() >= 0 and result.max() <= 1)
        if (
            np.shape(X) == IMAGES.shape
            and np.array_equal(as_reference(X), IMAGES)
            and output == "probabilities"
        ):
            assert np.array_equal(result, right)


@cases(150)
@given(same_values(IMAGES, casts=(">f8", ">i2", "f2")))
def test_transform_takes_right_images_in_any_form(tiny, X):
    assert np.array_equal(accepted(call(tiny.transform, X)), tiny.transform(IMAGES))


@cases(300)
@given(inputs(VECTORS))
def test_transform_of_vectors(tiny_of_vectors, X):
    result = call(tiny_of_vectors.transform, X)
    if not refused(result):
        assert result.shape == (len(X), 8) and np.isfinite(result).all()
        assert result.min() >= 0 and result.max() <= 1


@cases(100)
@given(same_values(VECTORS, casts=("O",)))
def test_transform_takes_right_vectors_in_any_form(tiny_of_vectors, X):
    assert np.array_equal(accepted(call(tiny_of_vectors.transform, X)), tiny_of_vectors.transform(VECTORS))


@cases(150)
@given(st.one_of(near(np.zeros((3, 8), np.float32)), arrays(), SCALARS), st.sampled_from(("bits", "logits")))
def test_out_of_transform(tiny, out, output):
    """`out` is the one array that is written to."""
    encoder = tiny.set_params(output=output)
    right = encoder.transform(IMAGES)
    try:
        result = encoder.transform(IMAGES, out=out)
    except (ValueError, TypeError) as error:
        assert str(error).startswith("out ")
    else:
        assert np.array_equal(result, right)
    finally:
        tiny.set_params(output="probabilities")


@cases(300)
@given(inputs(CODES), st.one_of(st.none(), inputs(IMAGES[:2])), st.data())
def test_inverse_transform(tiny, Z, like, data):
    options = {
        "noise": data.draw(choices("random", "inverted")),
        "start": data.draw(st.one_of(st.just(1.0), st.just(0.5), NUMBERS)),
        "n_steps": data.draw(st.one_of(st.just(1), WHOLE)),
    }
    options = {name: options[name] for name in data.draw(st.sets(st.sampled_from(sorted(options))))}
    result = call(tiny.inverse_transform, Z, like=like, **{"n_steps": 1} | options)
    if not refused(result):
        check_images(result, len(Z))


@cases(100)
@given(same_values(CODES, casts=(">f8", ">i2", "?", "O")))
def test_inverse_transform_takes_right_codes_in_any_form(tiny, Z):
    right = tiny.inverse_transform(CODES, n_steps=1)
    assert np.array_equal(accepted(call(tiny.inverse_transform, Z, n_steps=1)), right)


DRAWING = {
    "n_steps": st.one_of(st.just(2), WHOLE),
    "sampler": choices("ddim", "ddpm", "dpm++", "heun", "dpm++_sde", "auto"),
    "spacing": choices("auto", "trailing", "uniform", "quadratic", "log_snr"),
    "guidance": NUMBERS,
    "match_perturbation": st.one_of(st.sampled_from(("auto", True, False)), SCALARS),
    "random_state": SEEDS,
    "callback": st.one_of(
        st.none(), st.just(lambda *_: None), SCALARS.filter(lambda value: value is not object)
    ),
    "return_trajectory": st.one_of(st.booleans(), SCALARS),
}


def options_of(data, strategies, most=2):
    names = data.draw(st.sets(st.sampled_from(sorted(strategies)), max_size=most))
    return {name: data.draw(strategies[name], label=name) for name in sorted(names)}


@cases(400)
@given(
    st.one_of(
        st.integers(1, 3), st.integers(-2, 4), SCALARS.filter(lambda n: not isinstance(n, int) or n < 99)
    ),
    st.data(),
)
def test_sample(tiny, n_samples, data):
    priors = st.one_of(
        st.none(),
        choices("uniform", "independent", "chow_liu", "auto"),
        st.sampled_from(
            (IndependentPrior(), fit_prior("chow_liu", np.eye(8)), fit_prior("uniform", np.eye(5)))
        ),
    )
    options = options_of(data, DRAWING | {"prior": priors, "eta": NUMBERS})
    result = call(tiny.sample, n_samples, **{"n_steps": 1} | options)
    if not refused(result) and not options.get("return_trajectory"):
        check_images(result, int(n_samples))


@cases(300)
@given(st.one_of(st.just(IMAGES), inputs(IMAGES)), st.data())
def test_reconstruct(tiny, X, data):
    own = {"noise": choices("random", "inverted"), "n_bits": st.one_of(st.just(8), WHOLE)}
    options = options_of(data, DRAWING | own)
    result = call(tiny.reconstruct, X, **{"n_steps": 1} | options)
    if not refused(result) and not options.get("return_trajectory"):
        check_images(result, len(X))


@cases(250)
@given(
    st.sampled_from(("score_samples", "bits_per_dim")),
    st.one_of(st.just(IMAGES), inputs(IMAGES)),
    st.one_of(st.just(2), WHOLE),
)
def test_likelihoods(tiny, method, X, n_terms):
    result = call(getattr(tiny, method), X, n_terms=n_terms)
    if not refused(result) and method == "score_samples":
        assert result.shape == (len(X),) and np.isfinite(result).all()
    elif not refused(result):
        assert np.isfinite(result["bits_per_dim"]).all()


@cases(60)
@given(inputs(VECTORS))
def test_score(tiny_of_vectors, X):
    result = call(tiny_of_vectors.score, X)
    assert refused(result) or math.isfinite(result)


@cases(150)
@given(inputs(IMAGES), st.one_of(st.just(2), WHOLE))
def test_inversion_error(tiny, X, n_steps):
    result = call(inversion_error, tiny, X, n_steps)
    assert refused(result) or (result.shape == (len(X),) and (result >= 0).all())


@cases(300)
@given(
    st.one_of(st.just(IMAGES[:2]), inputs(IMAGES[:2])),
    st.one_of(st.just(IMAGES[1:]), inputs(IMAGES[1:])),
    st.data(),
)
def test_interpolate(tiny, x0, x1, data):
    options = options_of(
        data,
        {
            "n_steps": st.one_of(
                st.just(2), st.integers(2, 4), SCALARS.filter(lambda n: not isinstance(n, int) or n < 99)
            ),
            "path": choices("ordered", "random", "smooth", "soft"),
            "noise": choices("random", "inverted"),
            "start": st.one_of(st.just(0.5), NUMBERS),
            "denoising_steps": WHOLE,
            "random_state": SEEDS,
        },
        3,
    )
    result = call(interpolate, tiny, x0, x1, **{"n_steps": 3, "denoising_steps": 1} | options)
    if not refused(result):
        images, codes = result
        assert images.shape[:2] == codes.shape[:2] and images.dtype == np.uint8
        assert codes.min() >= 0 and codes.max() <= 1
        assert np.array_equal(codes[:, 0], tiny.transform(x0) > 0.5)
        assert np.array_equal(codes[:, -1], tiny.transform(x1) > 0.5)


#: Parameters of training that are drawn one at a time; the others stay small.
WORDS = choices(
    "auto", "bias", "none", "signed", "one_hot", "paper", "v", "epsilon", "linear", "itq", "flip", "epoch"
)
PARAMETERS = sorted(
    set(DMZEncoder().get_params()) - {"max_iter", "device", "checkpoint_dir", "compile", "n_timesteps"}
)
SMALL = {"width": 8, "encoder_width": 8, "attention": (), "max_iter": 1, "n_timesteps": 4, "prior": "uniform"}


@cases(500)
@given(
    st.sampled_from(PARAMETERS),
    st.one_of(
        WHOLE.filter(lambda value: not isinstance(value, (int, np.integer)) or value < 100),
        NUMBERS.filter(lambda value: not isinstance(value, (int, float)) or not 1e3 < value < math.inf),
        WORDS,
        st.tuples(st.integers(-1, 12), st.one_of(st.integers(-1, 12), st.none(), st.just(0.5))),
    ),
)
def test_parameters_of_training(name, value):
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value > 99:
        value = 99  # More than that takes the memory that it asks for.
    sizes = ("latent_dim", "width", "encoder_width", "depth", "encoder_depth")
    if name in sizes and isinstance(value, (int, np.integer)) and value in (2, 3):
        value = 1
    encoder = DMZEncoder(**{"latent_dim": 4, "random_state": 0} | SMALL | {name: value})
    with warnings.catch_warnings():
        result = call(encoder.fit, load_digits_images().images[:4])
    if not refused(result):
        assert np.isfinite(encoder.set_params(output="logits").transform(IMAGES)).all()
        assert encoder.n_iter_ == 1


@cases(250)
@given(st.one_of(inputs(load_digits_images().images[:4]), inputs(VECTORS)), st.booleans())
def test_rows_of_training(X, partly):
    encoder = DMZEncoder(4, random_state=0, batch_size=4, width=8, encoder_width=8, max_iter=1, n_timesteps=4)
    result = call(encoder.partial_fit if partly else encoder.fit, X)
    if not refused(result):
        codes = accepted(call(encoder.transform, X))
        assert codes.shape == (len(X), 4) and np.isfinite(codes).all()
    else:
        assert not hasattr(encoder, "model_")


@cases(40)
@given(st.lists(st.one_of(st.just(IMAGES), near(IMAGES), st.just(VECTORS), ANYTHING), min_size=1, max_size=4))
def test_chunks_of_partial_fit(chunks):
    """A chunk that is refused leaves the encoder as it was."""
    encoder = DMZEncoder(4, random_state=0, **SMALL)
    for chunk in chunks:
        before = (
            encoder.transform(IMAGES)
            if hasattr(encoder, "model_")
            and np.shape(IMAGES)[1:] == encoder.data_format_.row_shape
            and encoder.data_format_.dtype == "uint8"
            else None
        )
        if refused(call(encoder.partial_fit, chunk)) and before is not None:
            assert np.array_equal(encoder.transform(IMAGES), before)


@cases(60)
@given(choices("cifar10", "celeba64", "edges2handbags64"), st.sampled_from((None, 8, "auto")))
def test_paper_recipes(name, width):
    result = call(DMZEncoder.paper, name, **{} if width is None else {"width": width})
    assert refused(result) or isinstance(result, DMZEncoder)


@cases(60)
@given(
    st.one_of(st.text(alphabet="ab/.\x00", max_size=6), SCALARS),
    st.sampled_from(("save", "load", "export_encoder")),
)
def test_paths(tiny, tmp_path_factory, path, method):
    """Files that are not there, or no paths: documented errors of the system, or refusals."""
    if isinstance(path, (str, bytes)) or method != "load":
        path = str(tmp_path_factory.getbasetemp() / "none" / "x") if method != "load" else path
    with pytest.raises((OSError, ValueError, TypeError)) as caught:
        getattr(tiny, method)(path)
    assert str(caught.value)
