"""Prefixes of ordered codes, and parameters that act on the code."""

import numpy as np
import pandas as pd
import pytest

from dmzrep import DMZEncoder
from dmzrep.metrics import code_report, code_summary
from tests.encoders import make_encoder

TINY = {"latent_dim": 8, "width": (8, 16), "encoder_width": 8, "max_iter": 1, "n_timesteps": 50}
TINY |= {"random_state": 0, "prior": "uniform"}
STEPS = {"n_steps": 3, "random_state": 0}


@pytest.fixture(scope="module")
def ordered(digits):
    params = TINY | {"latent_dim": 16, "max_iter": 12}
    return make_encoder(**params, objective="v", ordered=True, code_dropout=0.2).fit(digits[:200])


@pytest.fixture(scope="module")
def bits(ordered, digits):
    return (ordered.transform(digits[:6]) > 0.5).astype(np.uint8)


@pytest.mark.parametrize("k", [8, 11, 16])
def test_prefixes_are_decoded_with_the_other_bits_masked(ordered, digits, bits, k):
    masked = np.full((6, 16), 0.5)
    masked[:, :k] = bits[:, :k]
    expected = ordered.inverse_transform(masked, **STEPS)
    assert np.array_equal(ordered.inverse_transform(bits[:, :k], **STEPS), expected)
    options = STEPS | {"noise": "random"}
    assert np.array_equal(ordered.reconstruct(digits[:6], n_bits=k, **options), expected)
    assert np.array_equal(ordered.reconstruct(digits[:6], **options), expected) is (k == 16)


def test_noise_is_inverted_with_the_same_prefix(ordered, digits, bits):
    X, options = digits[:6], {"n_steps": 20, "random_state": 0}
    rebuilt = ordered.reconstruct(X, n_bits=8, noise="inverted", **options)
    decoded = ordered.inverse_transform(bits[:, :8], like=X, noise="inverted", **options)
    assert np.array_equal(rebuilt, decoded)
    random = ordered.reconstruct(X, n_bits=8, **options)
    assert np.square(rebuilt - X.astype(float)).mean() < 0.5 * np.square(random - X.astype(float)).mean()


@pytest.mark.parametrize("k", [7, 17])
def test_prefixes_of_an_invalid_length_are_refused(ordered, digits, k):
    with pytest.raises(ValueError, match=r"n_bits must be an integer from 8 to latent_dim=16, or None, got"):
        ordered.reconstruct(digits[:2], n_bits=k)
    with pytest.raises(ValueError, match=rf"\(n, 16\).*or \(n, k\).*got \(2, {k}\)"):
        ordered.inverse_transform(np.zeros((2, k)))


def test_a_model_without_ordered_refuses_prefixes(digits):
    encoder = make_encoder(**TINY | {"latent_dim": 16}).fit(digits[:40])
    encoder.set_params(ordered=True)  # Only the value at the time of fit matters.
    with pytest.raises(ValueError, match=r"n_bits=8 asks for.*trained on whole codes.*ordered=True"):
        encoder.reconstruct(digits[:2], n_bits=8)
    with pytest.raises(ValueError, match=r"got \(2, 8\).*ordered=True"):
        encoder.inverse_transform(np.zeros((2, 8)))
    whole = encoder.reconstruct(digits[:2], **STEPS)
    assert np.array_equal(encoder.reconstruct(digits[:2], n_bits=16, **STEPS), whole)


def test_ordered_and_code_dropout_are_saved(ordered, bits, tmp_path):
    ordered.save(tmp_path / "encoder")
    loaded = DMZEncoder.load(tmp_path / "encoder")
    assert loaded.ordered_ is True and loaded.code_dropout_ == 0.2
    images = ordered.inverse_transform(bits[:, :8], guidance=2.0, **STEPS)
    assert np.array_equal(loaded.inverse_transform(bits[:, :8], guidance=2.0, **STEPS), images)


def test_the_fitted_report_and_summary_are_those_of_the_codes(ordered, digits):
    probabilities = ordered.transform(digits[:200])
    pd.testing.assert_frame_equal(ordered.code_report_, code_report(probabilities))
    pd.testing.assert_series_equal(ordered.code_summary_, code_summary(probabilities, ordered.history_))
    last = ordered.history_.iloc[-1]
    assert ordered.code_summary_["loss_no_code"] == last["validation_loss_no_code"]
    assert ordered.code_summary_["loss_true"] == last["validation_loss_hard"]


CODE_PARAMETERS = {"marginal_entropy": 0.01, "decorrelation": "auto", "kl_weight": 0.1, "mmd_weight": 1.0}
CODE_PARAMETERS |= {"code_dropout": 0.5, "ordered": True}


def weights(encoder):
    return np.concatenate([t.numpy().ravel() for t in encoder.model_.state_dict().values()])


@pytest.fixture(scope="module")
def default_weights(digits):
    return weights(make_encoder(**TINY).fit(digits[:96]))


@pytest.mark.parametrize("name", CODE_PARAMETERS)
def test_parameters_of_the_code_change_training(digits, default_weights, name):
    params = {name: CODE_PARAMETERS[name]}
    encoder = make_encoder(**TINY, **params).fit(digits[:96])
    assert np.isfinite(weights(encoder)).all() and not np.array_equal(weights(encoder), default_weights)
    with pytest.raises(ValueError, match=f"{name}=.* needs a code.*Use {name}=(0.0|False)"):
        make_encoder(**TINY, **params, conditioning="none").fit(digits[:20])


def test_parameters_of_the_code_that_are_zero_do_not_change_training(digits, default_weights):
    zero = {name: type(value)(0) for name, value in CODE_PARAMETERS.items() if name != "decorrelation"}
    encoder = make_encoder(**TINY, **zero, decorrelation=0, kl_free_bits=0.5).fit(digits[:96])
    assert np.array_equal(weights(encoder), default_weights)


@pytest.mark.parametrize("name", ["marginal_entropy", "decorrelation", "mmd_weight"])
def test_terms_that_compare_samples_need_larger_batches(digits, name):
    with pytest.raises(ValueError, match=f"{name}=.* compares the samples of a batch, but batch_size=1"):
        make_encoder(**TINY, batch_size=1, **{name: CODE_PARAMETERS[name]}).fit(digits[:20])
