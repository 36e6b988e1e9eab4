"""Probe score against bits per dimension for several code lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from dmzrep._base._validation import short_repr
from dmzrep.plotting._display import Display
from dmzrep.plotting._tables import SCORE_LABELS, check_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMES = SCORE_LABELS | {
    "bits_per_dim": "Bits per dimension (variational bound)",
    "reconstruction_error": "Mean squared error of reconstructions",
    "latent_dim": "Bits of the code",
    "code_bits": "Entropy of the code in bits",
    "seconds": "Seconds of training",
}


class LatentDimDisplay(Display):
    """Two columns of a `latent_dim_report`, a point for each code length.

    Points on the Pareto front are filled and connected; the number beside a point is its `latent_dim`.

    Parameters
    ----------
    report : DataFrame
        Returned by `dmzrep.model_selection.latent_dim_report`.
    x : str, default="bits_per_dim"
        Column of the horizontal axis.
    y : str or None, default=None
        Column of the vertical axis; None takes the score of the probe, or the reconstruction error where
        there is none.

    Examples
    --------
    >>> import pandas as pd
    >>> from dmzrep.plotting import LatentDimDisplay
    >>> report = pd.DataFrame(
    ...     {
    ...         "latent_dim": [8, 32],
    ...         "roc_auc": [0.8, 0.9],
    ...         "bits_per_dim": [2.0, 2.5],
    ...         "reconstruction_error": [0.1, 0.05],
    ...         "pareto": [True, True],
    ...     }
    ... )
    >>> LatentDimDisplay(report).plot()  # doctest: +SKIP
    """

    def __init__(self, report: pd.DataFrame, *, x: str = "bits_per_dim", y: str | None = None):
        self.report = report
        self.x = x
        self.y = y

    def _prepare(self) -> tuple[float, float]:
        check_table(self.report, ["latent_dim", "pareto"], "latent_dim_report", "report")
        self._columns = (
            self._column("x", self.x),
            self._column("y", self._score() if self.y is None else self.y),
        )
        return 5.2, 3.8

    def _draw(self, ax: Axes) -> None:
        x, y = self._columns
        front = self.report[self.report["pareto"]].sort_values(x)
        rest = self.report[~self.report["pareto"]]
        ax.plot(front[x], front[y], "o-", color="C0", label="Pareto front")
        if len(rest):
            ax.plot(rest[x], rest[y], "o", color="C0", markerfacecolor="white", label="dominated")
        for latent_dim, across, up in self.report[["latent_dim", x, y]].itertuples(index=False):
            ax.annotate(
                f"{latent_dim:.0f}",
                (across, up),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        ax.margins(0.15)
        ax.set_xlabel(_NAMES.get(x, x))
        ax.set_ylabel(_NAMES.get(y, y))
        ax.set_title("Code lengths, in bits")
        ax.legend(fontsize=8)

    def _score(self) -> str:
        return next((name for name in SCORE_LABELS if name in self.report), "reconstruction_error")

    def _column(self, parameter: str, name: str) -> str:
        columns = [column for column in self.report if column != "pareto"]
        if name not in columns:
            raise ValueError(
                f"{parameter} must be a column of the report, one of {columns}; got {short_repr(name)}."
            )
        return name
