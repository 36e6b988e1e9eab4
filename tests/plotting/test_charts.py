"""Displays of tables."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dmzrep.attribution import bit_table
from dmzrep.plotting import (
    BitTableDisplay,
    HistoryDisplay,
    ImageGridDisplay,
    LabelEfficiencyDisplay,
    LatentDimDisplay,
    ProbeDisplay,
)
from dmzrep.probing import label_efficiency, probe_report
from tests.plotting.helpers import texts

VALIDATION = [f"validation_loss{kind}" for kind in ("", "_hard", "_shuffled", "_no_code")]
HISTORY = pd.DataFrame(
    np.arange(24.0).reshape(3, 8), columns=["epoch", "seconds", "images", "loss", *VALIDATION]
)
LENGTHS = pd.DataFrame(
    [(64, 0.85, 2.6, 0.04, False), (32, 0.9, 2.5, 0.05, True), (8, 0.8, 2.0, 0.1, True)],
    columns=["latent_dim", "roc_auc", "bits_per_dim", "reconstruction_error", "pareto"],
)
RNG = np.random.default_rng(0)
Z = RNG.random((120, 4))
Y = pd.DataFrame(Z[:, :3] + 0.3 * RNG.random((120, 3)) > 0.7, columns=["a", "b", "c"])
BITS = RNG.integers(0, 2, (200, 5))
ATTRIBUTES = pd.DataFrame({"hat": BITS[:, 3], "smile": 1 - BITS[:, 1], "beard": RNG.integers(0, 2, 200)})


@pytest.fixture(scope="module")
def report():
    return probe_report(Z, Y, cv=3, baselines={"noise": Z[::-1]}, random_state=0)


@pytest.fixture(scope="module")
def curve():
    baselines = {"noise": (Z[79::-1], Z[80:])}
    options = {"fractions": (0.5, 1.0), "baselines": baselines, "random_state": 0}
    return label_efficiency(Z[:80], Y[:80], Z[80:], Y[80:], **options)


@pytest.fixture
def displays(report, curve):
    return [
        BitTableDisplay(bit_table(BITS, ATTRIBUTES)),
        HistoryDisplay(HISTORY),
        LabelEfficiencyDisplay(curve),
        LatentDimDisplay(LENGTHS),
        ProbeDisplay(report),
    ]


def test_charts_are_drawn_on_the_given_axes(displays):
    for display in displays:
        figure, ax = plt.subplots()
        current = plt.figure()
        assert display.plot(ax) is display and display.ax_ is ax and display.figure_ is figure
        assert plt.gcf() is current and not current.axes
        # More than 20 open figures are warned of.
        plt.close("all")


@pytest.mark.parametrize(
    ("x", "label"), [("seconds", "Training time (s)"), ("epoch", "Epoch"), ("images", "Images seen")]
)
def test_history_curves_match_their_columns(x, label):
    display = HistoryDisplay(HISTORY, x=x).plot()
    for line, column in zip(display.lines_, ["loss", *VALIDATION], strict=True):
        assert_array_equal(line.get_xdata(), HISTORY[x])
        assert_array_equal(line.get_ydata(), HISTORY[column])
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


def test_history_of_an_encoder(encoder, vector_encoder):
    display = HistoryDisplay.from_estimator(encoder)
    assert_array_equal(display.lines_[0].get_ydata(), encoder.history_["loss"])
    assert display.lines_[0].get_marker() == "o"  # A single epoch is not visible as a line.
    assert HistoryDisplay.from_estimator(vector_encoder, x="epoch").lines_


def test_probes_are_sorted_by_the_first_representation(report):
    display = ProbeDisplay(report).plot()
    names = texts(display.ax_.get_yticklabels())
    codes = report[report["representation"] == "codes"].set_index("attribute")["roc_auc"]
    assert names == list(codes.sort_values(kind="stable").index)
    assert [len(dots.get_xdata()) for dots in display.dots_] == [3, 3]
    assert_allclose(display.dots_[0].get_xdata(), codes[names])
    assert texts(display.ax_.get_legend().get_texts()) == ["codes", "noise", "chance"]
    assert display.ax_.get_xlabel() == "AUROC"


def test_probes_with_missing_scores_are_drawn(report):
    missing = report.assign(accuracy_std=np.nan)
    missing.loc[missing["attribute"] == "b", "accuracy"] = np.nan
    display = ProbeDisplay(missing, metric="accuracy").plot()
    assert not display.ax_.collections  # Error bars would be line collections.
    assert texts(display.ax_.get_yticklabels())[0] == "b" and np.isnan(display.dots_[0].get_xdata()[0])


def test_label_efficiency_has_a_curve_for_each_representation(curve):
    display = LabelEfficiencyDisplay(curve).plot()
    assert [line.get_label() for line in display.lines_] == ["codes", "noise"]
    assert_allclose(display.lines_[0].get_xdata(), [40, 80])
    assert_allclose(display.lines_[0].get_ydata(), curve["roc_auc"][:2])
    assert display.ax_.get_xscale() == "log"


def test_latent_dims_on_the_pareto_front_are_connected():
    display = LatentDimDisplay(LENGTHS).plot()
    front, dominated = display.ax_.lines
    assert front.get_xydata().tolist() == [[2.0, 0.8], [2.5, 0.9]]
    assert dominated.get_xydata().tolist() == [[2.6, 0.85]]
    assert sorted(texts(display.ax_.texts)) == ["32", "64", "8"]
    assert display.ax_.get_ylabel() == "AUROC"
    assert display.ax_.get_xlabel() == "Bits per dimension (variational bound)"
    other = LatentDimDisplay(LENGTHS, x="latent_dim", y="reconstruction_error").plot()
    assert_array_equal(other.ax_.lines[0].get_xdata(), [8, 32])
    unprobed = LatentDimDisplay(LENGTHS.drop(columns="roc_auc")).plot()
    assert unprobed.ax_.get_ylabel() == "Mean squared error of reconstructions"


def test_bit_table_is_sorted_by_the_best_attribute():
    table = bit_table(BITS, ATTRIBUTES)
    display = BitTableDisplay(table).plot()
    assert display.values_.index.tolist() == ["hat", "smile", "beard"]
    assert display.values_.columns.tolist()[0] == 3
    assert display.values_.loc["hat", 3] == 1.0 and display.values_.loc["smile", 1] == -1.0
    for row in table.itertuples():
        expected = row.sign * (2 * row.auroc - 1)
        assert display.values_.loc[row.attribute, row.bit] == pytest.approx(expected)
    assert_array_equal(np.asarray(display.image_.get_array()), display.values_)
    assert texts(display.ax_.get_yticklabels()) == ["hat", "smile", "beard"]
    best = BitTableDisplay(table, max_bits=2).plot()
    assert best.values_.columns.tolist() == [3, 1]
    assert best.ax_.get_title() == "Bits and attributes (2 of 5)"


def test_plot_without_matplotlib_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for display in (ImageGridDisplay(np.zeros((1, 1, 8, 8))), HistoryDisplay(HISTORY)):
        with pytest.raises(ImportError, match=rf"{type(display).__name__}\.plot requires matplotlib"):
            display.plot()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda r, c: LatentDimDisplay(LENGTHS, x="bits"), "x must be a column of the report, .* got 'bits'"),
        (
            lambda r, c: ProbeDisplay(pd.DataFrame({"roc_auc": [1.0]})),
            "it lacks the columns",
        ),
        (lambda r, c: ProbeDisplay(pd.concat([r, r])), "average_folds"),
        (lambda r, c: LabelEfficiencyDisplay(c.assign(attribute="a")), "by_attribute=False"),
    ],
)
def test_invalid_tables_and_options_raise(make, message, report, curve):
    with pytest.raises((ValueError, TypeError), match=message):
        make(report, curve).plot()
