"""Label-efficiency curves against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from dmzrep.probing import label_efficiency


@pytest.fixture
def parts(codes, attributes):
    return codes[:200], attributes[:200], codes[200:], attributes[200:]


def test_all_labels_are_fitted_once_and_fewer_labels_repeatedly(parts):
    curve = label_efficiency(
        *parts, fractions=(0.1, 1.0), scoring="roc_auc", estimator=LogisticRegression(), random_state=0
    )
    assert curve["n_train"].tolist() == [20, 200] and curve["n_repeats"].tolist() == [5, 1]
    expected = [
        roc_auc_score(y, LogisticRegression().fit(parts[0], parts[1][name]).decision_function(parts[2]))
        for name, y in parts[3].items()
    ]
    assert curve["roc_auc"][1] == pytest.approx(np.mean(expected))
    assert curve["roc_auc_std"][0] > 0.0 and np.isnan(curve["roc_auc_std"][1])
    assert curve["roc_auc"][0] < curve["roc_auc"][1]


def test_default_table_is_the_mean_over_attributes(parts):
    mean = label_efficiency(*parts, fractions=(0.2,), scoring="accuracy", random_state=0)
    table = label_efficiency(*parts, fractions=(0.2,), scoring="accuracy", by_attribute=True, random_state=0)
    assert table["attribute"].tolist() == ["hat", "beard", "coin"]
    assert mean["accuracy"][0] == pytest.approx(table["accuracy"].mean())


def test_representations_share_samples_and_results_are_reproducible(parts):
    options = {"fractions": (30, 0.5), "baselines": {"same": (parts[0], parts[2])}, "n_repeats": 2}
    curve = label_efficiency(*parts, **options, random_state=3)
    by_name = curve.set_index(["representation", "fraction"])
    assert_frame_equal(by_name.loc["codes"], by_name.loc["same"])
    assert_frame_equal(curve, label_efficiency(*parts, **options, random_state=3))
    other = label_efficiency(*parts, **options, random_state=4)
    assert not np.allclose(curve["accuracy"], other["accuracy"])


def test_draws_with_one_class_are_counted_and_reported(parts):
    rare = pd.DataFrame({"hat": parts[1]["hat"], "rare": np.arange(200) == 5})
    test = pd.DataFrame({"hat": parts[3]["hat"], "rare": np.arange(100) == 5})
    with pytest.warns(UndefinedMetricWarning, match="'rare'.*larger fractions") as caught:
        curve = label_efficiency(
            parts[0], rare, parts[2], test, fractions=(0.1,), n_repeats=3, random_state=0
        )
    assert caught[0].filename == __file__
    assert curve["n_undefined"][0] >= 1 and np.isfinite(curve["roc_auc"][0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fractions": (1.5,)}, r"floats in \(0, 1\].*200; got 1.5"),
        (
            {"baselines": {"other": (np.zeros((99, 2)), np.zeros((100, 2)))}},
            r"baselines\['other'\]\[0\] has 99 samples",
        ),
    ],
)
def test_invalid_arguments_raise(parts, options, message):
    with pytest.raises(ValueError, match=message):
        label_efficiency(*parts, **options)


def test_labels_that_do_not_match_raise(parts):
    with pytest.raises(ValueError, match=r"same attributes in the same order, got \['hat', .* and \['beard'"):
        label_efficiency(*parts[:3], parts[3][["beard", "hat", "coin"]])


def test_labels_may_be_vectors(parts):
    curve = label_efficiency(parts[0], parts[1]["hat"], parts[2], list(parts[3]["hat"]), fractions=(1.0,))
    assert curve["n_attributes"].tolist() == [1] and curve["roc_auc"][0] > 0.8
