"""Displays of tables."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dmzrep.attribution import bit_table
from dmzrep.plotting import (
    BitTableDisplay,
    HistoryDisplay,
    LabelEfficiencyDisplay,
    LatentDimDisplay,
    ProbeDisplay,
)
from dmzrep.probing import label_efficiency, probe_report
from tests.plotting._drawn import texts

pytestmark = pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")

HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "seconds": [0.5, 1.0, 1.5],
        "images": [100, 200, 300],
        "loss": [1.0, 0.5, 0.4],
        "validation_loss": [0.9, 0.6, 0.5],
        "validation_loss_hard": [0.95, 0.65, 0.55],
        "validation_loss_shuffled": [1.0, 1.1, 1.2],
    }
)
LENGTHS = pd.DataFrame(
    {
        "latent_dim": [64, 32, 8],
        "roc_auc": [0.85, 0.9, 0.8],
        "bits_per_dim": [2.6, 2.5, 2.0],
        "reconstruction_error": [0.04, 0.05, 0.1],
        "pareto": [False, True, True],
    }
)
RNG = np.random.default_rng(0)
Z = RNG.random((120, 4))
Y = pd.DataFrame(Z[:, :3] + 0.3 * RNG.random((120, 3)) > 0.7, columns=["a", "b", "c"])
BITS = RNG.integers(0, 2, (200, 5))
ATTRIBUTES = pd.DataFrame({"hat": BITS[:, 3], "smile": 1 - BITS[:, 1], "beard": RNG.integers(0, 2, 200)})


@pytest.fixture(scope="module")
def report():
    return probe_report(Z, Y, cv=3, baselines={"noise": Z[::-1]})


@pytest.fixture(scope="module")
def curve():
    baselines = {"noise": (Z[79::-1], Z[80:])}
    return label_efficiency(Z[:80], Y[:80], Z[80:], Y[80:], fractions=(0.5, 1.0), baselines=baselines)


@pytest.fixture
def displays(report, curve):
    return [
        BitTableDisplay(bit_table(BITS, ATTRIBUTES)),
        HistoryDisplay(HISTORY),
        LabelEfficiencyDisplay(curve),
        LatentDimDisplay(LENGTHS),
        ProbeDisplay(report),
    ]


def test_given_axes_are_used_and_the_current_figure_is_left_alone(displays):
    for display in displays:
        figure, ax = plt.subplots()
        other = plt.figure()
        assert display.plot(ax) is display and display.ax_ is ax and display.figure_ is figure
        assert plt.gcf() is other and not other.axes


def test_settings_of_matplotlib_do_not_turn_the_heat_map(displays):
    odd = {"image.origin": "lower", "axes.grid": True, "xtick.minor.visible": True, "figure.autolayout": True}
    with mpl.rc_context(odd):
        for display in displays:
            display.plot().figure_.canvas.draw()
    heat_map = displays[0]
    assert heat_map.image_.origin == "upper" and heat_map.image_.get_cmap().name == "RdBu_r"
    assert not any(line.get_visible() for line in heat_map.ax_.get_xgridlines())


@pytest.mark.parametrize(
    ("x", "label"), [("seconds", "Training time (s)"), ("epoch", "Epoch"), ("images", "Images seen")]
)
def test_histories_have_named_curves_against_the_chosen_axis(x, label):
    display = HistoryDisplay(HISTORY.assign(validation_loss_no_code=[1.3, 1.2, 1.1]), x=x).plot()
    columns = ["loss", *(f"validation_loss{kind}" for kind in ("", "_hard", "_shuffled"))]
    for line, column in zip(display.lines_, columns, strict=False):
        assert_array_equal(line.get_xdata(), HISTORY[x])
        assert_array_equal(line.get_ydata(), HISTORY[column])
    assert_array_equal(display.lines_[4].get_ydata(), [1.3, 1.2, 1.1])
    assert display.ax_.get_xlabel() == label
    assert texts(display.ax_.get_legend().get_texts()) == [
        "training, relaxed code",
        "validation, relaxed code",
        "validation, hard bits",
        "validation, bits of another image",
        "validation, no code",
    ]
    display.figure_.canvas.draw()
    assert x != "epoch" or all(float(tick).is_integer() for tick in display.ax_.get_xticks())


def test_histories_of_encoders(encoder, vector_encoder):
    display = HistoryDisplay.from_estimator(encoder)
    assert_array_equal(display.lines_[0].get_ydata(), encoder.history_["loss"])
    assert display.lines_[0].get_marker() == "o"  # A single epoch makes no line.
    assert HistoryDisplay.from_estimator(vector_encoder, x="epoch").lines_


def test_probes_have_a_dot_for_each_attribute_sorted_by_the_first_representation(report):
    display = ProbeDisplay(report).plot()
    shown = texts(display.ax_.get_yticklabels())
    codes = report[report["representation"] == "codes"].set_index("attribute")["roc_auc"]
    assert shown == list(codes.sort_values(kind="stable").index)
    assert [len(dots.get_xdata()) for dots in display.dots_] == [3, 3]
    assert_allclose(display.dots_[0].get_xdata(), codes[shown])
    assert texts(display.ax_.get_legend().get_texts()) == ["codes", "noise", "chance"]
    assert display.ax_.get_xlabel() == "AUROC"
    gaps = report.assign(accuracy_std=np.nan)
    gaps.loc[gaps["attribute"] == "b", "accuracy"] = np.nan
    display = ProbeDisplay(gaps, metric="accuracy").plot()
    assert not display.ax_.collections  # Error bars would be line collections.
    assert texts(display.ax_.get_yticklabels())[0] == "b" and np.isnan(display.dots_[0].get_xdata()[0])


def test_label_efficiency_has_a_curve_for_each_representation(curve):
    display = LabelEfficiencyDisplay(curve).plot()
    assert [line.get_label() for line in display.lines_] == ["codes", "noise"]
    assert_allclose(display.lines_[0].get_xdata(), [40, 80])
    assert_allclose(display.lines_[0].get_ydata(), curve["roc_auc"][:2])
    assert display.ax_.get_xscale() == "log"


def test_the_pareto_front_is_connected_and_every_point_named():
    display = LatentDimDisplay(LENGTHS).plot()
    front, rest = display.ax_.lines
    assert front.get_xydata().tolist() == [[2.0, 0.8], [2.5, 0.9]]
    assert rest.get_xydata().tolist() == [[2.6, 0.85]]
    assert sorted(texts(display.ax_.texts)) == ["32", "64", "8"]
    assert display.ax_.get_ylabel() == "AUROC"
    assert display.ax_.get_xlabel() == "Bits per dimension (variational bound)"
    other = LatentDimDisplay(LENGTHS, x="latent_dim", y="reconstruction_error").plot()
    assert_array_equal(other.ax_.lines[0].get_xdata(), [8, 32])
    unprobed = LatentDimDisplay(LENGTHS.drop(columns="roc_auc")).plot()
    assert unprobed.ax_.get_ylabel() == "Mean squared error of reconstructions"


def test_the_heat_map_is_the_table_with_bits_in_the_order_of_attributes():
    table = bit_table(BITS, ATTRIBUTES)
    display = BitTableDisplay(table).plot()
    assert display.strengths_.index.tolist() == ["hat", "smile", "beard"]
    assert display.strengths_.columns.tolist()[0] == 3
    assert display.strengths_.loc["hat", 3] == 1.0 and display.strengths_.loc["smile", 1] == -1.0
    for row in table.itertuples():
        expected = row.sign * (2 * row.auroc - 1)
        assert display.strengths_.loc[row.attribute, row.bit] == pytest.approx(expected)
    assert_array_equal(np.asarray(display.image_.get_array()), display.strengths_)
    assert display.ax_.get_title() == "Bits and attributes"
    assert texts(display.ax_.get_yticklabels()) == ["hat", "smile", "beard"]
    best = BitTableDisplay(table, max_bits=2).plot()
    assert best.strengths_.columns.tolist() == [3, 1]
    assert best.ax_.get_title() == "Bits and attributes (2 of 5)"


def test_tables_and_options_that_do_not_fit_are_refused(report, curve):
    for display, message in (
        (
            HistoryDisplay(HISTORY, x="hours"),
            r"x must be one of \('seconds', 'epoch', 'images'\), got 'hours'",
        ),
        (LatentDimDisplay(LENGTHS, x="bits"), r"x must be a column of the report, .* got 'bits'"),
        (
            BitTableDisplay(bit_table(BITS, ATTRIBUTES), max_bits=0),
            "max_bits must be an integer of at least 1",
        ),
        (ProbeDisplay(report, metric="auc"), "metric must be one of .* got 'auc'"),
        (ProbeDisplay(pd.DataFrame({"roc_auc": [1.0]})), "returned by probe_report; it lacks the columns"),
        (LabelEfficiencyDisplay(curve.assign(attribute="a")), "by_attribute=False"),
    ):
        with pytest.raises(ValueError, match=message):
            display.plot()
    with pytest.raises(TypeError, match="report must be a DataFrame returned by probe_report, got None"):
        ProbeDisplay(None).plot()
