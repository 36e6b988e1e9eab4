"""The joint linear layer against scikit-learn's logistic regression."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from dmzrep.probing._joint_layer import joint_layer_scores, macro_average_precision

TRAIN, VALIDATION = np.arange(200), np.arange(200, 300)


def test_converged_layer_is_unpenalised_logistic_regression(codes, attributes):
    Y = attributes[["hat", "beard"]].to_numpy(float)
    samples = np.arange(300)
    logits = joint_layer_scores(
        codes, Y, samples, samples, learning_rate=0.3, n_epochs=60, batch_size=300, random_state=0
    )
    for column in (0, 1):
        model = LogisticRegression(C=1e6, max_iter=2000).fit(codes, Y[:, column])
        assert np.corrcoef(logits[:, column], model.decision_function(codes))[0, 1] > 0.97


def test_best_epoch_on_validation_samples_is_kept(codes, attributes):
    Y = attributes[["hat"]].to_numpy(float, copy=True)
    # With inverted validation labels training only increases the loss, so the first epoch is the best.
    Y[VALIDATION] = 1.0 - Y[VALIDATION]
    one, many = (
        joint_layer_scores(codes, Y, TRAIN, VALIDATION, n_epochs=n, learning_rate=0.05, random_state=0)
        for n in (1, 10)
    )
    assert np.array_equal(one, many)


def test_samples_without_a_label_are_ignored(codes, attributes):
    Y = attributes.to_numpy(float, copy=True)
    Y[:50, 0] = np.nan
    other = codes.copy()
    other[:50, :] = 0.5
    logits, changed = (
        joint_layer_scores(Z, Y, TRAIN, VALIDATION, n_epochs=1, random_state=0) for Z in (codes, other)
    )
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(logits[200:, 0], changed[200:, 0], atol=1e-6)
    assert not np.allclose(logits[200:, 1], changed[200:, 1], atol=1e-6)


def test_macro_average_precision_skips_attributes_with_one_class():
    Y = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, np.nan]])
    scores = np.array([[0.9, 0.1], [0.5, 0.1], [0.1, 0.1]])
    assert macro_average_precision(Y, scores) == pytest.approx((1.0 + 2.0 / 3.0) / 2.0)
    assert macro_average_precision(Y[:, 1:], scores[:, 1:]) == -np.inf
