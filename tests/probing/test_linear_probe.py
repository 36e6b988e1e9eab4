"""The probe against scikit-learn's models, attribute by attribute."""

import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dmzrep.probing import LinearProbe


@pytest.mark.parametrize("scale", [False, True])
def test_each_attribute_is_the_logistic_regression_of_its_own(codes, attributes, scale):
    probe = LinearProbe(scale=scale, C=0.5).fit(codes, attributes)
    for name in attributes:
        plain = LogisticRegression(C=0.5, max_iter=1000)
        model = make_pipeline(StandardScaler(), plain) if scale else plain
        model.fit(codes, attributes[name])
        assert_allclose(probe.predict_proba(codes)[name], model.predict_proba(codes)[:, 1], atol=2e-5)
        assert_allclose(probe.decision_function(codes)[name], model.decision_function(codes), atol=2e-4)
        assert_array_equal(probe.predict(codes)[name], model.predict(codes))


def test_values_get_ridge_regression_with_the_same_penalty(codes):
    y = codes @ np.arange(6.0) + 0.25
    probe = LinearProbe(C=0.25).fit(codes, y)
    model = Ridge(alpha=4.0).fit(codes, y)
    assert_allclose(probe.predict(codes), model.predict(codes), rtol=1e-5)
    assert_allclose(probe.coef_, model.coef_, rtol=1e-4)
    assert probe.score(codes, y) == pytest.approx(model.score(codes, y), abs=1e-6)
    assert not hasattr(probe, "predict_proba")
    assert is_regressor(probe) and not is_classifier(probe)


def test_weights_are_in_code_units_also_after_scaling(codes, attributes):
    probe = LinearProbe(scale=True).fit(codes, attributes)
    assert probe.coef_.shape == (3, 6)
    assert_allclose(probe.decision_function(codes), codes @ probe.coef_.T + probe.intercept_, atol=1e-6)


def test_samples_without_a_label_are_left_out_for_that_attribute_only(codes, attributes):
    gappy = attributes.astype(float)
    gappy.loc[:99, "hat"] = np.nan
    gappy.loc[200:, "beard"] = np.nan
    probe = LinearProbe().fit(codes, gappy)
    assert probe.n_labels_ == [200, 200, 300]
    alone = LinearProbe().fit(codes[100:], attributes["hat"][100:])
    assert_allclose(probe.coef_[0], alone.coef_[0])
    whole = LinearProbe().fit(codes, attributes)
    assert_allclose(probe.coef_[2], whole.coef_[2])
    # A score takes the known labels only.
    assert probe.score(codes, gappy) == pytest.approx(
        np.mean(
            [(probe.predict(codes)[name] == gappy[name])[gappy[name].notna()].mean() for name in attributes]
        )
    )


def test_tables_keep_names_of_attributes_and_rows(codes, attributes):
    Z = pd.DataFrame(codes, index=[f"row {i}" for i in range(300)]).add_prefix("bit")
    probe = LinearProbe().fit(Z, attributes)
    assert probe.attributes_ == ["hat", "beard", "coin"]
    for method in ("predict", "predict_proba", "decision_function"):
        table = getattr(probe, method)(Z[:3])
        assert list(table.columns) == probe.attributes_ and list(table.index) == ["row 0", "row 1", "row 2"]
    assert isinstance(LinearProbe().fit(Z, attributes.to_numpy()).predict(Z), np.ndarray)


def test_classes_values_and_several_classes_in_one_table(codes, attributes):
    Y = attributes[["hat"]].assign(
        third=np.array(["a", "b", "c"])[np.digitize(codes[:, 2], [0.3, 0.6])], size=codes[:, 3] * 1.5
    )
    probe = LinearProbe(C=100.0).fit(codes, Y)
    assert probe.predict(codes).dtypes["size"].kind == "f"
    chances = probe.predict_proba(codes)
    assert chances.columns.tolist() == [
        ("hat", 0),
        ("hat", 1),
        ("third", "a"),
        ("third", "b"),
        ("third", "c"),
    ]
    assert_allclose(chances["third"].sum(axis=1), 1.0)
    alone = LinearProbe(C=100.0).fit(codes, Y["third"])
    assert_allclose(chances["third"], alone.predict_proba(codes))
    assert_allclose(
        probe.decision_function(codes)["hat"][1],
        LinearProbe(C=100.0).fit(codes, Y["hat"]).decision_function(codes),
    )
    with pytest.raises(ValueError, match="no common mean"):
        probe.score(codes, Y)


def test_unnamed_targets_with_several_classes_come_as_a_list(codes):
    Y = np.column_stack([np.digitize(codes[:, 0], [0.3, 0.6]), codes[:, 1] > 0.5])
    first, second = LinearProbe().fit(codes, Y).predict_proba(codes)
    assert first.shape == (300, 3) and second.shape == (300, 2)
    mixed = np.column_stack([codes[:, 0], codes[:, 1] > 0.5])
    with pytest.raises(ValueError, match="Fit with a DataFrame"):
        LinearProbe().fit(codes, mixed).predict_proba(codes)


def test_a_direction_has_unit_length_and_points_to_the_class(codes, attributes):
    probe = LinearProbe(scale=True).fit(codes, attributes)
    way = probe.direction("beard")
    assert np.linalg.norm(way) == pytest.approx(1.0)
    assert_allclose(way, probe.coef_[1] / np.linalg.norm(probe.coef_[1]))
    assert_allclose(probe.direction("beard", 0), -way)
    before, after = (probe.decision_function(z)["beard"] for z in (codes, codes + 0.1 * way))
    assert_allclose(after - before, 0.1 * np.linalg.norm(probe.coef_[1]), rtol=1e-4)


def test_a_direction_among_several_classes_leads_from_the_others_to_the_one(codes):
    probe = LinearProbe(C=100.0).fit(codes, np.digitize(codes[:, 2], [0.3, 0.6]))
    way = probe.direction(label=2)
    assert abs(way).argmax() == 2 and way[2] > 0.0
    with pytest.raises(ValueError, match=r"label must be one of the classes \[0, 1, 2\]"):
        probe.direction(label=None)


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])
def test_fits_in_parallel_are_the_same(codes, attributes, backend):
    with joblib.parallel_config(backend=backend):
        one, two = (LinearProbe(n_jobs=n).fit(codes, attributes) for n in (1, 2))
    assert_array_equal(one.coef_, two.coef_)


def test_scikit_learns_searches_take_it(codes, attributes):
    search = GridSearchCV(LinearProbe(), {"C": [0.01, 10.0]}, cv=3).fit(codes, attributes)
    assert search.best_score_ > 0.6
    scores = cross_val_score(
        make_pipeline(StandardScaler(), LinearProbe()), codes, attributes["hat"], scoring="roc_auc"
    )
    assert scores.mean() > 0.8


def test_bits_and_booleans_are_codes_too(codes, attributes):
    bits = codes > 0.5
    assert_allclose(
        LinearProbe().fit(bits, attributes).coef_, LinearProbe().fit(bits.astype(float), attributes).coef_
    )


def test_a_column_that_never_changes_gets_no_weight(codes, attributes):
    constant = np.column_stack([codes, np.full(len(codes), 0.3, np.float32)])
    probe = LinearProbe(scale=True).fit(constant, attributes["hat"])
    assert abs(probe.coef_[0, 6]) < 1e-5


@pytest.mark.parametrize(
    ("Y", "message"),
    [
        (np.zeros(299), r"y has 299, but there are 300 codes"),
        (np.zeros((300, 2, 1)), r"y must have shape \(n,\) or \(n, n_attributes\), got \(300, 2, 1\)"),
        (pd.DataFrame({"hat": np.ones(300, int)}), r"at least two classes.*'hat' are 1"),
        (pd.DataFrame({"hat": np.full(300, np.nan)}), r"'hat' contains NaN only"),
        (np.r_[np.inf, np.arange(299.0)], "contains infinity"),
        (pd.DataFrame(np.zeros((300, 2)), columns=["hat", "hat"]), r"occur twice: \['hat'\]"),
        (pd.DataFrame(index=range(300)), "no columns"),
        (np.array(["a", 1.5] * 150, dtype=object), "mixes values|Unknown label type"),
        (None, "requires y to be passed, but the target y is None"),
    ],
)
def test_bad_labels_are_named(codes, Y, message):
    with pytest.raises(ValueError, match=message):
        LinearProbe().fit(codes, Y)


def test_labels_that_do_not_match_the_task(codes):
    with pytest.raises(ValueError, match=r"continuous, but task='classification'.*task='regression'"):
        LinearProbe("classification").fit(codes, codes[:, 0])
    with pytest.raises(ValueError, match="must be numbers for a regression, got 'a'"):
        LinearProbe("regression").fit(codes, ["a", "b"] * 150)
    with pytest.raises(ValueError, match="is continuous, but classes were fitted"):
        LinearProbe().fit(codes, codes[:, 0] > 0.5).score(codes, codes[:, 0])


def test_unknown_attributes_get_the_nearest_name(codes, attributes):
    probe = LinearProbe().fit(codes, attributes)
    with pytest.raises(ValueError, match=r"no attribute 'haat' among the 3.*Did you mean 'hat'"):
        probe.direction("haat")
    with pytest.raises(ValueError, match="This probe has 3 attributes; name one"):
        probe.direction()
    with pytest.raises(ValueError, match=r"y has the attributes \['hat'\], but the probe was fitted on"):
        probe.score(codes, attributes[["hat"]])
    with pytest.raises(ValueError, match="continuous and has no classes"):
        LinearProbe().fit(codes, codes[:, 0]).direction(label=1)


def test_codes_of_another_width_and_unfitted_probes(codes, attributes):
    with pytest.raises(NotFittedError):
        LinearProbe().predict(codes)
    with pytest.raises(ValueError, match="5 features, but LinearProbe is expecting 6"):
        LinearProbe().fit(codes, attributes).predict(codes[:, :5])


def test_missing_convergence_warns_once(codes, attributes):
    with pytest.warns(ConvergenceWarning, match="max_iter=1 for 3 of 3") as caught:
        LinearProbe(max_iter=1).fit(codes, attributes)
    assert len(caught) == 1
