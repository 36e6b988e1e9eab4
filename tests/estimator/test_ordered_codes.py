"""Codes whose first bits are codes, code dropout, and the terms as parameters of the estimator."""

import numpy as np
import pandas as pd
import pytest

from dmzrep import DMZEncoder
from dmzrep.inference import StartingSamples
from dmzrep.metrics import code_report, code_summary
from tests.encoders import make_encoder

pytestmark = pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")
TINY = {"latent_dim": 8, "width": (8, 16), "encoder_width": 8, "max_iter": 1, "n_timesteps": 50}
TINY |= {"random_state": 0, "prior": "uniform"}


@pytest.fixture(scope="module")
def ordered(digits):
    params = TINY | {"latent_dim": 16, "max_iter": 4}
    return make_encoder(**params, ordered=True, code_dropout=0.2).fit(digits[:200])


@pytest.fixture(scope="module")
def bits(ordered, digits):
    return (ordered.transform(digits[:6]) > 0.5).astype(np.uint8)


@pytest.mark.parametrize("k", [8, 11, 16])
def test_first_bits_are_decoded_as_codes_that_tell_no_others(ordered, digits, bits, k):
    whole = np.full((6, 16), 0.5)
    whole[:, :k] = bits[:, :k]
    expected = ordered.inverse_transform(whole, n_steps=3, random_state=0)
    assert np.array_equal(ordered.inverse_transform(bits[:, :k], n_steps=3, random_state=0), expected)
    assert np.array_equal(ordered.reconstruct(digits[:6], n_bits=k, n_steps=3, random_state=0), expected)
    other = ordered.reconstruct(digits[:6], n_steps=3, random_state=0)
    assert np.array_equal(other, expected) is (k == 16)


def test_inverted_noise_of_first_bits_is_that_of_the_same_bits(ordered, digits, bits, monkeypatch):
    codes, at = [], StartingSamples.at

    def watched(self, *arguments, **options):
        noise, z = at(self, *arguments, **options)
        codes.append(z[:6].numpy())
        return noise, z

    monkeypatch.setattr(StartingSamples, "at", watched)
    rebuilt = ordered.reconstruct(digits[:6], n_bits=8, noise="inverted", n_steps=20, random_state=0)
    decoded = ordered.inverse_transform(
        bits[:, :8], like=digits[:6], noise="inverted", n_steps=20, random_state=0
    )
    assert np.array_equal(rebuilt, decoded)
    assert len(codes) == 2
    for seen in codes:
        assert np.array_equal(seen[:, :8], bits[:, :8]) and (seen[:, 8:] == 0.5).all()
    X = digits[:6].astype(float)
    random = ordered.reconstruct(digits[:6], n_bits=8, n_steps=20, random_state=0)
    assert np.square(rebuilt - X).mean() < 0.5 * np.square(random - X).mean()


@pytest.mark.parametrize("n_bits", [7, 0, 17, 8.0, True, "8"])
def test_a_length_out_of_range_is_refused(ordered, digits, n_bits):
    with pytest.raises(ValueError, match=r"n_bits must be an integer from 8 to latent_dim=16, or None, got"):
        ordered.reconstruct(digits[:2], n_bits=n_bits, random_state=0)


@pytest.mark.parametrize("shape", [(2, 7), (2, 17)])
def test_codes_of_another_length_are_refused(ordered, shape):
    with pytest.raises(ValueError, match=r"\(n, 16\).*or \(n, k\).*k from 8 on, got \(") as caught:
        ordered.inverse_transform(np.zeros(shape), random_state=0)
    assert str(shape) in str(caught.value)


def test_a_model_of_whole_codes_refuses_parts(digits):
    encoder = make_encoder(**TINY | {"latent_dim": 16}).fit(digits[:40])
    encoder.set_params(ordered=True)
    with pytest.raises(ValueError, match=r"n_bits=8 asks for.*trained on whole ones.*ordered=True"):
        encoder.reconstruct(digits[:2], n_bits=8, random_state=0)
    with pytest.raises(ValueError, match=r"got \(2, 8\). The first bits .*ordered=True"):
        encoder.inverse_transform(np.zeros((2, 8)), random_state=0)
    # What it was trained on counts, not what the parameter says by now.
    assert encoder.ordered_ is False
    whole = encoder.reconstruct(digits[:2], n_steps=2, random_state=0)
    assert np.array_equal(encoder.reconstruct(digits[:2], n_bits=16, n_steps=2, random_state=0), whole)


def test_a_model_without_codes_has_no_first_bits(digits):
    encoder = make_encoder(**TINY, conditioning="none").fit(digits[:40])
    with pytest.raises(ValueError, match="has no code"):
        encoder.reconstruct(digits[:2], noise="inverted", n_bits=8, random_state=0)
    assert encoder.code_summary_ is None


def test_files_keep_what_was_trained_and_found(ordered, digits, bits, tmp_path):
    ordered.save(tmp_path / "e")
    copied = DMZEncoder.load(tmp_path / "e")
    assert copied.ordered_ is True and copied.code_dropout_ == 0.2
    pd.testing.assert_series_equal(copied.code_summary_, ordered.code_summary_)
    pd.testing.assert_frame_equal(copied.code_report_, ordered.code_report_)
    images = ordered.inverse_transform(bits[:, :8], n_steps=2, random_state=0)
    assert np.array_equal(copied.inverse_transform(bits[:, :8], n_steps=2, random_state=0), images)


def test_the_fitted_report_is_that_of_the_codes(ordered, digits):
    probabilities = ordered.transform(digits[:200])
    pd.testing.assert_frame_equal(ordered.code_report_, code_report(probabilities))
    pd.testing.assert_series_equal(ordered.code_summary_, code_summary(probabilities, ordered.history_))
    last = ordered.history_.iloc[-1]
    assert ordered.code_summary_["loss_no_code"] == last["validation_loss_no_code"]
    assert ordered.code_summary_["loss_true"] == last["validation_loss_hard"]


def test_a_small_later_chunk_leaves_the_summary_alone(digits):
    encoder = make_encoder(**TINY).partial_fit(digits[:100])
    summary = encoder.code_summary_
    assert encoder.partial_fit(digits[:40]).code_summary_ is summary


DEMANDS = {
    "marginal_entropy": 0.01,
    "decorrelation": "auto",
    "kl_weight": 0.1,
    "mmd_weight": 1.0,
    "code_dropout": 0.5,
    "ordered": True,
}


def weights(encoder):
    return np.concatenate([t.numpy().ravel() for t in encoder.model_.state_dict().values()])


@pytest.fixture(scope="module")
def by_default(digits):
    return weights(make_encoder(**TINY).fit(digits[:96]))


@pytest.mark.parametrize("name", DEMANDS)
def test_every_demand_changes_training(digits, by_default, name):
    encoder = make_encoder(**TINY, **{name: DEMANDS[name]}).fit(digits[:96])
    assert np.isfinite(weights(encoder)).all() and not np.array_equal(weights(encoder), by_default)
    assert np.isfinite(encoder.history_["loss"]).all()


def test_what_asks_nothing_leaves_training_as_it_was(digits, by_default):
    nothing = {name: type(value)(0) for name, value in DEMANDS.items() if name != "decorrelation"}
    encoder = make_encoder(**TINY, **nothing, decorrelation=0, kl_free_bits=0.5).fit(digits[:96])
    assert np.array_equal(weights(encoder), by_default)


@pytest.mark.parametrize("name", DEMANDS)
def test_demands_on_a_code_need_one(digits, name):
    with pytest.raises(ValueError, match=f"{name}=.* asks something of the code.*Use {name}=(0.0|False)"):
        make_encoder(**TINY, conditioning="none", **{name: DEMANDS[name]}).fit(digits[:20])


@pytest.mark.parametrize("name", ["marginal_entropy", "decorrelation", "mmd_weight"])
def test_terms_of_a_batch_need_more_than_one_row(digits, name):
    with pytest.raises(ValueError, match=f"{name}=.* compares the rows of a batch, but batch_size=1"):
        make_encoder(**TINY, batch_size=1, **{name: DEMANDS[name]}).fit(digits[:20])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("marginal_entropy", -1.0),
        ("decorrelation", "always"),
        ("kl_weight", None),
        ("kl_free_bits", 1.0),
        ("mmd_weight", "auto"),
        ("code_dropout", 1.0),
        ("ordered", "yes"),
    ],
)
def test_values_out_of_range_are_refused(digits, name, value):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of (DMZEncoder|Training) must be"):
        make_encoder(**TINY, **{name: value}).fit(digits[:20])


def test_a_checkpoint_of_the_same_terms_is_resumed_and_of_others_is_left_alone(digits, tmp_path):
    params = TINY | {
        "final_learning_rate": 1.0,
        "decorrelation": "auto",
        "code_dropout": 0.3,
        "ordered": True,
    }
    whole = make_encoder(**params | {"max_iter": 2}).fit(digits[:96])
    make_encoder(**params, checkpoint_dir=tmp_path).fit(digits[:96])
    resumed = make_encoder(**params | {"max_iter": 2}, checkpoint_dir=tmp_path).fit(digits[:96])
    assert np.array_equal(resumed.transform(digits[:50]), whole.transform(digits[:50]))
    for name, value in (
        ("decorrelation", 0.5),
        ("code_dropout", 0.0),
        ("ordered", False),
        ("kl_weight", 1.0),
    ):
        other = make_encoder(**params | {name: value}, checkpoint_dir=tmp_path).fit(digits[:96])
        assert other.n_iter_ == 1
    assert len(list(tmp_path.glob("run-*"))) == 5
