import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from dmzrep.plotting import LabelEfficiencyDisplay, ProbeDisplay
from dmzrep.probing import label_efficiency, probe_report

Z = np.random.default_rng(0).random((120, 4))
Y = pd.DataFrame(Z[:, :3] + 0.3 * np.random.default_rng(1).random((120, 3)) > 0.7, columns=["a", "b", "c"])


@pytest.fixture(scope="module")
def report():
    return probe_report(Z, Y, cv=3, baselines={"noise": Z[::-1]})


@pytest.fixture(scope="module")
def curve():
    return label_efficiency(
        Z[:80], Y[:80], Z[80:], Y[80:], fractions=(0.5, 1.0), baselines={"noise": (Z[79::-1], Z[80:])}
    )


def test_a_dot_for_each_attribute_and_representation_sorted_by_the_first(report):
    display = ProbeDisplay.from_report(report)
    shown = [label.get_text() for label in display.ax_.get_yticklabels()]
    codes = report[report["representation"] == "codes"].set_index("attribute")["roc_auc"]
    assert shown == list(codes.sort_values(kind="stable").index)
    assert [len(dots.get_xdata()) for dots in display.dots_] == [3, 3]
    assert_allclose(display.dots_[0].get_xdata(), codes[shown])
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == ["codes", "noise", "chance"]
    assert display.ax_.get_xlabel() == "AUROC"


def test_given_axes_are_used_and_one_fold_has_no_bars(report):
    ax = plt.subplots()[1]
    single = report.assign(accuracy_std=np.nan)
    display = ProbeDisplay.from_report(single, metric="accuracy", ax=ax)
    assert display.ax_ is ax and display.figure_ is ax.figure
    assert not ax.collections  # Bars would be line collections.


def test_undefined_scores_are_left_blank(report):
    gappy = report.copy()
    gappy.loc[gappy["attribute"] == "b", "roc_auc"] = np.nan
    display = ProbeDisplay.from_report(gappy)
    assert display.ax_.get_yticklabels()[0].get_text() == "b"
    assert np.isnan(display.dots_[0].get_xdata()[0])


def test_a_curve_for_each_representation(curve):
    display = LabelEfficiencyDisplay.from_curve(curve)
    assert [line.get_label() for line in display.lines_] == ["codes", "noise"]
    assert_allclose(display.lines_[0].get_xdata(), [40, 80])
    assert_allclose(display.lines_[0].get_ydata(), curve["roc_auc"][:2])
    assert display.ax_.get_xscale() == "log"


def test_tables_that_do_not_fit_are_refused(report, curve):
    with pytest.raises(ValueError, match=r"metric must be one of .* got 'auc'"):
        ProbeDisplay.from_report(report, metric="auc")
    with pytest.raises(ValueError, match="must be what probe_report gives; it lacks"):
        ProbeDisplay.from_report(pd.DataFrame({"roc_auc": [1.0]}))
    with pytest.raises(ValueError, match="by_attribute=False"):
        LabelEfficiencyDisplay.from_curve(curve.assign(attribute="a"))
