import numpy as np
import pandas as pd
import pytest

from dmzrep.plotting import LatentDimDisplay


@pytest.fixture
def report():
    return pd.DataFrame(
        {
            "latent_dim": [8, 32, 64],
            "roc_auc": [0.8, 0.9, 0.85],
            "bits_per_dim": [2.0, 2.5, 2.6],
            "reconstruction_error": [0.1, 0.05, 0.04],
            "pareto": [True, True, False],
        }
    )


def test_the_front_is_joined_and_every_point_named(report):
    display = LatentDimDisplay(report.iloc[::-1]).plot()
    front, rest = display.ax_.lines
    assert front.get_xydata().tolist() == [[2.0, 0.8], [2.5, 0.9]]
    assert rest.get_xydata().tolist() == [[2.6, 0.85]]
    assert sorted(text.get_text() for text in display.ax_.texts) == ["32", "64", "8"]
    assert display.ax_.get_ylabel() == "AUROC of a linear probe"
    assert display.ax_.get_xlabel() == "bits per dimension (variational bound)"
    assert display.figure_ is display.ax_.figure


def test_other_columns_can_be_drawn(report):
    display = LatentDimDisplay(report, x="latent_dim", y="reconstruction_error").plot()
    assert np.array_equal(display.ax_.lines[0].get_xdata(), [8, 32])
    without = LatentDimDisplay(report.drop(columns="roc_auc")).plot()
    assert without.ax_.get_ylabel() == "mean squared error of reconstructions"
    with pytest.raises(
        ValueError, match=r"x must be a column of the report, one of \['latent_dim'.*got 'bits'"
    ):
        LatentDimDisplay(report, x="bits").plot()
