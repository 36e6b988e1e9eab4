import matplotlib.pyplot as plt
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from dmzrep.plotting import HistoryDisplay

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


@pytest.mark.parametrize(
    ("x", "label"), [("seconds", "Training time (s)"), ("epoch", "Epoch"), ("images", "Images seen")]
)
def test_four_named_curves_against_the_chosen_axis(x, label):
    display = HistoryDisplay(HISTORY).plot(x=x)

    assert len(display.lines_) == len(display.ax_.lines) == 4
    columns = ["loss", "validation_loss", "validation_loss_hard", "validation_loss_shuffled"]
    for line, column in zip(display.lines_, columns, strict=True):
        assert_array_equal(line.get_xdata(), HISTORY[x])
        assert_array_equal(line.get_ydata(), HISTORY[column])
    assert display.ax_.get_xlabel() == label
    assert display.ax_.get_title() == "Denoising loss"
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == [
        "training, relaxed code",
        "validation, relaxed code",
        "validation, hard bits",
        "validation, bits of another image",
    ]


def test_the_loss_without_a_code_is_drawn_where_it_was_measured():
    display = HistoryDisplay(HISTORY.assign(validation_loss_no_code=[1.3, 1.2, 1.1])).plot()
    assert_array_equal(display.lines_[-1].get_ydata(), [1.3, 1.2, 1.1])
    assert display.ax_.get_legend().get_texts()[-1].get_text() == "validation, no code"


def test_without_validation_there_is_one_curve():
    assert len(HistoryDisplay(HISTORY[["epoch", "seconds", "loss"]]).plot().lines_) == 1


def test_from_estimator_shows_a_single_epoch_as_points(encoder):
    display = HistoryDisplay.from_estimator(encoder)
    assert_array_equal(display.lines_[0].get_ydata(), encoder.history_["loss"])
    assert display.lines_[0].get_marker() == "o"


def test_vectors_have_a_history_too_and_the_given_axes_are_used(vector_encoder):
    figure, ax = plt.subplots()
    display = HistoryDisplay.from_estimator(vector_encoder, x="epoch", ax=ax)
    assert display.ax_ is ax and display.figure_ is figure


def test_epochs_are_whole_numbers():
    display = HistoryDisplay(HISTORY).plot(x="epoch")
    display.figure_.canvas.draw()
    assert all(float(tick).is_integer() for tick in display.ax_.get_xticks())


def test_an_unknown_axis_is_named_with_the_choices():
    with pytest.raises(ValueError, match=r"x must be one of \('seconds', 'epoch', 'images'\), got 'hours'"):
        HistoryDisplay(HISTORY).plot(x="hours")
