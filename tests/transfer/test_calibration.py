import numpy as np
import pytest
from scipy.special import expit

from dmzrep import DomainTransfer
from dmzrep.transfer._calibration import expected_calibration_error, fit_calibration

from .conftest import Pixels, draw_pairs, true_probabilities


def test_calibration_error_matches_a_loop():
    random = np.random.default_rng(0)
    p = random.random((50, 4))
    bits = (random.random((50, 4)) < p**2).astype(int)
    total = 0.0
    for low in np.arange(10) / 10:
        inside = (p >= low) & (p < low + 0.1)
        if inside.any():
            total += inside.mean() * abs(p[inside].mean() - bits[inside].mean())
    assert expected_calibration_error(p, bits) == pytest.approx(total)
    assert expected_calibration_error(np.ones(3), np.ones(3)) == 0.0


def test_true_curves_are_recovered():
    random = np.random.default_rng(0)
    scores = random.normal(size=(20_000, 2)) * [1.0, 5.0]
    slopes, intercepts = np.array([2.0, 0.3]), np.array([0.5, -1.0])
    bits = random.random(scores.shape) < expit(slopes * scores + intercepts)
    found = fit_calibration(scores, bits, "per_bit")
    np.testing.assert_allclose(found.slopes, slopes, rtol=0.07)
    np.testing.assert_allclose(found.intercepts, intercepts, atol=0.08)
    one = fit_calibration(scores[:, :1], bits[:, :1], "shared")
    np.testing.assert_allclose([one.slopes[0], one.intercepts[0]], [2.0, 0.5], rtol=0.07)


def test_curves_are_finite_for_separable_and_constant_scores():
    for scores, bits in (
        (np.repeat([[-1.0], [1.0]], 50, axis=0), np.repeat([[0], [1]], 50, axis=0)),
        (np.zeros((10, 1)), np.ones((10, 1))),
        (np.random.default_rng(0).normal(size=(30, 1)), np.zeros((30, 1))),
    ):
        found = fit_calibration(scores, bits, "per_bit")
        p = found.probabilities(scores)
        assert np.isfinite(found.slopes).all() and (np.abs(p - bits) < 0.1).all()


@pytest.mark.parametrize("kind", ["shared", "per_bit"])
def test_calibration_lowers_the_calibration_error(kind, new_pairs):
    # A weak penalty on few pairs makes scores overconfident.
    X, Y = draw_pairs(250, 3)
    errors = {}
    for calibration in (None, kind):
        transfer = DomainTransfer(Pixels(), Pixels(), calibration=calibration, alpha=0.01, random_state=0)
        p = transfer.fit(X, Y).predict_proba(new_pairs[0])
        errors[calibration] = expected_calibration_error(p, new_pairs[1])
    assert errors[kind] < 0.08 and errors[kind] < 0.9 * errors[None]


def test_validation_table_predicts_scores_on_new_pairs(transfer, pairs, new_pairs):
    table, (X, Y) = transfer.validation_, new_pairs
    assert table.index.name == "bit" and len(table) == 5 and "copy_accuracy" not in table
    assert table["mean"].tolist() == pytest.approx(pairs[1].mean(axis=0))
    p = transfer.predict_proba(X)
    np.testing.assert_allclose(table["accuracy"], ((p > 0.5) == Y).mean(axis=0), atol=0.06)
    losses = -np.log2(np.where(Y == 1, p, 1 - p)).mean(axis=0)
    np.testing.assert_allclose(table["cross_entropy"], losses, atol=0.08)
    share = pairs[1].mean(axis=0)
    np.testing.assert_allclose(
        table["most_frequent_cross_entropy"],
        -(share * np.log2(share) + (1 - share) * np.log2(1 - share)),
        atol=0.01,
    )
    truth = true_probabilities(pairs[0])
    expected = (truth**2 + (1 - truth) ** 2).mean(axis=0)
    np.testing.assert_allclose(table["nearest_accuracy"], expected, atol=0.07)
    means = table.mean()
    assert means["cross_entropy"] < min(means["nearest_cross_entropy"], means["most_frequent_cross_entropy"])


def test_copying_is_a_baseline_for_codes_of_equal_length():
    X, _ = draw_pairs(300, 0)
    random = np.random.default_rng(0)
    Y = np.where(random.random(X.shape) < 0.2, X < 0.5, X > 0.5).astype(float)
    table = DomainTransfer(Pixels(), Pixels(), random_state=0).fit(X, Y).validation_
    np.testing.assert_allclose(table["copy_accuracy"], 0.8, atol=0.07)
    expected = -(0.8 * np.log2(0.8) + 0.2 * np.log2(0.2))
    np.testing.assert_allclose(table["copy_cross_entropy"], expected, atol=0.12)


def test_groups_are_not_split_between_folds():
    # Independent codes, but every pair occurs five times.
    random = np.random.default_rng(0)
    X, Y = random.random((60, 8)), random.integers(0, 2, (60, 4)).astype(float)
    X, Y, groups = (np.repeat(part, 5, axis=0) for part in (X, Y, np.arange(60)))
    options = {"random_state": 0, "alpha": 0.01}
    split = DomainTransfer(Pixels(), Pixels(), **options).fit(X, Y).validation_.mean()
    grouped = DomainTransfer(Pixels(), Pixels(), **options).fit(X, Y, groups=groups).validation_.mean()
    assert split["accuracy"] > 0.95 and split["nearest_accuracy"] > 0.95
    assert grouped["accuracy"] < 0.7 and grouped["nearest_accuracy"] < 0.7
