"""Frechet and kernel distances against closed forms and slow definitions."""

import itertools
import json

import numpy as np
import pytest
from scipy.linalg import sqrtm

from dmzrep.errors import PersistenceError
from dmzrep.files._state import write_state
from dmzrep.metrics import (
    DistanceResult,
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


def test_frechet_distance_of_gaussians_with_commuting_covariances():
    # |m|^2 + sum (sqrt(a) - sqrt(b))^2 in a common basis, here a rotated one.
    angle = 0.7
    basis = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    one, two = basis @ np.diag([4.0, 9.0]) @ basis.T, basis @ np.diag([1.0, 0.0]) @ basis.T
    found = frechet_distance(gaussian([1.0, 2.0], one), gaussian([0.0, 0.0], two))
    assert float(found) == pytest.approx(5.0 + 1.0 + 9.0, abs=1e-9)


def test_frechet_distance_of_gaussians_that_do_not_commute():
    # In two dimensions tr sqrt(M) = sqrt(tr M + 2 sqrt(det M)).
    one, two = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, -0.6], [-0.6, 3.0]])
    product = one @ two
    shared = np.sqrt(np.trace(product) + 2.0 * np.sqrt(np.linalg.det(product)))
    expected = np.trace(one) + np.trace(two) - 2.0 * shared
    assert float(frechet_distance(gaussian([0, 0], one), gaussian([0, 0], two))) == pytest.approx(expected)


def test_frechet_distance_of_samples_agrees_with_scipy():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 5)) @ random.normal(size=(5, 5)), random.normal(size=(40, 5)) + 0.3
    one, two = np.cov(x.T), np.cov(y.T)
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(one + two - 2.0 * sqrtm(one @ two).real)
    result = frechet_distance(x, y)
    assert float(result) == pytest.approx(expected, rel=1e-9)
    assert (result.n_reference, result.n_generated) == (60, 40)
    assert float(frechet_distance(x, x)) == pytest.approx(0.0, abs=1e-9)


def test_too_few_samples_warn():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(8, 12)), random.normal(size=(40, 12))
    with pytest.warns(UserWarning, match="reference has 8 samples for 12 features: their covariance is sing"):
        found = float(frechet_distance(x, y))
    # The trace of the root is the sum of the singular values of the centred rows' products.
    centred = (x - x.mean(0)) / np.sqrt(7), (y - y.mean(0)) / np.sqrt(39)
    shared = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
    expected = np.square(x.mean(0) - y.mean(0)).sum() + sum(np.square(c).sum() for c in centred) - 2 * shared
    assert found == pytest.approx(expected, rel=1e-6)


def test_kernel_distance_agrees_with_a_loop():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(7, 3)), random.normal(size=(7, 3)) + 1.0

    def kernel(a, b):
        return (np.dot(a, b) / 3 + 1) ** 3

    within = [np.mean([kernel(a, b) for a, b in itertools.permutations(s, 2)]) for s in (x, y)]
    across = np.mean([kernel(a, b) for a in x for b in y])
    result = kernel_distance(x, y, n_subsets=3)
    # Whole sets are the subsets here, in another order.
    assert float(result) == pytest.approx(sum(within) - 2.0 * across)
    assert result.scores["kernel_distance_std"] == pytest.approx(0.0, abs=1e-9)
    assert result.settings == {"n_subsets": 3, "subset_size": 7}


def test_kernel_distance_is_unbiased():
    random = np.random.default_rng(0)
    draws = [float(kernel_distance(*random.normal(size=(2, 20, 2)), n_subsets=1)) for _ in range(400)]
    assert abs(np.mean(draws)) < 3.0 * np.std(draws) / 20.0
    x, y = random.normal(size=(2, 300, 2))
    one, same, other = (kernel_distance(x, y, subset_size=50, n_subsets=5, random_state=s) for s in (0, 0, 1))
    assert one == same and float(one) != float(other)


def test_results_record_extractor_and_settings():
    def corners(images):
        return images[:, ::7, ::7].reshape(len(images), -1)

    images = np.random.default_rng(0).random((30, 8, 8))
    result = frechet_distance(images[:20], images[20:], corners, about={"sampler": "ddim", "steps": 5})
    row = json.loads(json.dumps(result.to_dict()))
    assert row.pop("frechet_distance") == result.value > 0.0
    assert row == {
        "extractor": "corners",
        "extractor_sha256": None,
        "resize": None,
        "n_reference": 20,
        "n_generated": 10,
        "sampler": "ddim",
        "steps": 5,
    }
    with pytest.raises(ValueError, match=r"about must not use the names \['resize'\]"):
        DistanceResult({"d": 1.0}, FeatureSource("x"), 1, 1, about={"resize": 3})


def test_statistics_can_be_saved_and_loaded(tmp_path):
    random = np.random.default_rng(0)
    features = extract_features(random.normal(size=(50, 4)))
    named = FeatureSet(features.features, FeatureSource("net", "abc", "none"))
    named.statistics.save(tmp_path / "reference.safetensors")
    kept = FeatureStatistics.load(tmp_path / "reference.safetensors")
    other = FeatureSet(random.normal(size=(40, 4)), named.source)
    assert frechet_distance(kept, other) == frechet_distance(named, other)
    assert kept.source == named.source and kept.n_samples == 50
    with pytest.raises(ValueError, match="distances between different features mean nothing"):
        frechet_distance(kept, features)
    write_state(tmp_path / "other.safetensors", "something", {})
    with pytest.raises(PersistenceError, match="holds a something, not a FeatureStatistics"):
        FeatureStatistics.load(tmp_path / "other.safetensors")


GOOD = np.random.default_rng(0).normal(size=(20, 3))


@pytest.mark.parametrize("measure", [frechet_distance, kernel_distance, precision_recall])
@pytest.mark.parametrize(
    ("reference", "generated", "message"),
    [
        (
            GOOD,
            np.where(np.arange(20)[:, None] == 4, np.nan, GOOD),
            "generated has NaN or infinity in 1 of 20",
        ),
        (GOOD, GOOD[:, :2], "reference has 3 features per image, generated 2"),
        (GOOD[..., None], GOOD, r"must have shape \(n_samples, n_columns\), got \(20, 3, 1\). Flatten"),
        (GOOD, GOOD.astype(str), "generated must be numbers"),
    ],
)
def test_bad_features_are_refused(measure, reference, generated, message):
    with pytest.raises(ValueError, match=message):
        measure(reference, generated)


def test_bad_extractors_and_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="must have one line for each of 20 reference images, got 19"):
        frechet_distance(GOOD, GOOD, lambda x: x[1:])
    with pytest.raises(TypeError, match="extractor must be a function of images, or None, got 3"):
        frechet_distance(GOOD, GOOD, 3)
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        frechet_distance(GOOD, GOOD[:1])
    with pytest.raises(ValueError, match="at least 2 samples, got 20 and 1"):
        kernel_distance(GOOD, GOOD[:1])
    with pytest.raises(ValueError, match="subset_size must be an integer of at least 2, got 1"):
        kernel_distance(GOOD, GOOD, subset_size=1)
