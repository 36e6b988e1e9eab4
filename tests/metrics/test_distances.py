"""Frechet and kernel distances, precision and recall against closed forms and slow definitions."""

import json

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import polynomial_kernel

from dmzrep.metrics import (
    FeatureSet,
    FeatureSource,
    FeatureStatistics,
    extract_features,
    frechet_distance,
    kernel_distance,
    precision_recall,
)


def gaussian(mean, covariance):
    return FeatureStatistics(np.asarray(mean, float), np.asarray(covariance, float), 10_000)


def test_frechet_distance_of_a_singular_gaussian():
    # |m|^2 + sum (sqrt(a) - sqrt(b))^2 for covariances with the same basis, one of them singular.
    found = frechet_distance(gaussian([1, 2], np.diag([4.0, 9.0])), gaussian([0, 0], np.diag([1.0, 0.0])))
    assert float(found) == pytest.approx(5.0 + 1.0 + 9.0, abs=1e-9)


def test_frechet_distance_of_samples_agrees_with_scipy():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 5)) @ rng.normal(size=(5, 5)), rng.normal(size=(40, 5)) + 0.3
    one, two = np.cov(x.T), np.cov(y.T)
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(one + two - 2.0 * sqrtm(one @ two).real)
    result = frechet_distance(x, y)
    assert float(result) == pytest.approx(expected, rel=1e-9)
    assert (result.n_reference, result.n_generated) == (60, 40)
    assert float(frechet_distance(x, x)) == pytest.approx(0.0, abs=1e-9)


def test_frechet_distance_of_few_samples_warns():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 12)), rng.normal(size=(40, 12))
    with pytest.warns(UserWarning, match="reference has 8 samples for 12 features: the covariance is sing"):
        found = float(frechet_distance(x, y))
    # The trace of the root is the sum of the singular values of the product of the centred samples.
    centred = (x - x.mean(0)) / np.sqrt(7), (y - y.mean(0)) / np.sqrt(39)
    cross = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
    expected = np.square(x.mean(0) - y.mean(0)).sum() + sum(np.square(c).sum() for c in centred) - 2 * cross
    assert found == pytest.approx(expected, rel=1e-6)


def test_kernel_distance_agrees_with_the_kernel_of_scikit_learn():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(7, 3)) + 1.0

    within = [polynomial_kernel(s)[~np.eye(7, dtype=bool)].mean() for s in (x, y)]
    across = polynomial_kernel(x, y).mean()
    result = kernel_distance(x, y, n_subsets=3)
    assert float(result) == pytest.approx(sum(within) - 2.0 * across)
    assert result.scores["kernel_distance_std"] == pytest.approx(0.0, abs=1e-9)
    assert result.settings == {"n_subsets": 3, "subset_size": 7}


def test_kernel_distance_is_unbiased_and_reproducible():
    rng = np.random.default_rng(0)
    draws = [float(kernel_distance(*rng.normal(size=(2, 20, 2)), n_subsets=1)) for _ in range(400)]
    assert abs(np.mean(draws)) < 3.0 * np.std(draws) / 20.0
    x, y = rng.normal(size=(2, 300, 2))
    one, same, other = (kernel_distance(x, y, subset_size=50, n_subsets=5, random_state=s) for s in (0, 0, 1))
    assert one == same and float(one) != float(other)


def clusters(*centres, n=20, seed=0):
    rng = np.random.default_rng(seed)
    return np.concatenate([centre + 0.1 * rng.normal(size=(n, 2)) for centre in centres])


def test_precision_and_recall_of_disjoint_and_equal_sets():
    disjoint = precision_recall(clusters((0, 0)), clusters((10, 0))).scores
    assert disjoint == {"precision": 0.0, "recall": 0.0, "density": 0.0, "coverage": 0.0}
    x = clusters((0, 0), (3, 1))
    equal = precision_recall(x, x).scores
    # Each ball contains its centre and its three neighbours.
    assert equal == {"precision": 1.0, "recall": 1.0, "density": pytest.approx(4 / 3), "coverage": 1.0}


@pytest.mark.parametrize("k", [1, 4])
def test_precision_and_recall_agree_with_their_definition(k):
    rng = np.random.default_rng(3)
    # More samples than a block of distances has.
    real, fake = rng.normal(size=(300, 2)), 1.2 * rng.normal(size=(270, 2)) + 0.5

    def within(points, centres):
        """Whether each point is no farther from each centre than the k-th neighbour of the centre."""
        radii = np.sort(cdist(centres, centres), axis=1)[:, k]
        return cdist(points, centres) <= radii

    in_real, in_fake = within(fake, real), within(real, fake)
    result = precision_recall(real, fake, n_neighbors=k)
    assert result.scores == pytest.approx(
        {
            "precision": in_real.any(axis=1).mean(),
            "recall": in_fake.any(axis=1).mean(),
            "density": np.sum(in_real) / (k * len(fake)),
            "coverage": np.mean(np.any(in_real, axis=0)),
        }
    )
    assert result.to_dict()["n_neighbors"] == k and result.value == result.scores["precision"]


def test_results_record_extractor_and_settings():
    def corners(images):
        return images[:, ::7, ::7].reshape(len(images), -1)

    images = np.random.default_rng(0).random((30, 8, 8))
    result = frechet_distance(images[:20], images[20:], corners)
    fields = json.loads(json.dumps(result.to_dict()))
    assert fields.pop("frechet_distance") == result.value > 0.0
    assert fields == {
        "extractor": "corners",
        "extractor_sha256": None,
        "resize": None,
        "n_reference": 20,
        "n_generated": 10,
    }


def test_statistics_can_be_saved_and_loaded(tmp_path):
    rng = np.random.default_rng(0)
    features = extract_features(rng.normal(size=(50, 4)))
    named = FeatureSet(features.features, FeatureSource("net", "abc", "none"))
    named.statistics.save(tmp_path / "reference.safetensors")
    loaded = FeatureStatistics.load(tmp_path / "reference.safetensors")
    other = FeatureSet(rng.normal(size=(40, 4)), named.source)
    assert frechet_distance(loaded, other) == frechet_distance(named, other)
    assert loaded.source == named.source and loaded.n_samples == 50
    with pytest.raises(ValueError, match="distances between different features are meaningless"):
        frechet_distance(loaded, features)


X = np.random.default_rng(0).normal(size=(20, 3))
WITH_NAN = np.where(np.arange(20)[:, None] == 4, np.nan, X)


@pytest.mark.parametrize("measure", [frechet_distance, kernel_distance, precision_recall])
@pytest.mark.parametrize(
    ("reference", "generated", "message"),
    [
        (X, WITH_NAN, "generated contains NaN or infinity, first in sample 4"),
        (X, X[:, :2], "reference has 3 features per image, generated 2"),
        (X[..., None], X, r"must be features of shape \(n, n_features\), got shape \(20, 3, 1\)"),
    ],
)
def test_invalid_features_raise(measure, reference, generated, message):
    with pytest.raises(ValueError, match=message):
        measure(reference, generated)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frechet_distance(X, X, lambda x: x[1:]), "must have one row for each of 20 images, got 19"),
        (lambda: frechet_distance(X, X[:1]), "at least 2 images of each set, got 1"),
        (lambda: precision_recall(X, X[:3]), "n_neighbors must be an integer from 1 to 2, less than"),
    ],
)
def test_invalid_extractors_and_too_few_samples_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()
