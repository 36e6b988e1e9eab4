import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_val_score

from dmzrep import DMZEncoder, DomainTransfer
from dmzrep.errors import CodeWarning
from tests.encoders import make_encoder

from .conftest import Pixels, draw_pairs, true_probabilities

SMALL = {"mapping": "mlp", "hidden_layer_sizes": (16,), "n_folds": 2, "random_state": 0}


def entropy(p):
    return -(p * np.log2(p) + (1 - p) * np.log2(1 - p))


@pytest.mark.parametrize("options", [{"mapping": "kernel_ridge"}, SMALL], ids=["kernel_ridge", "mlp"])
def test_probabilities_are_near_the_true_ones(pairs, new_pairs, options):
    transfer = DomainTransfer(Pixels(), Pixels(), **options).fit(*pairs)
    X, Y = new_pairs
    truth = true_probabilities(X)
    assert np.abs(transfer.predict_proba(X) - truth).mean() < 0.1
    best = -entropy(truth).mean()
    assert best - 0.08 < transfer.score(X, Y) < best + 0.02
    assert (transfer.predict_codes(X) == (truth > 0.5))[:, [0, 4]].mean() > 0.97


def test_probabilities_are_batch_invariant(transfer, pairs):
    X = np.concatenate([pairs[0]] * 2)
    whole = transfer.predict_proba(X)
    for chosen in ([3], [700, 3], list(range(255, 300))):
        assert np.array_equal(transfer.predict_proba(X[chosen]), whole[chosen])


def test_fits_are_reproducible(pairs, monkeypatch):
    monkeypatch.setattr("dmzrep.transfer._mappings.MAX_EPOCHS", 5)
    X, Y = (part[:80] for part in pairs)
    first, second, other = (
        DomainTransfer(Pixels(), Pixels(), **(SMALL | {"random_state": seed})).fit(X.tolist(), Y.tolist())
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first.predict_proba(X), second.predict_proba(X))
    assert not np.array_equal(first.predict_proba(X), other.predict_proba(X))


def test_auto_mapping_is_a_perceptron_for_many_pairs(pairs, monkeypatch):
    monkeypatch.setattr("dmzrep.transfer._transfer.KERNEL_PAIRS", 599)
    monkeypatch.setattr("dmzrep.transfer._mappings.MAX_EPOCHS", 5)
    transfer = DomainTransfer(Pixels(), Pixels(), **(SMALL | {"mapping": "auto"})).fit(*pairs)
    assert transfer.mapping_.name == "mlp"
    fewer = DomainTransfer(Pixels(), Pixels(), n_folds=2).fit(*(part[:599] for part in pairs))
    assert fewer.mapping_.name == "kernel_ridge"


def test_pairs_in_another_order_warn(pairs):
    X, Y = pairs
    with pytest.warns(CodeWarning, match=r"no better than.*same order") as caught:
        DomainTransfer(Pixels(), Pixels(), random_state=0, calibration=None).fit(X, np.roll(Y, 1, axis=0))
    assert caught[0].filename == __file__


def test_transform_decodes_the_most_probable_bits(digit_transfer, encoders, digits, negatives):
    X = digits[500:540]
    images = digit_transfer.transform(X, n_steps=2, random_state=0)
    assert images.shape == X.shape and images.dtype == np.uint8
    assert images.mean() > 128 > X.mean()
    again = encoders[1].inverse_transform(
        digit_transfer.predict_codes(X),
        n_steps=2,
        random_state=np.random.SeedSequence([0, 0]).generate_state(40) >> 1,
    )
    assert np.array_equal(images, again)


def test_draws_differ_and_are_batch_invariant(digit_transfer, digits):
    X = digits[500:504]
    draws = digit_transfer.transform(X, n_draws=3, n_steps=1, sample_bits=True, random_state=7)
    assert draws.shape == (4, 3, 8, 8)
    assert not np.array_equal(draws[:, 0], draws[:, 1])
    fewer = digit_transfer.transform(X[:2], n_draws=2, n_steps=1, sample_bits=True, random_state=7)
    assert np.array_equal(fewer, draws[:2, :2])
    single = digit_transfer.transform(X, n_steps=1, sample_bits=True, random_state=7)
    assert np.array_equal(single, draws[:, 0])
    other = digit_transfer.transform(X, n_steps=1, sample_bits=True, random_state=8)
    assert not np.array_equal(single, other)


def test_sampled_bits_have_the_predicted_probabilities(pairs):
    class Plain(Pixels):
        def inverse_transform(self, Z):
            return Z

    transfer = DomainTransfer(Pixels(), Plain(), random_state=0).fit(*pairs)
    X = pairs[0][:3]
    bits = transfer.transform(X, n_draws=4000, sample_bits=True)
    p = transfer.predict_proba(X)
    assert (np.abs(bits.mean(axis=1) - p) < 4 * np.sqrt(p * (1 - p) / 4000) + 1e-3).all()
    likeliest = transfer.transform(X, n_draws=2)
    assert np.array_equal(likeliest, np.repeat((p > 0.5)[:, None], 2, axis=1))


@pytest.mark.parametrize("metric", ["hamming", "log_likelihood"])
def test_ranks_match_a_loop(transfer, metric):
    X, Y = draw_pairs(60, 5)
    p = transfer.predict_proba(X)
    for i, rank in enumerate(transfer.retrieval_ranks(X, Y, metric=metric)):
        if metric == "hamming":
            distances = [round(sum(abs(p[i] - code)), 9) for code in Y]
        else:
            distances = [round(-np.log(np.where(code == 1, p[i], 1 - p[i])).sum(), 9) for code in Y]
        nearer = sum(d < distances[i] for d in distances)
        tied = sum(d == distances[i] for d in distances) - 1
        assert rank == 1 + nearer + tied / 2


def test_correct_partners_rank_high(digit_transfer, digits, negatives):
    X, Y = digits[500:], negatives[500:]
    assert (digit_transfer.retrieval_ranks(X, Y) <= 10).mean() > 0.5
    assert (digit_transfer.retrieval_ranks(X, np.roll(Y, 1, axis=0)) <= 10).mean() < 0.3


def test_transfer_can_be_cloned_and_cross_validated(pairs):
    frozen = DomainTransfer(FrozenEstimator(Pixels()), FrozenEstimator(Pixels()), alpha=2.0, random_state=0)
    copy = clone(frozen)
    assert copy.get_params(deep=False)["alpha"] == 2.0 and copy.source.estimator is frozen.source.estimator
    assert copy.set_params(alpha=0.5).alpha == 0.5
    scores = cross_val_score(frozen, *pairs, cv=3)
    assert scores.shape == (3,) and (scores > -0.7).all()


def test_files_contain_both_encoders(digit_transfer, digits, tmp_path):
    digit_transfer.save(tmp_path / "transfer.safetensors")
    loaded = DomainTransfer.load(tmp_path / "transfer.safetensors", device="cpu")
    X = digits[500:510]
    assert np.array_equal(loaded.predict_proba(X), digit_transfer.predict_proba(X))
    one, two = (each.transform(X, n_steps=1, random_state=0) for each in (loaded, digit_transfer))
    assert np.array_equal(one, two)
    assert loaded.validation_.equals(digit_transfer.validation_)
    assert loaded.get_params(deep=False).keys() == digit_transfer.get_params(deep=False).keys()
    assert loaded.hidden_layer_sizes == (256, 256) and loaded.n_pairs_ == 500
    assert np.array_equal(
        pickle.loads(pickle.dumps(digit_transfer)).predict_proba(X), loaded.predict_proba(X)
    )


def test_frozen_encoders_and_perceptrons_are_saved(encoders, digits, negatives, tmp_path):
    frozen = [FrozenEstimator(encoder) for encoder in encoders]
    transfer = DomainTransfer(*frozen, **SMALL, calibration=None).fit(digits[:50], negatives[:50])
    transfer.save(tmp_path / "transfer.safetensors")
    loaded = DomainTransfer.load(tmp_path / "transfer.safetensors", device="cpu")
    assert isinstance(loaded.source, DMZEncoder) and loaded.calibration_ is None
    assert np.array_equal(loaded.predict_proba(digits[:9]), transfer.predict_proba(digits[:9]))


def test_custom_encoders_are_passed_to_load(pairs, tmp_path):
    random_state = np.random.RandomState(0)
    transfer = DomainTransfer(Pixels(), Pixels(), n_folds=2, random_state=random_state).fit(*pairs)
    path = tmp_path / "transfer.safetensors"
    transfer.save(path)
    loaded = DomainTransfer.load(path, source=Pixels(), target=Pixels())
    assert np.array_equal(loaded.predict_proba(pairs[0]), transfer.predict_proba(pairs[0]))
    assert loaded.random_state.randint(10**6) == random_state.randint(10**6)
    with pytest.raises(ValueError, match=r"does not contain target, because .* is saved; pass target="):
        DomainTransfer.load(path, source=Pixels())
    with pytest.raises(TypeError, match="target must be a fitted DMZEncoder, or an object with transform"):
        DomainTransfer.load(path, source=Pixels(), target="encoder")


def test_invalid_encoders_raise(encoders, digits, negatives):
    source, target = encoders
    with pytest.raises(NotFittedError, match="target is a DMZEncoder that is not fitted yet"):
        DomainTransfer(source, DMZEncoder()).fit(digits, negatives)
    with pytest.raises(NotFittedError, match="source is a FrozenEstimator that is not fitted yet"):
        DomainTransfer(FrozenEstimator(DMZEncoder()), target).fit(digits, negatives)
    tiny = {"width": (8, 16), "max_iter": 1, "n_timesteps": 50}
    plain = make_encoder(**tiny, conditioning="none").fit(digits[:64])
    with pytest.raises(ValueError, match="has no code") as caught:
        DomainTransfer(source, plain).fit(digits, negatives)
    assert "concerns target" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, Y: (X[:9], Y[:8], None), r"must be pairs, got 9 and 8 samples"),
        (lambda X, Y: (X[:19], Y[:19], None), r"Too few pairs for n_folds=5: got 19, at least 20 are needed"),
        (
            lambda X, Y: (X, Y, np.arange(600) % 19),
            "Too few groups of pairs for n_folds=5: got 19, at least 20",
        ),
    ],
)
def test_invalid_pairs_and_groups_raise(pairs, change, message):
    X, Y, groups = change(*pairs)
    with pytest.raises(ValueError, match=message):
        DomainTransfer(Pixels(), Pixels()).fit(X, Y, groups=groups)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t, X, Y: t.predict_proba(X[:, :5]), "source returns codes of 5 bits, but .* fitted to 6"),
        (lambda t, X, Y: t.score(X, Y[:, :4]), "target returns codes of 4 bits, but .* fitted to 5"),
        (lambda t, X, Y: t.score(X, None), "X_b must be an array, a table or a dataset of images, got None"),
        (lambda t, X, Y: t.transform(X, sampler="ddim"), r"inverse_transform does not take 'sampler'"),
        (lambda t, X, Y: DomainTransfer(Pixels(), Pixels()).transform(X), "not fitted yet"),
    ],
)
def test_invalid_calls_raise(transfer, pairs, call, message):
    with pytest.raises((ValueError, TypeError), match=message):  # NotFittedError is a ValueError.
        call(transfer, *pairs)
