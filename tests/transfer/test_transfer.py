import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_val_score

from dmzrep import DMZEncoder, DomainTransfer, Network, Training
from dmzrep.errors import CodeWarning, PersistenceError

from .conftest import Pixels, draw_pairs, true_probabilities

SMALL = {"mapping": "mlp", "hidden_layer_sizes": (16,), "n_folds": 2, "random_state": 0}


def entropy(p):
    return -(p * np.log2(p) + (1 - p) * np.log2(1 - p))


# -- what is learned -------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"mapping": "kernel_ridge"}, SMALL], ids=["kernel_ridge", "mlp"])
def test_probabilities_come_near_those_that_the_pairs_were_drawn_from(pairs, new_pairs, options):
    transfer = DomainTransfer(Pixels(), Pixels(), **options).fit(*pairs)
    X, Y = new_pairs
    truth = true_probabilities(X)
    assert np.abs(transfer.predict_proba(X) - truth).mean() < 0.1
    best = -entropy(truth).mean()  # No prediction scores more, up to chance.
    assert best - 0.08 < transfer.score(X, Y) < best + 0.02
    sure = transfer.predict_codes(X)[:, [0, 4]] == (truth > 0.5)[:, [0, 4]]
    assert sure.mean() > 0.97


def test_probabilities_are_batch_invariant(transfer, pairs):
    X = np.concatenate([pairs[0]] * 2)
    whole = transfer.predict_proba(X)
    for chosen in ([3], [700, 3], list(range(255, 300))):
        assert np.array_equal(transfer.predict_proba(X[chosen]), whole[chosen])


def test_the_seed_decides_and_pairs_may_be_lists(pairs, monkeypatch):
    monkeypatch.setattr("dmzrep.transfer._mappings.MAX_EPOCHS", 5)
    X, Y = (part[:80] for part in pairs)
    global_state = np.random.get_state()[1].copy()
    first, second, other = (
        DomainTransfer(Pixels(), Pixels(), **(SMALL | {"random_state": seed})).fit(X.tolist(), Y.tolist())
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first.predict_proba(X), second.predict_proba(X))
    assert not np.array_equal(first.predict_proba(X), other.predict_proba(X))
    assert np.array_equal(global_state, np.random.get_state()[1])


def test_more_pairs_than_a_kernel_holds_go_to_the_perceptron(pairs, monkeypatch):
    monkeypatch.setattr("dmzrep.transfer._transfer.KERNEL_PAIRS", 599)
    monkeypatch.setattr("dmzrep.transfer._mappings.MAX_EPOCHS", 5)
    transfer = DomainTransfer(Pixels(), Pixels(), **(SMALL | {"mapping": "auto"})).fit(*pairs)
    assert transfer.mapping_.name == "mlp"
    fewer = DomainTransfer(Pixels(), Pixels(), n_folds=2).fit(*(part[:599] for part in pairs))
    assert fewer.mapping_.name == "kernel_ridge"


def test_pairs_out_of_order_warn(pairs):
    X, Y = pairs
    with pytest.warns(CodeWarning, match=r"no better than.*same order"):
        DomainTransfer(Pixels(), Pixels(), random_state=0, calibration=None).fit(X, np.roll(Y, 1, axis=0))


# -- images ----------------------------------------------------------------------------------------


def test_real_images_of_the_second_domain_come_out(digit_transfer, encoders, digits, negatives):
    X = digits[500:540]
    images = digit_transfer.transform(X, n_steps=2, random_state=0)
    assert images.shape == X.shape and images.dtype == np.uint8
    assert images.mean() > 128 > X.mean()  # Dark on white.
    again = encoders[1].inverse_transform(
        digit_transfer.predict_codes(X),
        n_steps=2,
        random_state=np.random.SeedSequence([0, 0]).generate_state(40) >> 1,
    )
    assert np.array_equal(images, again)


def test_draws_differ_and_do_not_depend_on_their_number(digit_transfer, digits):
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


def test_drawn_bits_have_the_predicted_probabilities(pairs):
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


# -- ranks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["hamming", "log_likelihood"])
def test_ranks_are_those_of_a_loop(transfer, metric):
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


def test_right_partners_rank_high_and_wrong_ones_do_not(digit_transfer, digits, negatives):
    X, Y = digits[500:], negatives[500:]
    right = (digit_transfer.retrieval_ranks(X, Y) <= 10).mean()
    wrong = (digit_transfer.retrieval_ranks(X, np.roll(Y, 1, axis=0)) <= 10).mean()
    assert right > 0.5 and wrong < 0.3


# -- scikit-learn ----------------------------------------------------------------------------------


def test_parameters_and_copies_are_scikit_learns(pairs):
    frozen = DomainTransfer(FrozenEstimator(Pixels()), FrozenEstimator(Pixels()), alpha=2.0, random_state=0)
    copy = clone(frozen)
    assert copy.get_params(deep=False)["alpha"] == 2.0 and copy.source.estimator is frozen.source.estimator
    assert copy.set_params(alpha=0.5).alpha == 0.5
    scores = cross_val_score(frozen, *pairs, cv=3)
    assert scores.shape == (3,) and (scores > -0.7).all()


def test_copies_of_the_fitted_transfer_do_the_same(digit_transfer, digits, tmp_path):
    expected = digit_transfer.predict_proba(digits[:5])
    joblib.dump(digit_transfer, tmp_path / "transfer")
    for copy in (pickle.loads(pickle.dumps(digit_transfer)), joblib.load(tmp_path / "transfer")):
        assert np.array_equal(copy.predict_proba(digits[:5]), expected)


@pytest.mark.parametrize(
    ("call", "arguments"),
    [("predict_proba", 1), ("predict_codes", 1), ("transform", 1), ("score", 2), ("retrieval_ranks", 2)],
)
def test_a_transfer_without_fit_says_so(call, arguments, pairs):
    with pytest.raises(NotFittedError, match="DomainTransfer instance is not fitted yet"):
        getattr(DomainTransfer(Pixels(), Pixels()), call)(*pairs[:arguments])
    with pytest.raises(NotFittedError):
        DomainTransfer(Pixels(), Pixels()).save("nowhere")


# -- files -----------------------------------------------------------------------------------------


def test_a_file_holds_both_encoders(digit_transfer, digits, negatives, tmp_path):
    digit_transfer.save(tmp_path / "transfer.safetensors")
    loaded = DomainTransfer.load(tmp_path / "transfer.safetensors", device="cpu")
    X, Y = digits[500:510], negatives[500:510]
    assert np.array_equal(loaded.predict_proba(X), digit_transfer.predict_proba(X))
    one, two = (each.transform(X, n_steps=1, random_state=0) for each in (loaded, digit_transfer))
    assert np.array_equal(one, two)
    assert loaded.score(X, Y) == digit_transfer.score(X, Y)
    assert loaded.validation_.equals(digit_transfer.validation_)
    assert loaded.get_params(deep=False).keys() == digit_transfer.get_params(deep=False).keys()
    assert loaded.hidden_layer_sizes == (256, 256) and loaded.n_pairs_ == 500


def test_frozen_encoders_are_saved_too(encoders, digits, negatives, tmp_path):
    frozen = [FrozenEstimator(encoder) for encoder in encoders]
    transfer = DomainTransfer(*frozen, n_folds=2, calibration=None).fit(digits[:50], negatives[:50])
    transfer.save(tmp_path / "transfer.safetensors")
    loaded = DomainTransfer.load(tmp_path / "transfer.safetensors", device="cpu")
    assert isinstance(loaded.source, DMZEncoder) and loaded.calibration_ is None
    assert np.array_equal(loaded.predict_proba(digits[:9]), transfer.predict_proba(digits[:9]))


def test_other_encoders_are_given_when_loading(pairs, tmp_path):
    random_state = np.random.RandomState(0)
    transfer = DomainTransfer(Pixels(), Pixels(), n_folds=2, random_state=random_state).fit(*pairs)
    path = tmp_path / "transfer.safetensors"
    transfer.save(path)
    loaded = DomainTransfer.load(path, source=Pixels(), target=Pixels())
    assert np.array_equal(loaded.predict_proba(pairs[0]), transfer.predict_proba(pairs[0]))
    assert loaded.random_state.randint(10**6) == random_state.randint(10**6)
    with pytest.raises(ValueError, match=r"holds no target, as only a DMZEncoder is saved; pass target="):
        DomainTransfer.load(path, source=Pixels())


def test_foreign_files_are_refused(encoders, digit_transfer, tmp_path):
    encoders[0].save(tmp_path / "encoder")
    with pytest.raises(PersistenceError, match="holds a DMZEncoder, not a DomainTransfer"):
        DomainTransfer.load(tmp_path / "encoder")
    digit_transfer.save(tmp_path / "transfer")
    with pytest.raises(PersistenceError, match="transfer holds a DomainTransfer, not a DMZEncoder"):
        DMZEncoder.load(tmp_path / "transfer")
    content = (tmp_path / "transfer").read_bytes()
    (tmp_path / "transfer").write_bytes(content[: len(content) // 2])
    with pytest.raises(PersistenceError, match="not a complete dmzrep file"):
        DomainTransfer.load(tmp_path / "transfer")


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"mapping": "kernel"}, r"mapping must be one of .*got 'kernel'. Did you mean 'kernel_ridge'"),
        ({"features": "bit"}, r"features must be one of .*Did you mean 'bits'"),
        ({"alpha": 0.0}, "alpha must be a float in the range .*, got 0.0"),
        ({"n_folds": 1}, "n_folds must be an integer of at least 2, got 1"),
        ({"hidden_layer_sizes": (0,)}, r"hidden_layer_sizes must be a tuple .*got \(0,\)"),
    ],
)
def test_bad_parameters_are_refused(pairs, parameters, message):
    with pytest.raises(ValueError, match=message):
        DomainTransfer(Pixels(), Pixels(), **parameters).fit(*pairs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, Y: (X[:9], Y[:8]), r"must be pairs, got 9 and 8 samples"),
        (lambda X, Y: (X[:19], Y[:19]), r"Too few pairs for n_folds=5: got 19, at least 20 are needed"),
        (lambda X, Y: (X * 3, Y), r"must lie in \[0, 1\] .*, got values from"),
    ],
)
def test_bad_pairs_are_refused(pairs, change, message):
    with pytest.raises(ValueError, match=message):
        DomainTransfer(Pixels(), Pixels()).fit(*change(*pairs))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.arange(599), r"a group for each of the 600 pairs, got shape \(599,\)"),
        (np.arange(600) % 19, "Too few groups of pairs for n_folds=5: got 19, at least 20"),
    ],
)
def test_bad_groups_are_refused(pairs, groups, message):
    with pytest.raises(ValueError, match=message):
        DomainTransfer(Pixels(), Pixels()).fit(*pairs, groups=groups)


def test_encoders_that_are_not_ready_are_refused_by_name(encoders, digits, negatives):
    source, target = encoders
    with pytest.raises(NotFittedError, match="target is a DMZEncoder that is not fitted yet"):
        DomainTransfer(source, DMZEncoder()).fit(digits, negatives)
    with pytest.raises(NotFittedError, match="source is a FrozenEstimator that is not fitted yet"):
        DomainTransfer(FrozenEstimator(DMZEncoder()), target).fit(digits, negatives)
    with pytest.raises(TypeError, match=r"source must be a fitted DMZEncoder.*no transform"):
        DomainTransfer(None, target).fit(digits, negatives)
    plain = DMZEncoder(
        network=Network(width=(8, 16), conditioning="none"), max_iter=1, training=Training(n_timesteps=50)
    ).fit(digits[:64])
    with pytest.raises(ValueError, match="has no code") as caught:
        DomainTransfer(source, plain).fit(digits, negatives)
    assert "about target" in caught.value.__notes__[0]


def test_images_of_another_layout_and_changed_encoders_are_refused(digit_transfer, transfer, digits, pairs):
    with pytest.raises(ValueError, match=r"fitted on images of shape \(8, 8\)"):
        digit_transfer.predict_proba(digits[:, :7])
    with pytest.raises(ValueError, match="source returns codes of 5 bits, but the transfer was fitted to 6"):
        transfer.predict_proba(pairs[0][:, :5])
    with pytest.raises(ValueError, match="target returns codes of 4 bits, but the transfer was fitted to 5"):
        transfer.score(pairs[0], pairs[1][:, :4])
    with pytest.raises(ValueError, match="got 600 and 3 samples"):
        transfer.retrieval_ranks(pairs[0], pairs[1][:3])
    with pytest.raises(ValueError, match="no images of source"):
        transfer.predict_proba(pairs[0][:0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_draws": 0}, "n_draws must be an integer of at least 1, or None, got 0"),
        ({"sampler": "ddim"}, r"inverse_transform does not take 'sampler'"),
    ],
)
def test_bad_draws_are_refused(transfer, pairs, options, message):
    with pytest.raises(ValueError, match=message):
        transfer.transform(pairs[0][:2], **options)
