"""DMZEncoder: what it gives, on every kind of data."""

import pickle
import time

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import FeatureUnion, make_pipeline

from dmzrep import DMZEncoder
from dmzrep.errors import (
    CodeWarning,
    DeviceWarning,
    PersistenceError,
    TrainingInterruptedWarning,
)
from dmzrep.priors import PRIORS, ChowLiuPrior, IndependentPrior, MixturePrior
from dmzrep.training._loop import Trainer
from tests.encoders import make_encoder

pytestmark = pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")
TINY = {"latent_dim": 16, "width": 8, "encoder_width": 8, "attention": (), "max_iter": 1, "random_state": 0}


# -- codes ---------------------------------------------------------------------------------------


def test_transform_gives_probabilities_logits_or_bits_that_agree(encoder, digits):
    logits, probabilities, bits = (
        pickle.loads(pickle.dumps(encoder)).set_params(output=kind).transform(digits[:50])
        for kind in ("logits", "probabilities", "bits")
    )
    assert (logits.dtype, probabilities.dtype, bits.dtype) == (np.float32, np.float32, np.uint8)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-logits.astype(float))), atol=1e-6)
    assert np.array_equal(bits, probabilities > 0.5)


@pytest.mark.parametrize("size", [1, 2, 3, 17, 300])
def test_codes_are_batch_invariant_up_to_rounding(encoder, digits, size):
    whole = encoder.transform(digits)
    order = np.random.default_rng(size).permutation(len(digits))[:size]
    some = encoder.transform(digits[order])
    np.testing.assert_allclose(some, whole[order], atol=1e-5)
    # The same batch gives the same codes, bit for bit.
    assert np.array_equal(encoder.transform(digits[order]), some)


def test_same_seed_same_codes_and_another_seed_others(digits):
    fits = [
        make_encoder(**TINY | {"random_state": seed}).fit(digits[:128]).transform(digits)
        for seed in (3, 3, 4)
    ]
    assert np.array_equal(fits[0], fits[1])
    assert not np.array_equal(fits[0], fits[2])


def test_fit_leaves_global_generators_alone(digits):
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(3), np.random.rand(3)
    torch.manual_seed(5)
    np.random.seed(5)
    make_encoder(**TINY, dropout=0.5).fit(digits[:64]).sample(2, n_steps=2)
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_going_on_leaves_global_generators_alone(digits, dropout, tmp_path):
    started = make_encoder(**TINY, dropout=dropout).partial_fit(digits[:64])
    stopped = make_encoder(**TINY, dropout=dropout, checkpoint_dir=tmp_path).fit(digits[:64])
    torch.manual_seed(5)
    before = torch.get_rng_state()
    started.partial_fit(digits[:64])
    stopped.set_params(max_iter=TINY["max_iter"] + 1).fit(digits[:64])
    assert torch.equal(torch.get_rng_state(), before)


def test_codes_tell_digits_apart_after_a_short_fit(encoder, digits, digit_labels):
    accuracy = cross_val_score(
        LogisticRegression(max_iter=500), encoder.transform(digits), digit_labels, cv=3
    )
    assert accuracy.mean() > 0.7


def test_true_codes_lower_the_loss_below_that_of_shuffled_codes(encoder):
    last = encoder.history_.iloc[-1]
    assert last["validation_loss_hard"] < 0.9 * last["validation_loss_shuffled"]


def test_training_lowers_the_loss(encoder):
    assert encoder.history_["loss"].iloc[-1] < 0.7 * encoder.history_["loss"].iloc[0]


def test_report_has_a_row_for_each_bit(encoder, digits):
    assert encoder.code_report_.shape == (16, 5)
    bits = encoder.transform(digits) > 0.5
    np.testing.assert_allclose(encoder.code_report_["mean"], bits.mean(axis=0))
    assert encoder.code_report_["entropy"].between(0.0, 1.0).all()


# -- images in every layout -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "params"),
    [
        (lambda x: x, {}),
        (lambda x: x[..., None], {}),
        (lambda x: x[:, None], {}),
        (lambda x: np.repeat(x[:, None], 3, axis=1), {}),
        (lambda x: np.repeat(x[..., None], 4, axis=3), {}),
        (lambda x: x.reshape(len(x), -1), {"image_shape": (8, 8)}),
        (lambda x: x.reshape(len(x), -1), {"image_shape": (8, 8, 1)}),
        (lambda x: (x / 255.0).astype(np.float32), {}),
        (lambda x: x / 255.0, {}),
        (lambda x: x > 100, {}),
        (lambda x: x * (16 / 255), {"value_range": (0, 16)}),
        (lambda x: x.astype(np.int64), {"value_range": (0, 255)}),
    ],
)
def test_images_come_back_in_layout_dtype_and_range(digits, make, params):
    X = make(digits[:40])
    encoder = make_encoder(**TINY, **params).fit(X)
    assert encoder.transform(X).shape == (40, 16)
    for images in (
        encoder.reconstruct(X[:3], n_steps=2, random_state=0),
        encoder.sample(3, n_steps=2, random_state=0),
    ):
        assert images.shape == X[:3].shape
        assert images.dtype == X.dtype
        assert images.min() >= X.min()
        assert images.max() <= X.max()


def test_layouts_of_the_same_images_give_the_same_codes(digits):
    codes = [
        make_encoder(**TINY, **params).fit(X).transform(X)
        for X, params in [
            (digits[:64], {}),
            (digits[:64, :, :, None], {}),
            (digits[:64].reshape(64, -1), {"image_shape": (8, 8)}),
        ]
    ]
    assert np.array_equal(codes[0], codes[1])
    assert np.array_equal(codes[0], codes[2])


@pytest.mark.parametrize("shape", [(9, 13), (28, 28, 3), (33, 20), (3, 48, 48)])
def test_any_size_from_eight_pixels_works(shape):
    X = np.random.default_rng(0).integers(0, 256, (10, *shape), dtype=np.uint8)
    encoder = make_encoder(**TINY).fit(X)
    assert encoder.reconstruct(X[:2], n_steps=2, random_state=0).shape == (2, *shape)


def test_memmaps_and_datasets_give_the_codes_of_arrays(digits, tmp_path):
    X = digits[:96]
    path = tmp_path / "digits.npy"
    np.save(path, X)
    mapped = np.load(path, mmap_mode="r")
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(X.copy()), torch.zeros(len(X)))
    expected = make_encoder(**TINY).fit(X).transform(X)
    for rows in (mapped, dataset):
        assert np.array_equal(make_encoder(**TINY).fit(rows).transform(rows), expected)


def test_a_dataset_that_raises_names_the_item():
    class Broken(torch.utils.data.Dataset):
        def __len__(self):
            return 20

        def __getitem__(self, i):
            if i == 7:
                raise OSError("unreadable")
            return np.full((8, 8), i, dtype=np.uint8)

    with pytest.raises(OSError, match="unreadable") as caught:
        make_encoder(**TINY).fit(Broken())
    assert "item 7" in "".join(caught.value.__notes__)


# -- vectors --------------------------------------------------------------------------------------


def test_vectors_are_standardised_and_restored(vector_encoder, vectors):
    restored = vector_encoder.reconstruct(vectors, n_steps=50, random_state=0)
    assert restored.dtype == vectors.dtype
    assert np.abs(restored.mean(axis=0) - vectors.mean(axis=0)).max() < vectors.std()
    assert np.corrcoef(restored.ravel(), vectors.ravel())[0, 1] > 0.5


def test_tables_of_pandas_and_polars_give_the_codes_of_arrays(vectors):
    params = TINY | {"width": 16}
    expected = make_encoder(**params).fit(vectors).transform(vectors)
    names = [f"x{i}" for i in range(vectors.shape[1])]
    for table in (pd.DataFrame(vectors, columns=names), pl.DataFrame(vectors, schema=names)):
        encoder = make_encoder(**params).fit(table)
        assert list(encoder.feature_names_in_) == names
        assert np.array_equal(encoder.transform(table), expected)


def test_output_can_be_a_data_frame(vectors, digits):
    for X in (vectors, digits[:64]):
        encoder = make_encoder(**TINY).set_output(transform="pandas")
        table = encoder.fit_transform(X)
        assert list(table.columns[:2]) == ["dmzencoder0", "dmzencoder1"]
        assert table.shape == (len(X), 16)


def test_works_on_columns_and_in_unions(vectors):
    table = pd.DataFrame(vectors, columns=[f"x{i}" for i in range(10)])
    columns = ColumnTransformer(
        [("codes", make_encoder(**TINY), ["x0", "x1", "x2"])], remainder="passthrough"
    )
    assert columns.fit_transform(table).shape == (200, 16 + 7)
    union = FeatureUnion([("a", make_encoder(**TINY)), ("b", make_encoder(**TINY | {"latent_dim": 4}))])
    assert union.fit_transform(vectors).shape == (200, 20)


def test_vectors_keep_their_scale_with_every_objective(vectors):
    for objective in ("v", "epsilon", "sample"):
        encoder = make_encoder(**TINY | {"max_iter": 10}, objective=objective).fit(vectors)
        samples = encoder.sample(200, random_state=0)
        assert np.abs(samples - vectors.mean(axis=0)).max() < 2 * np.abs(vectors - vectors.mean(axis=0)).max()


def test_numbers_of_another_byte_order_are_read(vectors, digits):
    swapped = digits[:64].astype(">f8") / 255.0
    encoder = make_encoder(**TINY).fit(swapped)
    assert np.array_equal(encoder.transform(swapped), encoder.transform(swapped.astype(float)))


# -- pipelines and searches -----------------------------------------------------------------------


def test_grid_search_over_latent_dims_in_a_pipeline(digits, digit_labels, capsys):
    pipeline = make_pipeline(make_encoder(**TINY), LogisticRegression(max_iter=200))
    search = GridSearchCV(pipeline, {"dmzencoder__latent_dim": [8, 24]}, cv=2, n_jobs=2)
    search.fit(digits[:200], digit_labels[:200])
    assert (
        search.best_estimator_[0].transform(digits[:2]).shape[1]
        == search.best_params_["dmzencoder__latent_dim"]
    )
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_grid_search_without_labels_ranks_by_bits_per_dimension(digits):
    search = GridSearchCV(make_encoder(**TINY), {"latent_dim": [8, 16]}, cv=2).fit(digits[:60])
    assert (search.cv_results_["mean_test_score"] < 0).all()


def test_cross_val_score_in_a_pipeline(digits, digit_labels):
    pipeline = make_pipeline(make_encoder(**TINY), LogisticRegression(max_iter=200))
    assert cross_val_score(pipeline, digits[:150], digit_labels[:150], cv=2).shape == (2,)


class RecordingCallback:
    """Records the tasks that it is told of; asks to stop after `stop_after` epochs."""

    max_propagation_depth = None

    def __init__(self, stop_after=None):
        self.tasks, self.stop_after, self.epochs = [], stop_after, 0

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.tasks.append((context.estimator_name, context.task_name))
        self.epochs += context.task_name == "epoch"
        return self.stop_after is not None and self.epochs >= self.stop_after

    def teardown(self, estimator, context):
        pass


def test_callbacks_hear_of_every_epoch_also_inside_a_grid_search(digits):
    callback = RecordingCallback()
    search = GridSearchCV(make_encoder(**TINY | {"max_iter": 2}), {"latent_dim": [4, 8]}, cv=2, refit=False)
    search.set_callbacks(callback).fit(digits[:60])
    assert callback.tasks.count(("DMZEncoder", "epoch")) == 2 * 2 * 2


def test_a_callback_can_stop_training(digits):
    encoder = make_encoder(**TINY | {"max_iter": 50}).set_callbacks(RecordingCallback(stop_after=2))
    encoder.fit(digits[:64])
    assert encoder.n_iter_ == 2
    assert encoder.stopped_ == "callback"


class UsesTheModel(RecordingCallback):
    """Uses every method of the estimator as fitted so far, at each epoch."""

    def __init__(self, X, folder):
        super().__init__()
        self.X, self.folder, self.used = X, folder, []

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if context.task_name != "epoch":
            return False
        path = self.folder / f"{len(self.used)}.safetensors"
        fitted_estimator.save(path)
        options = {"n_steps": 2, "random_state": 0}
        bits = fitted_estimator.transform(self.X) > 0.5
        self.used.append(
            {
                "inverse_transform": fitted_estimator.inverse_transform(bits[:, :8], guidance=2.0, **options),
                "sample": fitted_estimator.sample(2, **options),
                "score": fitted_estimator.score(self.X),
                "history": len(fitted_estimator.history_),
                "ordered": fitted_estimator.ordered_,
                "loaded": DMZEncoder.load(path).transform(self.X),
            }
        )
        return False


def test_callbacks_get_a_whole_estimator_as_fitted_so_far(digits, tmp_path):
    callback = UsesTheModel(digits[:4], tmp_path)
    params = TINY | {"max_iter": 2, "ordered": True, "code_dropout": 0.2}
    # An earlier fit with other parameters must not be visible.
    encoder = make_encoder(**params).set_callbacks(callback)
    encoder.set_params(ordered=False, code_dropout=0.0).partial_fit(digits[:64])
    encoder.set_params(ordered=True, code_dropout=0.2).fit(digits[:64])
    assert [used["history"] for used in callback.used] == [1, 2]
    assert all(used["ordered"] and np.isfinite(used["score"]) for used in callback.used)


def test_the_progress_bar_of_scikit_learn_runs(digits, capsys):
    pytest.importorskip("rich")
    make_encoder(**TINY).set_callbacks(ProgressBar()).fit(digits[:64])
    assert "DMZEncoder" in capsys.readouterr().out


def test_the_scoring_monitor_of_scikit_learn_logs_every_epoch(digits):
    monitor = ScoringMonitor(scoring=None)
    make_encoder(**TINY | {"max_iter": 2}).set_callbacks(monitor).fit(digits[:64])
    scores = monitor.get_logs().data_as_pandas
    assert len(scores) >= 2
    assert np.isfinite(scores.select_dtypes("number").to_numpy()).all()


# -- decoding, sampling, likelihood ---------------------------------------------------------------


def test_reconstructions_from_bits_are_closer_than_those_from_other_bits(encoder, digits):
    X = digits[:64].astype(float)
    error = np.square(encoder.reconstruct(digits[:64], random_state=0) - X).mean()
    assert error < 0.6 * np.square(encoder.reconstruct(digits[64:128], random_state=0) - X).mean()


def test_inverted_noise_reconstructs_better_than_random_noise(encoder, digits):
    X = digits[:32].astype(float)
    inverted = np.square(encoder.reconstruct(digits[:32], noise="inverted", random_state=0) - X).mean()
    assert inverted < 0.2 * np.square(encoder.reconstruct(digits[:32], random_state=0) - X).mean()


def test_samples_depend_on_their_seed_and_place_only(encoder):
    many = encoder.sample(70, n_steps=3, random_state=7)
    assert np.array_equal(encoder.sample(5, n_steps=3, random_state=7), many[:5])
    assert not np.array_equal(encoder.sample(5, n_steps=3, random_state=8), many[:5])
    assert not np.array_equal(encoder.sample(2, n_steps=3), encoder.sample(2, n_steps=3))


@pytest.mark.parametrize(("sampler", "eta"), [("ddpm", 0.0), ("ddim", 0.0), ("ddim", 0.7)])
def test_every_sampler_draws_finite_images_at_any_number_of_steps(encoder, sampler, eta):
    for n_steps in (1, 2, 30):
        images = encoder.sample(2, n_steps=n_steps, sampler=sampler, eta=eta, random_state=0)
        assert images.shape == (2, 8, 8)
        assert images.std() > 0


def test_sample_takes_a_prior(encoder, digits):
    prior = ChowLiuPrior().fit(encoder.transform(digits) > 0.5)
    fitted = encoder.sample(4, prior=prior, n_steps=3, random_state=0)
    uniform = encoder.sample(4, prior="uniform", n_steps=3, random_state=0)
    assert not np.array_equal(fitted, uniform)


def test_sample_knows_its_own_prior_and_the_shares_of_ones_by_name(encoder, digits):
    seed = {"n_steps": 2, "random_state": 0}
    own = encoder.sample(2, **seed)
    assert np.array_equal(encoder.sample(2, prior=encoder.prior_.name, **seed), own)
    fitted = IndependentPrior().fit(encoder.transform(digits) > 0.5)
    expected = encoder.sample(2, prior=fitted, **seed)
    assert np.array_equal(encoder.sample(2, prior="independent", **seed), expected)


@pytest.mark.parametrize(
    ("output", "codes"),
    [("logits", r"\(X\) > 0\)"), ("bits", r"\(X\)\)"), ("probabilities", r"\(X\) > 0.5\)")],
)
def test_the_remedy_for_a_prior_without_codes_suits_the_output(encoder, output, codes):
    copied = pickle.loads(pickle.dumps(encoder)).set_params(output=output)
    other = "chow_liu" if encoder.prior_.name == "mixture" else "mixture"
    with pytest.raises(ValueError, match=rf"fit_prior\('{other}', encoder.transform{codes}"):
        copied.sample(prior=other)


@pytest.mark.parametrize("prior", [*PRIORS, IndependentPrior()])
def test_the_prior_is_a_parameter(digits, prior):
    encoder = make_encoder(**TINY, prior=prior).fit(digits[:64])
    assert encoder.prior_.name == (prior if isinstance(prior, str) else "independent")
    assert encoder.sample(2, n_steps=1).shape == (2, 8, 8)


def test_scores_are_deterministic_and_do_not_depend_on_company(encoder, digits):
    scores = encoder.score_samples(digits[:70], n_terms=6)
    assert np.array_equal(encoder.score_samples(digits[10:13], n_terms=6), scores[10:13])
    assert encoder.score(digits[:20]) == pytest.approx(encoder.score_samples(digits[:20]).mean())


def test_scores_prefer_digits_to_noise(encoder, digits):
    noise = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    assert encoder.score_samples(digits[:20]).mean() > encoder.score_samples(noise).mean() + 1.0


def test_the_estimate_of_the_bound_agrees_with_the_whole_sum(digits):
    encoder = make_encoder(**TINY, n_timesteps=60).fit(digits[:200])
    whole = encoder.score(digits[:100])
    scores = np.array([encoder.score_samples(digits[:100], n_terms=n).mean() for n in (8, 16)])
    np.testing.assert_allclose(scores, whole, rtol=0.1)


def test_an_unconditional_model_samples_and_scores_but_has_no_codes(digits):
    encoder = make_encoder(**TINY, conditioning="none").fit(digits[:64])
    assert encoder.prior_ is None
    assert encoder.sample(2, n_steps=2).shape == (2, 8, 8)
    assert np.isfinite(encoder.score(digits[:8]))
    for call in (
        lambda: encoder.transform(digits[:2]),
        lambda: encoder.inverse_transform(np.zeros((1, 16)), random_state=0),
        lambda: encoder.reconstruct(digits[:2], random_state=0),
    ):
        with pytest.raises(ValueError, match="has no code"):
            call()
    assert encoder.reconstruct(digits[:2], noise="inverted", random_state=0).shape == (2, 8, 8)


# -- every choice trains --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"conditioning": "cross_attention", "attention": (8,)},
        {"conditioning": "adagn"},
        {"objective": "epsilon"},
        {"objective": "sample"},
        {"learn_variance": True},
        {"learn_variance": True, "objective": "epsilon", "input_perturbation": 0.1},
        {"timestep_sampling": "loss_second_moment", "n_timesteps": 20},
        {"timestep_sampling": "uniform"},
        {"noise_schedule": "linear"},
        {"straight_through": True, "temperature": 0.5},
        {"marginal_entropy": 0.01, "decorrelation": 0.1, "kl_weight": 0.01, "mmd_weight": 1.0},
        {"ordered": True, "code_dropout": 0.1, "code_input": "one_hot"},
        {"init": "random"},
        {"init": "pca"},
        {"init": "contrast_pca"},
        {"encoder_augment": None},
        {"code_input": "one_hot"},
        {"augment": "flip", "dropout": 0.1},
        {"encoder": "paper"},
        {"encoder_depth": 1},
        {"encoder_augment": "affine_flip"},
        {"patch_size": 2, "width": (8, 16)},
        {"gradient_clip": None, "ema_half_life": 0, "validation_fraction": 0.0},
        {"precision": "bf16"},
    ],
    ids=str,
)
def test_every_choice_trains_encodes_and_draws(digits, params):
    encoder = make_encoder(**TINY | params).fit(digits[:96])
    assert np.isfinite(encoder.history_["loss"]).all()
    assert encoder.transform(digits[:3]).shape == (3, 16)
    assert encoder.sample(2, n_steps=3, random_state=0).shape == (2, 8, 8)
    assert np.isfinite(encoder.score(digits[:4]))


@pytest.mark.parametrize("conditioning", ["bias", "cross_attention", "adagn", "timestep", "none"])
def test_vectors_train_with_every_conditioning(vectors, conditioning):
    encoder = make_encoder(**TINY, conditioning=conditioning, learn_variance=True).fit(vectors)
    assert encoder.sample(3, n_steps=4, random_state=0).shape == (3, 10)


# -- going on -------------------------------------------------------------------------------------


def test_partial_fit_goes_on_and_learns(digits):
    encoder = make_encoder(**TINY, batch_size=32)
    for _ in range(4):
        for start in range(0, 400, 100):
            encoder.partial_fit(digits[start : start + 100])
    assert encoder.n_iter_ == 16
    assert encoder.history_["loss"].iloc[-4:].mean() < 0.9 * encoder.history_["loss"].iloc[:4].mean()


def test_warm_start_goes_on_and_a_plain_fit_starts_anew(digits):
    warm = make_encoder(**TINY, warm_start=True).fit(digits[:96]).fit(digits[:96])
    cold = make_encoder(**TINY).fit(digits[:96])
    assert (warm.n_iter_, cold.fit(digits[:96]).n_iter_) == (2, 1)
    with pytest.raises(ValueError, match="warm_start=False"):
        warm.set_params(latent_dim=4).fit(digits[:96])


def test_a_run_taken_up_from_its_checkpoint_is_the_run_that_never_stopped(digits, tmp_path):
    params = TINY | {"final_learning_rate": 1.0}
    whole = make_encoder(**params | {"max_iter": 3}).fit(digits[:128])
    make_encoder(**params | {"max_iter": 1}, checkpoint_dir=tmp_path).fit(digits[:128])
    resumed = make_encoder(**params | {"max_iter": 3}, checkpoint_dir=tmp_path).fit(digits[:128])
    assert resumed.n_iter_ == 3
    assert np.array_equal(resumed.transform(digits), whole.transform(digits))


def test_dropout_and_patience_go_on_from_a_checkpoint_too(digits, tmp_path):
    params = TINY | {"final_learning_rate": 1.0, "dropout": 0.3}
    whole = make_encoder(**params | {"max_iter": 3}).fit(digits[:128])
    make_encoder(**params | {"max_iter": 1}, checkpoint_dir=tmp_path / "a").fit(digits[:128])
    resumed = make_encoder(**params | {"max_iter": 3}, checkpoint_dir=tmp_path / "a").fit(digits[:128])
    assert np.array_equal(resumed.transform(digits), whole.transform(digits))
    stale = TINY | {"max_iter": 50, "learning_rate": 1e-15, "early_stopping": True, "n_iter_no_change": 2}
    ends = [make_encoder(**stale, checkpoint_dir=tmp_path / "b").fit(digits[:64]).n_iter_ for _ in range(2)]
    assert ends[0] == ends[1] < 50


def test_training_does_not_go_on_with_another_meaning_of_the_networks_output(digits):
    encoder = make_encoder(**TINY, warm_start=True).fit(digits[:64])
    for name, value in (("objective", "epsilon"), ("n_timesteps", 50), ("input_perturbation", 0.1)):
        change = {f"training__{name}": value}
        with pytest.raises(ValueError, match="Training cannot go on"):
            clone_of_state(encoder).set_params(**change).fit(digits[:64])


def clone_of_state(encoder):
    return pickle.loads(pickle.dumps(encoder))


def test_a_small_later_chunk_leaves_prior_and_report_alone(digits):
    encoder = make_encoder(**TINY).partial_fit(digits)
    prior, report = encoder.prior_, encoder.code_report_
    encoder.partial_fit(digits[:40])
    assert encoder.prior_ is prior
    assert encoder.code_report_ is report


def test_a_fit_that_fails_leaves_the_fitted_encoder_as_it_was(vector_encoder, vectors):
    encoder = clone_of_state(vector_encoder)
    with pytest.raises(ValueError, match="needs images"):
        encoder.set_params(backbone="unet").fit(vectors[:, :4])
    assert np.array_equal(encoder.transform(vectors), vector_encoder.transform(vectors))


def test_runs_of_other_parameters_or_data_share_a_checkpoint_folder(digits, tmp_path):
    alone = make_encoder(**TINY).fit(digits[:64])
    params = TINY | {"checkpoint_dir": tmp_path}
    others = {"learning_rate": 0.01}, {"random_state": 1}, {"width": (16,)}
    for other in others:
        make_encoder(**params | other).fit(digits[:64])
    for data in (
        digits[64:128],
        digits[:64] / 255.0,
        digits[:64] * (np.arange(64) < 63)[:, None, None],
    ):
        make_encoder(**params).fit(data)
    shared = make_encoder(**params).fit(digits[:64])
    assert np.array_equal(shared.transform(digits[:9]), alone.transform(digits[:9]))
    assert len(list(tmp_path.glob("run-*"))) == 7


def test_a_grid_search_shares_a_checkpoint_folder_and_resumes(digits, tmp_path):
    grid = {"learning_rate": [1e-3, 2e-3]}
    search = GridSearchCV(make_encoder(**TINY, checkpoint_dir=tmp_path), grid, cv=2, error_score="raise")
    scores = [search.fit(digits[:64]).cv_results_["mean_test_score"] for _ in range(2)]
    assert np.array_equal(*scores)
    # Two folds of two grid points, and the best on all data.
    assert len(list(tmp_path.glob("run-*"))) == 5


def test_ctrl_c_keeps_the_model_so_far_and_warns(digits, monkeypatch):
    step, calls = Trainer.train_step, []

    def interrupted(self, x0, n_rows):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return step(self, x0, n_rows)

    monkeypatch.setattr(Trainer, "train_step", interrupted)
    with pytest.warns(TrainingInterruptedWarning, match="after 4 steps"):
        encoder = make_encoder(**TINY | {"max_iter": 100}).fit(digits[:64])
    assert encoder.stopped_ == "interrupted"
    assert encoder.transform(digits[:3]).shape == (3, 16)


@pytest.fixture(scope="module")
def framed():
    """Images with nine squares at fixed places, each with its own grey."""
    shades = np.random.default_rng(0).integers(0, 256, (300, 3, 3), dtype=np.uint8)
    X = np.zeros((300, 24, 24), np.uint8)
    for row, column in np.ndindex(3, 3):
        X[:, 3 + 7 * row :, 3 + 7 * column :][:, :4, :4] = shades[:, row, column, None, None]
    return X


def test_images_that_share_a_frame_keep_their_place_and_others_are_moved(framed, digits):
    own = make_encoder(**TINY | {"max_iter": 1}).fit(framed)
    assert (own.init_, own.encoder_augment_) == ("contrast_pca", None)
    moved = make_encoder(**TINY | {"max_iter": 1}).fit(digits[:96])
    assert (moved.init_, moved.encoder_augment_) == ("cca", "affine")
    chosen = make_encoder(**TINY | {"max_iter": 1, "encoder_augment": "affine"}).fit(framed)
    assert (chosen.init_, chosen.encoder_augment_) == ("cca", "affine")


def test_going_on_keeps_the_start_whatever_the_new_rows_look_like(framed):
    encoder = make_encoder(**TINY | {"max_iter": 1}, warm_start=True).fit(framed)
    noise = np.random.default_rng(0).integers(0, 256, framed.shape, dtype=np.uint8)
    encoder.fit(noise)
    assert (encoder.init_, encoder.encoder_augment_) == ("contrast_pca", None)


def test_max_time_ends_training(digits):
    begun = time.perf_counter()
    encoder = make_encoder(**TINY | {"max_iter": 10_000, "max_time": 1.0}).fit(digits)
    # The last row is of the last epoch's end; time may run out in the validation after it.
    assert time.perf_counter() - begun >= 1.0
    assert encoder.stopped_ == "max_time"
    assert 0.5 < encoder.history_["seconds"].iloc[-1] < 3.0


def test_early_stopping_ends_training(digits):
    params = TINY | {"max_iter": 500, "learning_rate": 1e-15, "early_stopping": True, "n_iter_no_change": 2}
    encoder = make_encoder(**params).fit(digits[:64])
    assert encoder.stopped_ == "early_stopping"
    assert encoder.n_iter_ < 500


def test_an_ignored_code_is_warned_of(digits):
    with pytest.warns(CodeWarning, match="hardly heeds the code"):
        make_encoder(**TINY | {"learning_rate": 1e-6}).fit(digits[:64])


# -- copies and files -----------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["pickle", "joblib", "save"])
def test_copies_and_files_give_the_same_codes_images_and_scores(encoder, digits, tmp_path, way):
    if way == "pickle":
        copied = pickle.loads(pickle.dumps(encoder))
    elif way == "joblib":
        joblib.dump(encoder, tmp_path / "encoder.joblib")
        copied = joblib.load(tmp_path / "encoder.joblib")
    else:
        encoder.save(tmp_path / "encoder.safetensors")
        copied = DMZEncoder.load(tmp_path / "encoder.safetensors")
    assert np.array_equal(copied.transform(digits[:20]), encoder.transform(digits[:20]))
    assert np.array_equal(copied.sample(3, random_state=1), encoder.sample(3, random_state=1))
    assert copied.score(digits[:5]) == encoder.score(digits[:5])
    pd.testing.assert_frame_equal(copied.history_, encoder.history_, check_dtype=False)
    pd.testing.assert_frame_equal(copied.code_report_, encoder.code_report_)
    assert copied.n_iter_ == encoder.n_iter_


def test_a_file_of_a_vector_encoder_restores_its_scale(vector_encoder, vectors, tmp_path):
    vector_encoder.save(tmp_path / "v")
    copied = DMZEncoder.load(tmp_path / "v")
    assert np.array_equal(
        copied.reconstruct(vectors[:5], random_state=0),
        vector_encoder.reconstruct(vectors[:5], random_state=0),
    )


def test_every_parameter_survives_a_file(digits, tmp_path):
    prior = MixturePrior(n_components=3, random_state=np.random.RandomState(1))
    params = {"prior": prior, "checkpoint_dir": tmp_path, "width": (8,), "image_shape": None}
    encoder = make_encoder(**TINY | params | {"random_state": np.random.RandomState(5)})
    encoder.set_output(transform="pandas").fit(digits[:64]).save(tmp_path / "e")
    copied = DMZEncoder.load(tmp_path / "e")
    assert isinstance(copied.transform(digits[:2]), pd.DataFrame)
    expected, found = encoder.get_params(deep=False), copied.get_params(deep=False)
    assert found.pop("random_state").randint(10**6) == expected.pop("random_state").randint(10**6)
    assert found.pop("prior").n_components == expected.pop("prior").n_components == 3
    assert found == expected


def test_a_prior_of_the_users_own_is_refused_at_save_not_at_load(digits, tmp_path):
    class OwnPrior(IndependentPrior):
        name = "own"

    encoder = make_encoder(**TINY, prior=OwnPrior()).fit(digits[:64])
    with pytest.raises(
        TypeError, match=r"params\.prior is a OwnPrior, which a file cannot hold: .*MixturePrior"
    ):
        encoder.save(tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_a_file_loads_on_the_device_that_is_there(encoder, tmp_path, monkeypatch):
    encoder.save(tmp_path / "e")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.warns(DeviceWarning, match="torch sees no CUDA device here"):
        assert DMZEncoder.load(tmp_path / "e", device="cuda").device_.type == "cpu"
    with pytest.raises(ValueError, match="'device' parameter must be"):
        DMZEncoder.load(tmp_path / "e", device="gpuu")


def test_saving_does_not_need_or_move_anything(encoder, tmp_path):
    before = {name: tensor.data_ptr() for name, tensor in encoder.model_.state_dict().items()}
    encoder.save(tmp_path / "a")
    pickle.dumps(encoder)
    assert {name: tensor.data_ptr() for name, tensor in encoder.model_.state_dict().items()} == before


def test_a_foreign_file_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"not a model")
    with pytest.raises(PersistenceError, match="not a complete dmzrep file"):
        DMZEncoder.load(tmp_path / "x")


def test_clone_is_unfitted_with_equal_parameters(encoder, digits):
    copied = clone(encoder)
    assert copied.get_params() == encoder.get_params()
    with pytest.raises(NotFittedError):
        copied.transform(digits[:2])


# -- the paper's recipe ---------------------------------------------------------------------------


def test_the_papers_recipe_has_the_authors_encoder():
    from dmzrep.data import ImageFormat
    from dmzrep.estimator._parameters import all_parameters
    from dmzrep.estimator._resolve import resolve_network
    from dmzrep.networks._model import DiffusionAutoencoder

    for name, side, encoder_parameters in (("cifar10", 32, 422_176), ("celeba64", 64, 1_832_832)):
        recipe = DMZEncoder.paper(name)
        images = ImageFormat("HWC", (3, side, side), False, "uint8", 0.0, 255.0)
        with torch.device("meta"):
            model = DiffusionAutoencoder(resolve_network(all_parameters(recipe), images))
        assert model.parameter_counts()["encoder"] == encoder_parameters


def test_the_papers_recipe_trains_when_made_small():
    X = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    encoder = DMZEncoder.paper(
        "cifar10",
        network__width=(8, 8, 8, 8),
        network__depth=1,
        max_iter=1,
        batch_size=4,
        random_state=0,
    )
    assert encoder.fit(X).sample(1, n_steps=2).shape == (1, 32, 32, 3)
