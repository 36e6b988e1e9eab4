"""DMZEncoder on images and vectors: codes, decoding, likelihood, scikit-learn's tools, copies and files."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score

from dmzrep import DMZEncoder
from dmzrep.errors import CodeWarning
from dmzrep.priors import PRIORS, ChowLiuPrior, IndependentPrior, MixturePrior
from tests.encoders import make_encoder

TINY = {"latent_dim": 16, "width": (8,), "encoder_width": 8, "max_iter": 1, "random_state": 0}


def copied(encoder, **params):
    return pickle.loads(pickle.dumps(encoder)).set_params(**params)


# -- codes ---------------------------------------------------------------------------------------


def test_outputs_of_transform_agree(encoder, digits):
    logits, probabilities, bits = (
        copied(encoder, output=output).transform(digits[:50])
        for output in ("logits", "probabilities", "bits")
    )
    assert (logits.dtype, probabilities.dtype, bits.dtype) == (np.float32, np.float32, np.uint8)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-logits.astype(float))), atol=1e-6)
    assert np.array_equal(bits, probabilities > 0.5)


@pytest.mark.parametrize("size", [1, 2, 17, 300])
def test_transform_is_batch_invariant(encoder, digits, size):
    order = np.random.default_rng(size).permutation(len(digits))[:size]
    some = encoder.transform(digits[order])
    np.testing.assert_allclose(some, encoder.transform(digits)[order], atol=1e-5)
    assert np.array_equal(encoder.transform(digits[order]), some)


def test_codes_depend_on_random_state(digits):
    codes = [
        make_encoder(**TINY | {"random_state": seed}).fit(digits[:128]).transform(digits)
        for seed in (3, 3, 4)
    ]
    assert np.array_equal(codes[0], codes[1])
    assert not np.array_equal(codes[0], codes[2])


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_fitting_and_sampling_leave_global_generators_alone(digits, dropout, tmp_path):
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    encoder = make_encoder(**TINY, dropout=dropout, checkpoint_dir=tmp_path).fit(digits[:64])
    encoder.sample(2, n_steps=2)
    encoder.set_params(max_iter=2).fit(digits[:64])
    encoder.partial_fit(digits[:64])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_a_short_fit_learns(digits, digit_labels):
    # The Gaussian denoiser would leave little to learn.
    encoder = make_encoder(**TINY | {"max_iter": 10, "gaussian_denoiser": False}).fit(digits)
    history = encoder.history_
    assert history["loss"].iloc[-1] < 0.8 * history["loss"].iloc[0]
    assert history["validation_loss_hard"].iloc[-1] < 0.9 * history["validation_loss_shuffled"].iloc[-1]
    classifier = LogisticRegression(max_iter=500)
    assert cross_val_score(classifier, encoder.transform(digits), digit_labels, cv=3).mean() > 0.7


def test_an_unused_code_is_warned_of(digits):
    with pytest.warns(CodeWarning, match="hardly uses the code"):
        make_encoder(**TINY | {"learning_rate": 1e-6, "gaussian_denoiser": False}).fit(digits[:64])


@pytest.mark.parametrize("output", ["probabilities", "logits", "bits"])
def test_codes_are_written_into_a_memmap(output, encoder, digits, tmp_path):
    encoder = copied(encoder, output=output)
    expected = encoder.transform(digits)
    path = tmp_path / "codes.npy"
    out = np.lib.format.open_memmap(path, mode="w+", dtype=expected.dtype, shape=expected.shape)
    assert encoder.transform(digits, out=out) is out
    out.flush()
    np.testing.assert_array_equal(np.load(path), expected)


def test_codes_are_written_into_a_slice_and_returned_as_a_table(encoder, digits):
    codes = np.full((30, 16), -1.0, dtype=np.float32)
    table = copied(encoder).set_output(transform="pandas").transform(digits[:10], out=codes[10:20])
    np.testing.assert_array_equal(codes[10:20], encoder.transform(digits[:10]))
    np.testing.assert_array_equal(table.to_numpy(), codes[10:20])
    assert (codes[:10] == -1.0).all() and (codes[20:] == -1.0).all()


# -- images and vectors ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("convert", "params"),
    [
        (lambda x: x[..., None], {}),
        (lambda x: np.repeat(x[:, None], 3, axis=1), {}),
        (lambda x: np.repeat(x[..., None], 4, axis=3), {}),
        (lambda x: x.reshape(len(x), -1), {"image_shape": (8, 8, 1)}),
        (lambda x: (x / 255.0).astype(np.float32), {}),
        (lambda x: x > 100, {}),
        (lambda x: x * (16 / 255), {"value_range": (0, 16)}),
        (lambda x: x.astype(np.int64), {"value_range": (0, 255)}),
    ],
)
def test_decoded_images_have_the_layout_dtype_and_range_of_the_data(digits, convert, params):
    X = convert(digits[:40])
    encoder = make_encoder(**TINY, **params).fit(X)
    assert encoder.transform(X).shape == (40, 16)
    options = {"n_steps": 2, "random_state": 0}
    for images in (encoder.reconstruct(X[:3], **options), encoder.sample(3, **options)):
        assert (images.shape, images.dtype) == (X[:3].shape, X.dtype)
        assert X.min() <= images.min() and images.max() <= X.max()


def test_vectors_are_scaled_and_restored(vector_encoder, vectors):
    restored = vector_encoder.reconstruct(vectors, n_steps=50, random_state=0)
    assert restored.dtype == vectors.dtype
    assert np.abs(restored.mean(axis=0) - vectors.mean(axis=0)).max() < vectors.std()
    assert np.corrcoef(restored.ravel(), vectors.ravel())[0, 1] > 0.5


@pytest.fixture(scope="module")
def aligned_images():
    """Return images of nine squares at fixed positions, each with a random grey value."""
    shades = np.random.default_rng(0).integers(0, 256, (300, 3, 3), dtype=np.uint8)
    X = np.zeros((300, 24, 24), np.uint8)
    for row, column in np.ndindex(3, 3):
        X[:, 3 + 7 * row :, 3 + 7 * column :][:, :4, :4] = shades[:, row, column, None, None]
    return X


def test_spatially_aligned_images_are_not_augmented(aligned_images, digits):
    aligned = make_encoder(**TINY, warm_start=True).fit(aligned_images)
    assert (aligned.init_, aligned.encoder_augment_) == ("contrast_pca", None)
    other = make_encoder(**TINY).fit(digits[:96])
    assert (other.init_, other.encoder_augment_) == ("cca", "affine")
    explicit = make_encoder(**TINY, encoder_augment="affine").fit(aligned_images)
    assert (explicit.init_, explicit.encoder_augment_) == ("cca", "affine")
    # Continued training keeps the resolved values regardless of the new samples.
    aligned.fit(np.random.default_rng(0).integers(0, 256, aligned_images.shape, dtype=np.uint8))
    assert (aligned.init_, aligned.encoder_augment_) == ("contrast_pca", None)


# -- tools of scikit-learn ------------------------------------------------------------------------


class RecordingCallback:
    """Callback that records the tasks that end and stops training after `stop_after` epochs."""

    max_propagation_depth = None

    def __init__(self, stop_after=None):
        self.tasks, self.stop_after = [], stop_after

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.tasks.append((context.estimator_name, context.task_name))
        return self.tasks.count(("DMZEncoder", "epoch")) == self.stop_after

    def teardown(self, estimator, context):
        pass


def test_callbacks_are_called_at_every_epoch_also_inside_a_grid_search(digits):
    callback = RecordingCallback()
    search = GridSearchCV(make_encoder(**TINY | {"max_iter": 2}), {"latent_dim": [4, 8]}, cv=2, refit=False)
    search.set_callbacks(callback).fit(digits[:40])
    assert callback.tasks.count(("DMZEncoder", "epoch")) == 2 * 2 * 2


def test_a_callback_can_stop_training(digits):
    encoder = make_encoder(**TINY | {"max_iter": 50}).set_callbacks(RecordingCallback(stop_after=2))
    encoder.fit(digits[:64])
    assert (encoder.n_iter_, encoder.stopped_) == (2, "callback")


class UsingCallback(RecordingCallback):
    """Callback that calls methods of the partially fitted estimator after each epoch."""

    def __init__(self, X, folder):
        super().__init__()
        self.X, self.folder, self.results = X, folder, []

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if context.task_name != "epoch":
            return False
        path = self.folder / f"{len(self.results)}.safetensors"
        fitted_estimator.save(path, model_card=True)
        loaded = DMZEncoder.load(path)
        options = {"n_steps": 2, "random_state": 0}
        result = {"history": len(loaded.history_), "score": fitted_estimator.score(self.X)}
        result["sample"] = loaded.sample(2, **options)
        if fitted_estimator.decoder_.has_code:
            codes = fitted_estimator.transform(self.X)
            np.testing.assert_array_equal(loaded.transform(self.X), codes)
            prefixes = codes[:, :8] > 0.5
            result["decoded"] = fitted_estimator.inverse_transform(prefixes, guidance=2.0, **options)
        self.results.append(result)
        return False


@pytest.mark.parametrize("conditioning", ["auto", "none"])
def test_callbacks_get_a_complete_estimator(digits, tmp_path, conditioning):
    callback = UsingCallback(digits[:4], tmp_path)
    params = {"ordered": conditioning == "auto", "code_dropout": 0.2 * (conditioning == "auto")}
    encoder = make_encoder(**TINY | {"max_iter": 2}, conditioning=conditioning).set_callbacks(callback)
    # An earlier fit with other parameters must not be visible.
    encoder.partial_fit(digits[:64]).set_params(**params).fit(digits[:64])
    assert [result["history"] for result in callback.results] == [1, 2]
    assert all(np.isfinite(result["score"]) for result in callback.results)


def test_scikit_learns_callbacks_run(digits, capsys):
    monitor = ScoringMonitor(scoring=None)
    make_encoder(**TINY | {"max_iter": 2}).set_callbacks(monitor).fit(digits[:64])
    scores = monitor.get_logs().data_as_pandas
    assert len(scores) >= 2
    assert np.isfinite(scores.select_dtypes("number").to_numpy()).all()
    pytest.importorskip("rich")
    make_encoder(**TINY).set_callbacks(ProgressBar()).fit(digits[:64])
    assert "DMZEncoder" in capsys.readouterr().out


# -- decoding, sampling, likelihood ---------------------------------------------------------------


def test_reconstructions_are_close_to_the_samples(encoder, digits):
    def error(samples, **options):
        rebuilt = encoder.reconstruct(samples, n_steps=50, random_state=0, **options)
        return np.square(rebuilt - digits[:32].astype(float)).mean()

    without_noise = error(digits[:32])
    assert without_noise < 0.6 * error(digits[32:64])
    assert error(digits[:32], noise="inverted") < 0.2 * without_noise


def test_sample_takes_priors_and_names_of_priors(encoder, digits):
    def draw(prior):
        return encoder.sample(4, prior=prior, n_steps=2, random_state=0)

    bits = encoder.transform(digits) > 0.5
    assert np.array_equal(draw(encoder.prior_.name), draw(None))
    assert np.array_equal(draw("independent"), draw(IndependentPrior().fit(bits)))
    assert not np.array_equal(draw("uniform"), draw(ChowLiuPrior().fit(bits)))


@pytest.mark.parametrize("prior", [*PRIORS, IndependentPrior()])
def test_prior_is_a_parameter(digits, prior):
    encoder = make_encoder(**TINY, prior=prior).fit(digits[:64])
    assert encoder.prior_.name == (prior if isinstance(prior, str) else "independent")
    assert encoder.sample(2, n_steps=1).shape == (2, 8, 8)


def test_scores_are_batch_invariant_and_prefer_digits_to_noise(encoder, digits):
    scores = encoder.score_samples(digits[:70], n_terms=6)
    np.testing.assert_allclose(encoder.score_samples(digits[10:13], n_terms=6), scores[10:13], atol=1e-5)
    assert encoder.score(digits[:20]) == pytest.approx(encoder.score_samples(digits[:20]).mean())
    noise = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    assert encoder.score(digits[:20]) > encoder.score(noise) + 1.0


def test_an_unconditional_model_samples_and_scores_but_has_no_codes(digits):
    encoder = make_encoder(**TINY, conditioning="none").fit(digits[:64])
    assert encoder.prior_ is None and encoder.code_summary_ is None
    assert encoder.sample(2, n_steps=2).shape == (2, 8, 8)
    assert np.isfinite(encoder.score(digits[:8]))
    assert encoder.reconstruct(digits[:2], noise="inverted", random_state=0).shape == (2, 8, 8)
    for call in (
        lambda: encoder.transform(digits[:2]),
        lambda: encoder.inverse_transform(np.zeros((1, 16)), random_state=0),
        lambda: encoder.reconstruct(digits[:2], random_state=0),
        lambda: encoder.reconstruct(digits[:2], noise="inverted", n_bits=8, random_state=0),
    ):
        with pytest.raises(ValueError, match="has no code"):
            call()
    with pytest.raises(ValueError, match="guidance=2 needs a model with codes"):
        encoder.sample(1, guidance=2)


@pytest.mark.parametrize(
    "params",
    [
        {"conditioning": "cross_attention", "attention": (8,)},
        {"conditioning": "adagn", "objective": "sample", "init": "random"},
        {"learn_variance": True, "objective": "epsilon", "input_perturbation": 0.1},
        {"timestep_sampling": "loss_second_moment", "n_timesteps": 20},
        {"timestep_sampling": "uniform", "noise_schedule": "linear"},
        {"straight_through": True, "temperature": 0.5, "init": "pca"},
        {"marginal_entropy": 0.01, "decorrelation": 0.1, "kl_weight": 0.01, "mmd_weight": 1.0},
        {"ordered": True, "code_dropout": 0.1, "code_input": "one_hot"},
        {"augment": "flip", "dropout": 0.1, "encoder_augment": "affine_flip"},
        {"encoder_depth": 1, "patch_size": 2, "width": (8, 16)},
        {"gradient_clip": None, "ema_half_life": 0, "validation_fraction": 0.0, "precision": "bf16"},
    ],
    ids=str,
)
def test_options_train_encode_and_sample(digits, params):
    encoder = make_encoder(**TINY | params).fit(digits[:96])
    assert np.isfinite(encoder.history_["loss"]).all()
    assert encoder.transform(digits[:3]).shape == (3, 16)
    assert encoder.sample(2, n_steps=3, random_state=0).shape == (2, 8, 8)
    assert np.isfinite(encoder.score(digits[:4]))


# -- copies and files -----------------------------------------------------------------------------


@pytest.mark.parametrize("by_pickle", [True, False])
def test_copies_have_the_same_codes_samples_and_scores(
    encoder, vector_encoder, digits, vectors, tmp_path, by_pickle
):
    for fitted, X in ((encoder, digits), (vector_encoder, vectors)):
        fitted.save(tmp_path / "encoder")
        other = copied(fitted) if by_pickle else DMZEncoder.load(tmp_path / "encoder")
        assert np.array_equal(other.transform(X[:20]), fitted.transform(X[:20]))
        assert np.array_equal(other.sample(3, random_state=1), fitted.sample(3, random_state=1))
        assert other.score(X[:5]) == fitted.score(X[:5])
        pd.testing.assert_frame_equal(other.history_, fitted.history_, check_dtype=False)
        pd.testing.assert_frame_equal(other.code_report_, fitted.code_report_)
        pd.testing.assert_series_equal(other.code_summary_, fitted.code_summary_)
        assert other.n_iter_ == fitted.n_iter_


def test_parameters_are_saved(digits, tmp_path):
    prior = MixturePrior(n_components=3, random_state=np.random.RandomState(1))
    params = {"prior": prior, "checkpoint_dir": tmp_path, "width": (8,), "image_shape": None}
    encoder = make_encoder(**TINY | params | {"random_state": np.random.RandomState(5)})
    encoder.set_output(transform="pandas").fit(digits[:64]).save(tmp_path / "encoder")
    loaded = DMZEncoder.load(tmp_path / "encoder")
    assert isinstance(loaded.transform(digits[:2]), pd.DataFrame)
    expected, found = encoder.get_params(deep=False), loaded.get_params(deep=False)
    assert found.pop("random_state").randint(10**6) == expected.pop("random_state").randint(10**6)
    assert found.pop("prior").n_components == expected.pop("prior").n_components == 3
    assert found == expected


def test_a_custom_prior_cannot_be_saved(digits, tmp_path):
    class CustomPrior(IndependentPrior):
        name = "custom"

    encoder = make_encoder(**TINY, prior=CustomPrior()).fit(digits[:64])
    with pytest.raises(TypeError, match=r"params\.prior is a CustomPrior, which a file cannot hold"):
        encoder.save(tmp_path / "encoder")
    assert not (tmp_path / "encoder").exists()
