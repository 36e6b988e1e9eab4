"""Tables of scores against scikit-learn's models and metrics."""

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
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
def test_published_protocols_match_scikit_learn(codes, attributes, protocol, scaled):
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


def test_default_folds_are_stratified(codes, attributes):
    y = attributes["beard"].to_numpy()
    found = probe_scores(codes, attributes[["beard"]], cv=4, estimator=LogisticRegression(), random_state=7)
    folds = StratifiedKFold(4, shuffle=True, random_state=7).split(codes, y)
    expected = [LogisticRegression().fit(codes[a], y[a]).score(codes[b], y[b]) for a, b in folds]
    assert_allclose(found["accuracy"], expected)


def test_holdout_fits_on_training_samples_and_scores_test_samples(codes, attributes):
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


def test_diti_scores_test_samples_of_one_joint_layer(codes, attributes):
    split = np.resize(["train", "train", "train", "validation", "test"], 300)
    train, validation, test = (np.flatnonzero(split == part) for part in ("train", "validation", "test"))
    partial = attributes.astype(float)
    partial.loc[test[:20], "hat"] = np.nan
    found = probe_report(codes, partial, protocol="diti", split=split, random_state=0).set_index("attribute")
    logits = joint_layer_scores(codes, partial.to_numpy(), train, validation, random_state=0)
    for position, name in enumerate(attributes):
        known = test[20:] if name == "hat" else test
        y, scores = attributes[name].iloc[known], logits[known, position]
        assert found.loc[name, "average_precision"] == pytest.approx(average_precision_score(y, scores))
        assert found.loc[name, "accuracy"] == pytest.approx(np.mean(y == (scores > 0.0)))
        assert found.loc[name, "n_labels"] == 300 - len(test) + len(known)


def test_samples_without_a_label_are_ignored_for_that_attribute(codes, attributes):
    partial = attributes.astype(float)
    partial.loc[:99, "hat"] = np.nan
    found = probe_report(codes, partial, cv=3, random_state=0).set_index("attribute")
    alone = probe_report(codes[100:], attributes["hat"][100:], cv=3, random_state=0)
    assert found.loc["hat", "roc_auc"] == pytest.approx(alone["roc_auc"][0])
    assert found.loc["hat", "n_labels"] == 200 and found.loc["coin", "n_labels"] == 300


def test_multiclass_and_continuous_attributes_in_one_table(codes):
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


def test_folds_may_be_a_list_or_a_generator_of_positions(codes, attributes):
    groups = np.repeat(np.arange(30), 10)
    folds = list(GroupKFold(3).split(codes, groups=groups))
    one = probe_scores(codes, attributes, cv=folds)
    two = probe_scores(codes, attributes, cv=iter(folds))
    assert len(one) == 9
    assert_frame_equal(one, two)


def test_folds_with_one_class_are_reported_and_excluded(codes):
    # The two positives are in the test samples of one or two of five folds.
    Y = pd.DataFrame({"hat": codes[:, 0] > 0.5, "rare": np.isin(np.arange(300), [3, 8]), "never": 0})
    with pytest.warns(
        UndefinedMetricWarning, match=r"undefined in [89] of 15 fits.*'never' \(5\), 'rare' \([34]\).*cv"
    ) as caught:
        found = probe_report(codes, Y, protocol="dmz").set_index("attribute")
    assert len(caught) == 1
    assert found.loc["rare", "n_undefined"] >= 3 and found.loc["hat", "n_undefined"] == 0
    assert found.loc["rare", "n_positive"] == 2
    assert np.isfinite(found.loc["rare", "roc_auc"])
    assert found.loc["never", ["accuracy", "roc_auc"]].isna().all() and found.loc["never", "n_undefined"] == 5


def test_infodiffusion_uses_the_first_ten_thousand_samples():
    Z = np.random.default_rng(0).random((10_050, 2)).astype(np.float32)
    found = probe_scores(Z, Z[:, 0] > 0.5, protocol="infodiffusion", scoring="accuracy")
    assert (found["n_train"] + found["n_test"] == 10_000).all() and (found["n_labels"] == 10_000).all()
    first = probe_scores(Z[:10_000], Z[:10_000, 0] > 0.5, protocol="infodiffusion", scoring="accuracy")
    assert_frame_equal(found, first)


def test_baselines_share_the_folds_and_parallel_fits_are_the_same(codes, attributes):
    options = {"cv": 3, "baselines": {"same": codes, "noise": codes[::-1]}, "name": "bits", "random_state": 0}
    found = probe_report(codes, attributes, **options)
    assert found["representation"].tolist() == ["bits", "same", "noise"] * 3
    assert found["attribute"].tolist() == [a for a in attributes for _ in range(3)]
    by_name = found.set_index(["representation", "attribute"])
    assert_frame_equal(by_name.loc["bits"], by_name.loc["same"])
    assert by_name.loc[("noise", "hat"), "roc_auc"] < 0.65 < 0.85 < by_name.loc[("bits", "hat"), "roc_auc"]
    assert found["n_positive"].tolist() == [int(attributes[a].sum()) for a in attributes for _ in range(3)]
    with parallel_config(backend="threading"):
        assert_frame_equal(found, probe_report(codes, attributes, **options, n_jobs=2))


def test_estimators_may_have_a_decision_function_only(codes, attributes):
    found = probe_scores(codes, attributes[["hat"]], cv=3, estimator=RidgeClassifier(), random_state=0)
    assert found["roc_auc"].min() > 0.8 and found["accuracy"].min() > 0.7


def test_fits_that_do_not_converge_are_counted(codes, attributes):
    with pytest.warns(ConvergenceWarning, match="9 of 9 fits did not converge") as caught:
        found = probe_scores(codes, attributes, cv=3, estimator=LogisticRegression(max_iter=1))
    assert not found["converged"].any() and caught[0].filename == __file__


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "dzm"}, r"protocol must be one of .* or None, got 'dzm'. Did you mean 'dmz'"),
        ({"protocol": "holdout"}, "protocol='holdout' needs split"),
        ({"protocol": "holdout", "split": ["train"] * 300}, "split marks as 'test'; there are none"),
        ({"protocol": "holdout", "split": ["train", "dev"] * 150}, r"only, got \['dev'\]"),
        ({"Y": pd.Series([0, 1])}, "Y has 2, but there are 300 codes"),
        ({"Y": np.zeros(300)}, "single class in every attribute"),
        ({"Y": np.linspace(0, 0.9, 300), "protocol": "dmz"}, "'dmz' is for classes, but attribute 0 is cont"),
    ],
)
def test_invalid_arguments_raise(codes, attributes, options, message):
    with pytest.raises(ValueError, match=message):
        probe_scores(codes, **({"Y": attributes} | options))
