"""The table of scores against loops over scikit-learn's own models and metrics."""

import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from pandas.testing import assert_frame_equal
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    r2_score,
    roc_auc_score,
)
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dmzrep.probing import probe_report, probe_scores, probe_summary
from dmzrep.probing._joint_layer import joint_layer_scores

ALL = {
    "accuracy": lambda y, p: accuracy_score(y, p > 0.5),
    "balanced_accuracy": lambda y, p: balanced_accuracy_score(y, p > 0.5),
    "roc_auc": roc_auc_score,
    "average_precision": average_precision_score,
}


@pytest.mark.parametrize(("protocol", "scaled"), [("dmz", False), ("infodiffusion", True)])
def test_published_folds_are_those_of_a_loop(codes, attributes, protocol, scaled):
    expected = []
    for fold, (train, test) in enumerate(KFold(5, shuffle=True, random_state=0).split(codes)):
        for name in attributes:
            model = make_pipeline(StandardScaler(), LogisticRegression()) if scaled else LogisticRegression()
            model.fit(codes[train], attributes[name].iloc[train])
            chance = model.predict_proba(codes[test])[:, 1]
            scores = {key: score(attributes[name].iloc[test], chance) for key, score in ALL.items()}
            expected.append({"attribute": name, "fold": fold, **scores})
    expected = pd.DataFrame(expected).set_index(["attribute", "fold"]).sort_index()
    found = probe_scores(codes, attributes, protocol=protocol)
    assert len(found) == 15 and not found["undefined"].any() and found["converged"].all()
    table = found.set_index(["attribute", "fold"]).sort_index()
    assert_allclose(table[list(ALL)], expected[list(ALL)], atol=1e-12)

    report = probe_report(codes, attributes, protocol=protocol).set_index("attribute")
    by_attribute = expected.groupby("attribute")
    assert_allclose(report.loc["hat", "roc_auc"], by_attribute["roc_auc"].mean()["hat"])
    assert_allclose(report.loc["hat", "roc_auc_std"], by_attribute["roc_auc"].std(ddof=0)["hat"])
    summary = probe_summary(found)
    per_fold = expected.groupby("fold")["roc_auc"].mean()
    assert_allclose(
        summary.loc[0, ["roc_auc", "roc_auc_std"]].astype(float), [per_fold.mean(), per_fold.std(ddof=0)]
    )
    text = f"{100 * per_fold.mean():.1f} ± {100 * per_fold.std(ddof=0):.1f}"
    assert probe_summary(found, as_text=True)["roc_auc"][0] == text


def test_infodiffusion_takes_the_first_ten_thousand_samples():
    random = np.random.default_rng(0)
    Z = random.random((10_050, 2)).astype(np.float32)
    y = Z[:, 0] > 0.5
    found = probe_scores(Z, y, protocol="infodiffusion", scoring="accuracy")
    assert (found["n_train"] + found["n_test"] == 10_000).all() and (found["n_labels"] == 10_000).all()
    changed = Z.copy()
    changed[10_000:] = 0.0
    assert_frame_equal(found, probe_scores(changed, y, protocol="infodiffusion", scoring="accuracy"))


def test_own_folds_are_stratified_for_each_attribute(codes, attributes):
    y = attributes["beard"].to_numpy()
    found = probe_scores(codes, attributes[["beard"]], cv=4, estimator=LogisticRegression(), random_state=7)
    folds = StratifiedKFold(4, shuffle=True, random_state=7).split(codes, y)
    expected = [LogisticRegression().fit(codes[a], y[a]).score(codes[b], y[b]) for a, b in folds]
    assert_allclose(found["accuracy"], expected)


def test_holdout_fits_on_training_and_scores_test_samples(codes, attributes):
    split = np.array(["train"] * 150 + ["validation"] * 50 + ["test"] * 100)
    found = probe_report(codes, attributes, protocol="holdout", split=split, estimator=LogisticRegression())
    model = LogisticRegression().fit(codes[:150], attributes["hat"][:150])
    chance = model.predict_proba(codes[200:])[:, 1]
    assert_allclose(found["roc_auc"][0], roc_auc_score(attributes["hat"][200:], chance))
    assert found["n_labels"][0] == 250 and found["n_folds"][0] == 1
    assert np.isnan(found["roc_auc_std"][0])
    changed = codes.copy()
    changed[150:200] = 0.5
    again = probe_report(changed, attributes, protocol="holdout", split=split, estimator=LogisticRegression())
    assert_frame_equal(found, again)


def test_diti_scores_test_samples_by_one_layer(codes, attributes):
    split = np.resize(["train", "train", "train", "validation", "test"], 300)
    found = probe_report(codes, attributes, protocol="diti", split=split, random_state=0).set_index(
        "attribute"
    )
    parts = [np.flatnonzero(split == part) for part in ("train", "validation", "test")]
    logits = joint_layer_scores(codes, attributes.to_numpy(float), *parts[:2], random_state=0)[parts[2]]
    for position, name in enumerate(attributes):
        expected = average_precision_score(attributes[name].iloc[parts[2]], logits[:, position])
        assert found.loc[name, "average_precision"] == pytest.approx(expected)
        accuracy = np.mean(attributes[name].iloc[parts[2]] == (logits[:, position] > 0.0))
        assert found.loc[name, "accuracy"] == pytest.approx(accuracy)


def test_diti_leaves_out_unknown_labels(codes, attributes):
    split = np.resize(["train", "train", "train", "validation", "test"], 300)
    gappy = attributes.astype(float)
    gappy.loc[np.flatnonzero(split == "test")[:20], "hat"] = np.nan
    found = probe_report(codes, gappy, protocol="diti", split=split).set_index("attribute")
    assert found.loc["hat", "n_labels"] == 280 and found.loc["coin", "n_labels"] == 300
    assert found["average_precision"].notna().all()


def test_samples_without_a_label_are_left_out_for_that_attribute(codes, attributes):
    gappy = attributes.astype(float)
    gappy.loc[:99, "hat"] = np.nan
    found = probe_report(codes, gappy, cv=3, random_state=0).set_index("attribute")
    alone = probe_report(codes[100:], attributes["hat"][100:], cv=3, random_state=0)
    assert found.loc["hat", "roc_auc"] == pytest.approx(alone["roc_auc"][0])
    assert found.loc["hat", "n_labels"] == 200 and found.loc["coin", "n_labels"] == 300


def test_baselines_see_the_same_folds_and_the_same_columns_come_out(codes, attributes):
    found = probe_report(
        codes, attributes, cv=3, baselines={"same": codes, "noise": codes[::-1]}, name="bits", random_state=0
    )
    assert found["representation"].tolist() == ["bits", "same", "noise"] * 3
    assert found["attribute"].tolist() == [a for a in attributes for _ in range(3)]
    by_name = found.set_index(["representation", "attribute"])
    assert_frame_equal(by_name.loc["bits"], by_name.loc["same"])
    assert by_name.loc[("noise", "hat"), "roc_auc"] < 0.65 < 0.85 < by_name.loc[("bits", "hat"), "roc_auc"]
    assert found["n_positive"].tolist() == [int(attributes[a].sum()) for a in attributes for _ in range(3)]


def test_several_classes_and_values_in_one_table(codes):
    Y = pd.DataFrame(
        {"third": np.digitize(codes[:, 2], [0.3, 0.6]), "size": codes[:, 3] + 0.1 * codes[::-1, 4]}
    )
    found = probe_scores(codes, Y, cv=[(np.arange(200), np.arange(200, 300))])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(
        codes[:200], Y["third"][:200]
    )
    chance = model.predict_proba(codes[200:])
    assert found["roc_auc"][0] == pytest.approx(
        roc_auc_score(Y["third"][200:], chance, multi_class="ovr"), abs=1e-4
    )
    assert found["accuracy"][0] == model.score(codes[200:], Y["third"][200:])
    assert pd.isna(found["n_positive"][0]) and np.isnan(found["r2"][0])
    ridge = make_pipeline(StandardScaler(), Ridge()).fit(codes[:200], Y["size"][:200])
    predicted = ridge.predict(codes[200:])
    assert found["r2"][1] == pytest.approx(r2_score(Y["size"][200:], predicted), abs=1e-5)
    assert found["pearson_r"][1] == pytest.approx(np.corrcoef(Y["size"][200:], predicted)[0, 1], abs=1e-5)
    assert not found["undefined"].any()


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])
def test_parallel_fits_give_the_same_table(codes, attributes, backend):
    with joblib.parallel_config(backend=backend):
        one, two = (probe_scores(codes, attributes, cv=3, n_jobs=n, random_state=0) for n in (1, 2))
    assert_frame_equal(one, two)


def test_a_decision_function_is_enough(codes, attributes):
    found = probe_scores(codes, attributes[["hat"]], cv=3, estimator=RidgeClassifier(), random_state=0)
    assert found["roc_auc"].min() > 0.8 and found["accuracy"].min() > 0.7


def test_folds_of_groups_come_as_a_list_or_a_generator(codes, attributes):
    groups = np.repeat(np.arange(30), 10)
    folds = list(GroupKFold(3).split(codes, groups=groups))
    one = probe_scores(codes, attributes, cv=folds)
    two = probe_scores(codes, attributes, cv=iter(folds))
    assert len(one) == 9
    assert_frame_equal(one, two)


def test_folds_with_one_class_are_reported_and_left_out(codes):
    # The only two positives: one fold of the five tests them both, or two folds test one each.
    Y = pd.DataFrame({"hat": codes[:, 0] > 0.5, "rare": np.isin(np.arange(300), [3, 8])})
    with pytest.warns(
        UndefinedMetricWarning, match=r"undefined in [34] of 10 fits.*'rare' \([34]\).*cv"
    ) as caught:
        found = probe_report(codes, Y, protocol="dmz").set_index("attribute")
    assert len(caught) == 1
    assert found.loc["rare", "n_undefined"] >= 3 and found.loc["hat", "n_undefined"] == 0
    assert found.loc["rare", "n_positive"] == 2
    assert np.isfinite(found.loc["rare", "roc_auc"])  # Of the folds that have it.


def test_an_attribute_with_one_class_is_a_row_of_nan(codes, attributes):
    with pytest.warns(UndefinedMetricWarning, match=r"'never' \(3\)"):
        found = probe_report(codes, attributes.assign(never=0), cv=3, random_state=0).set_index("attribute")
    assert found.loc["never", ["accuracy", "roc_auc"]].isna().all() and found.loc["never", "n_undefined"] == 3
    assert found.loc["hat", "n_undefined"] == 0


def test_fits_that_stop_early_are_counted(codes, attributes):
    with pytest.warns(ConvergenceWarning, match="9 of 9 fits did not converge"):
        found = probe_scores(codes, attributes, cv=3, estimator=LogisticRegression(max_iter=1))
    assert not found["converged"].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "dzm"}, r"protocol must be one of .* or None, got 'dzm'. Did you mean 'dmz'"),
        ({"scoring": "roc-auc"}, r"got 'roc-auc'. Did you mean 'roc_auc'"),
        ({"scoring": "r2"}, r"scoring='r2' does not apply to labels that are all classes"),
        ({"scoring": []}, "scoring is empty"),
        ({"protocol": "dmz", "cv": 3}, "protocol='dmz' fixes its folds"),
        ({"protocol": "dmz", "estimator": LogisticRegression()}, "fixes the estimator"),
        ({"protocol": "dmz", "split": ["train"] * 300}, "split is for protocol='holdout'"),
        ({"protocol": "holdout"}, "protocol='holdout' needs split"),
        ({"protocol": "holdout", "split": ["train"] * 299}, r"split must have shape \(300,\).*\(299,\)"),
        ({"protocol": "holdout", "split": ["train"] * 300}, "split marks as 'test'; there are none"),
        ({"protocol": "diti", "split": ["train", "test"] * 150}, "as 'validation'; there are none"),
        ({"protocol": "holdout", "split": ["train", "dev"] * 150}, r"only, got \['dev'\]"),
        ({"cv": 1}, "cv must be from 2 to"),
        ({"cv": 301}, "cv must be from 2 to .* 300, got 301"),
        (
            {"baselines": {"other": np.zeros((299, 3))}},
            r"baselines\['other'\] has 299 samples, but there are 300 codes",
        ),
        ({"baselines": {"codes": np.zeros((300, 3))}}, "A baseline has the name of the codes, 'codes'"),
        ({"baselines": {"images": np.zeros((300, 8, 8))}}, r"got \(300, 8, 8\). Flatten images"),
        (
            {"baselines": {"nan": np.full((300, 1), np.nan)}},
            r"baselines\['nan'\] contains NaN or infinity, first in sample 0",
        ),
    ],
)
def test_bad_arguments_are_named(codes, attributes, options, message):
    with pytest.raises(ValueError, match=message):
        probe_scores(codes, attributes, **options)


def test_bad_codes_and_labels_are_named(codes, attributes):
    with pytest.raises(ValueError, match="Y has 299, but there are 300 codes"):
        probe_scores(codes, attributes[1:])
    with pytest.raises(ValueError, match="single class in every attribute"):
        probe_scores(codes, attributes * 0)
    with pytest.raises(ValueError, match=r"Z must be numbers, got dtype <U1"):
        probe_scores([["a"]], [0])
    with pytest.raises(ValueError, match="'dmz' is for classes, but attribute 'size' is continuous"):
        probe_scores(codes, attributes.assign(size=codes[:, 0]), protocol="dmz")
    split = np.resize(["train", "validation", "test"], 300)
    with pytest.raises(ValueError, match="two classes, but 'third' has 3"):
        probe_scores(codes, attributes.assign(third=np.arange(300) % 3), protocol="diti", split=split)
    with pytest.raises(TypeError, match="baselines must be a dict"):
        probe_scores(codes, attributes, baselines=[codes])
    with pytest.raises(ValueError, match="lacks the columns"):
        probe_summary(pd.DataFrame({"representation": ["a"]}))
