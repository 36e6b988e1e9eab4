"""LinearProbe against scikit-learn's models of single attributes."""

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dmzrep.probing import LinearProbe


@pytest.mark.parametrize("scale", [False, True])
def test_each_attribute_is_an_independent_logistic_regression(codes, attributes, scale):
    probe = LinearProbe(scale=scale, C=0.5).fit(codes, attributes)
    for name in attributes:
        plain = LogisticRegression(C=0.5, max_iter=1000)
        model = make_pipeline(StandardScaler(), plain) if scale else plain
        model.fit(codes, attributes[name])
        assert_allclose(probe.predict_proba(codes)[name], model.predict_proba(codes)[:, 1], atol=2e-5)
        assert_allclose(probe.decision_function(codes)[name], model.decision_function(codes), atol=2e-4)
        assert_array_equal(probe.predict(codes)[name], model.predict(codes))
    assert probe.coef_.shape == (3, 6)
    assert_allclose(probe.decision_function(codes), codes @ probe.coef_.T + probe.intercept_, atol=1e-6)


def test_continuous_values_are_ridge_regression_with_the_same_penalty(codes):
    y = codes @ np.arange(6.0) + 0.25
    probe = LinearProbe(C=0.25).fit(codes, y)
    model = Ridge(alpha=4.0).fit(codes, y)
    assert_allclose(probe.predict(codes), model.predict(codes), rtol=1e-5)
    assert_allclose(probe.coef_, model.coef_, rtol=1e-4)
    assert probe.score(codes, y) == pytest.approx(model.score(codes, y), abs=1e-6)
    assert not hasattr(probe, "predict_proba")
    assert is_regressor(probe) and not is_classifier(probe)


def test_samples_without_a_label_are_ignored_for_that_attribute_only(codes, attributes):
    partial = attributes.astype(float)
    partial.loc[:99, "hat"] = np.nan
    partial.loc[200:, "beard"] = np.nan
    probe = LinearProbe().fit(codes, partial)
    assert probe.n_labels_ == [200, 200, 300]
    alone = LinearProbe().fit(codes[100:], attributes["hat"][100:])
    assert_allclose(probe.coef_[0], alone.coef_[0])
    whole = LinearProbe().fit(codes, attributes)
    assert_allclose(probe.coef_[2], whole.coef_[2])
    assert probe.score(codes, partial) == pytest.approx(
        np.mean(
            [
                (probe.predict(codes)[name] == partial[name])[partial[name].notna()].mean()
                for name in attributes
            ]
        )
    )


def test_predictions_keep_attribute_names_and_index(codes, attributes):
    Z = pd.DataFrame(codes, index=[f"sample {i}" for i in range(300)]).add_prefix("bit")
    probe = LinearProbe().fit(Z, attributes)
    assert probe.attributes_ == ["hat", "beard", "coin"]
    for method in ("predict", "predict_proba", "decision_function"):
        table = getattr(probe, method)(Z[:3])
        assert list(table.columns) == probe.attributes_ and list(table.index) == list(Z.index[:3])
    assert isinstance(LinearProbe().fit(Z, attributes.to_numpy()).predict(Z), np.ndarray)


def test_binary_multiclass_and_continuous_attributes_in_one_table(codes, attributes):
    Y = attributes[["hat"]].assign(
        third=np.array(["a", "b", "c"])[np.digitize(codes[:, 2], [0.3, 0.6])], size=codes[:, 3] * 1.5
    )
    probe = LinearProbe(C=100.0).fit(codes, Y)
    assert probe.predict(codes).dtypes["size"].kind == "f"
    probabilities = probe.predict_proba(codes)
    assert probabilities.columns.tolist() == [
        ("hat", 0),
        ("hat", 1),
        ("third", "a"),
        ("third", "b"),
        ("third", "c"),
    ]
    for name in ("hat", "third"):
        alone = LinearProbe(C=100.0).fit(codes, Y[name])
        assert_allclose(probabilities[name], alone.predict_proba(codes))
    first, second = LinearProbe(C=100.0).fit(codes, Y[["hat", "third"]].to_numpy()).predict_proba(codes)
    assert_allclose(first, probabilities["hat"])
    assert_allclose(second, probabilities["third"])


def test_direction_is_a_unit_vector_towards_the_class(codes, attributes):
    probe = LinearProbe(scale=True).fit(codes, attributes)
    direction = probe.direction("beard")
    assert np.linalg.norm(direction) == pytest.approx(1.0)
    assert_allclose(probe.direction("beard", 0), -direction)
    before, after = (probe.decision_function(z)["beard"] for z in (codes, codes + 0.1 * direction))
    assert_allclose(after - before, 0.1 * np.linalg.norm(probe.coef_[1]), rtol=1e-4)
    probe = LinearProbe(C=100.0).fit(codes, np.digitize(codes[:, 2], [0.3, 0.6]))
    direction = probe.direction(label=2)
    assert abs(direction).argmax() == 2 and direction[2] > 0.0


def test_constant_columns_have_no_weight(codes, attributes):
    constant = np.column_stack([codes, np.full(len(codes), 0.3, np.float32)])
    probe = LinearProbe(scale=True).fit(constant, attributes["hat"])
    assert abs(probe.coef_[0, 6]) < 1e-5


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])
def test_parallel_fits_are_the_same(codes, attributes, backend):
    with parallel_config(backend=backend):
        one, two = (LinearProbe(n_jobs=n).fit(codes, attributes) for n in (1, 2))
    assert_array_equal(one.coef_, two.coef_)


def test_probe_works_in_grid_searches_and_pipelines(codes, attributes):
    search = GridSearchCV(LinearProbe(), {"C": [0.01, 10.0]}, cv=3).fit(codes > 0.5, attributes)
    assert search.best_score_ > 0.6
    pipeline = make_pipeline(StandardScaler(), LinearProbe())
    assert cross_val_score(pipeline, codes, attributes["hat"], scoring="roc_auc").mean() > 0.8


def test_convergence_warning_is_raised_once(codes, attributes):
    with pytest.warns(ConvergenceWarning, match="max_iter=1 for 3 of 3") as caught:
        LinearProbe(max_iter=1).fit(codes, attributes)
    assert len(caught) == 1 and caught[0].filename == __file__


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda Z, Y: LinearProbe().fit(Z, Y[1:]), r"y has 299, but there are 300 codes"),
        (lambda Z, Y: LinearProbe().fit(Z, Y.assign(hat=1)), r"at least two classes.*'hat' are 1"),
        (lambda Z, Y: LinearProbe().fit(Z, Y.assign(hat=np.nan)), r"'hat' contains NaN only"),
        (lambda Z, Y: LinearProbe().fit(Z, Y[["hat", "hat"]]), r"occur twice: \['hat'\]"),
        (lambda Z, Y: LinearProbe("classification").fit(Z, Z[:, 0]), r"continuous, but .*task='regression'"),
        (
            lambda Z, Y: LinearProbe().fit(Z, Y).score(Z, Y[["hat"]]),
            r"attributes \['hat'\], but .* fitted on",
        ),
        (lambda Z, Y: LinearProbe().fit(Z, Y).direction("haat"), r"no attribute 'haat'.*Did you mean 'hat'"),
    ],
)
def test_invalid_labels_and_attributes_raise(codes, attributes, call, message):
    with pytest.raises(ValueError, match=message):
        call(codes, attributes)
