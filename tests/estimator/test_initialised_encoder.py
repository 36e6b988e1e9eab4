"""Encoders that were initialised from data and not trained."""

import copy

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from dmzrep import DMZEncoder, ImageRetriever
from dmzrep.editing import AttributeEditor, interpolate
from dmzrep.estimator._model_card import model_card
from tests.encoders import make_encoder

SMALL = {"latent_dim": 16, "width": (8, 16), "encoder_width": 8, "n_timesteps": 20, "random_state": 0}


@pytest.fixture(scope="module")
def initialised(digits):
    return make_encoder(**SMALL, max_iter=0).fit(digits)


@pytest.mark.parametrize("init", ["cca", "contrast_pca", "itq", "pca"])
def test_codes_of_each_initialisation_are_calibrated(init, digits):
    encoder = make_encoder(**SMALL, max_iter=0, init=init, output="logits", prior="auto").fit(digits)
    logits = encoder.transform(digits)
    # The scale of normalised logits is that of training, so that probabilities mean the same.
    assert np.abs(logits.mean(axis=0)).max() < 0.7 and np.abs(logits.std(axis=0) - 5.0).max() < 0.7
    assert (encoder.n_iter_, encoder.stopped_, encoder.init_) == (0, "max_iter", init)
    assert encoder.history_.empty and {"epoch", "seconds", "loss"} <= set(encoder.history_)
    assert encoder.code_summary_["dead_bits"] == 0 and encoder.prior_.name == "chow_liu"


def test_an_initialised_encoder_serves_probes_and_search(initialised, digits, digit_labels):
    pipeline = make_pipeline(make_encoder(**SMALL, max_iter=0), LogisticRegression(max_iter=500))
    assert pipeline.fit(digits[:400], digit_labels[:400]).score(digits[400:], digit_labels[400:]) > 0.7
    found = ImageRetriever(initialised).fit(digits).query(digits[:5], k=1)
    assert (found["distance"] == 0).all()


@pytest.mark.parametrize(
    "use",
    [
        lambda encoder, X: encoder.sample(),
        lambda encoder, X: encoder.inverse_transform(np.zeros((1, 16))),
        lambda encoder, X: encoder.reconstruct(X),
        lambda encoder, X: encoder.reconstruct(X, noise="inverted"),
        lambda encoder, X: encoder.score(X),
        lambda encoder, X: encoder.bits_per_dim(X),
        lambda encoder, X: encoder.decoder_.invert(X, None),
        lambda encoder, X: interpolate(encoder, X[:1], X[1:]),
        lambda encoder, X: AttributeEditor(encoder).fit(X, [0, 1]).edit(X, "attribute_0", 1.0),
    ],
)
def test_what_needs_the_denoiser_is_refused(use, initialised, digits):
    with pytest.raises(NotFittedError, match=r"max_iter=0.*warm_start=True"):
        use(initialised, digits[:2])


def test_files_and_cards_keep_the_refusal(initialised, digits, tmp_path):
    initialised.save(tmp_path / "encoder.safetensors", model_card=True)
    loaded = DMZEncoder.load(tmp_path / "encoder.safetensors")
    assert np.array_equal(loaded.transform(digits[:9]), initialised.transform(digits[:9]))
    assert loaded.history_.columns.equals(initialised.history_.columns)
    with pytest.raises(NotFittedError):
        loaded.sample()
    card = (tmp_path / "encoder.md").read_text()
    assert card == model_card(loaded) and "not trained" in card and "rawn samples" not in card


@pytest.mark.parametrize("keeps_state", [True, False])
def test_training_continues_from_the_initialisation(keeps_state, digits):
    encoder = make_encoder(**SMALL, max_iter=0, warm_start=keeps_state).fit(digits)
    initialised = copy.deepcopy(encoder.model_.encoder)
    other = copy.deepcopy(encoder).partial_fit(digits)
    encoder.set_params(max_iter=2, warm_start=True, learning_rate=1e-5).fit(digits)
    assert (encoder.n_iter_, len(encoder.history_), other.n_iter_) == (2, 2, 1)
    for trained in (encoder.model_.encoder, other.model_.encoder):
        assert torch.equal(trained.linear_init.linear.weight, initialised.linear_init.linear.weight)
    moved = (encoder.model_.encoder.head.linear.weight - initialised.head.linear.weight).abs().max()
    assert 0.0 < moved < 1e-3
    assert encoder.sample(2, n_steps=2).shape == other.sample(2, n_steps=2).shape == (2, 8, 8)
    with pytest.raises(ValueError, match=r"max_iter=0 does not train.*warm_start=False"):
        encoder.set_params(max_iter=0).fit(digits)


def test_training_moves_the_linear_map_of_principal_components(digits):
    encoder = make_encoder(**SMALL, init="contrast_pca", max_iter=0, warm_start=True).fit(digits)
    initial = encoder.model_.encoder.linear_init.linear.weight.clone()
    encoder.set_params(max_iter=1, learning_rate=1e-5).fit(digits)
    moved = (encoder.model_.encoder.linear_init.linear.weight - initial).abs()
    assert 0.0 < moved.max() < 1e-3


def test_a_run_resumes_from_the_checkpoint_of_the_initialisation(digits, tmp_path):
    params = {**SMALL, "checkpoint_dir": tmp_path}
    make_encoder(**params, max_iter=0).fit(digits)
    resumed = make_encoder(**params, max_iter=1).fit(digits)
    whole = make_encoder(**SMALL, max_iter=1).fit(digits)
    assert np.array_equal(resumed.transform(digits), whole.transform(digits))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"init": "random"}, "max_iter=0 needs an initialisation from data"),
        ({"encoder": "paper"}, "max_iter=0 needs an initialisation from data"),
        ({"conditioning": "none"}, "max_iter=0 fits the encoder alone"),
    ],
)
def test_an_encoder_without_an_initialisation_is_refused(params, message, digits):
    with pytest.raises(ValueError, match=message):
        make_encoder(**SMALL, max_iter=0, **params).fit(digits)


@pytest.mark.parametrize("init", ["auto", "cca", "itq", "neighbours", "pca"])
def test_vectors_are_initialised_too(init, vectors):
    encoder = make_encoder(3, max_iter=0, init=init, output="bits", random_state=0).fit(vectors)
    assert encoder.init_ == ("neighbours" if init == "auto" else init)
    # Samples form eight clusters.
    assert len(np.unique(encoder.transform(vectors), axis=0)) >= 4
