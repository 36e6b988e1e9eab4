"""How many bits: probe score against bits per dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from dmzrep._base._validation import short_repr
from dmzrep.model_selection._latent_dims import latent_dim_report
from dmzrep.plotting._axes import axes_to_draw_on, check_axes
from dmzrep.plotting._probes import check_report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMES = {
    "roc_auc": "AUROC of a linear probe",
    "average_precision": "average precision of a linear probe",
    "accuracy": "accuracy of a linear probe",
    "balanced_accuracy": "balanced accuracy of a linear probe",
    "r2": "R² of a linear probe",
    "pearson_r": "correlation of a linear probe",
    "bits_per_dim": "bits per dimension (variational bound)",
    "reconstruction_error": "mean squared error of reconstructions",
    "latent_dim": "bits of a code",
    "code_bits": "entropy of the code in bits",
    "seconds": "seconds of training",
}


class LatentDimDisplay:
    """Two columns of a `latent_dim_report`, a point for each code length.

    Points on the Pareto front are filled and joined; the number beside a point is its `latent_dim`.

    Parameters
    ----------
    report : DataFrame
        From `latent_dim_report`.
    x : str, default="bits_per_dim"
        Column of the horizontal axis.
    y : str or None, default=None
        Column of the vertical axis; None is the probe's score, or the reconstruction error of a report
        without one.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the plot.
    figure_ : matplotlib Figure
        Figure of the axes.

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

    @classmethod
    def from_data(
        cls,
        X: Any,
        Y: Any = None,
        *,
        x: str = "bits_per_dim",
        y: str | None = None,
        ax: Axes | None = None,
        **options: Any,
    ) -> Self:
        """Train an encoder for each code length and draw the report.

        Parameters
        ----------
        X, Y
            As in `latent_dim_report`.
        x, y : str
            Columns to draw.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        **options
            Of `latent_dim_report`, such as `latent_dims` and `max_time`.

        Returns
        -------
        LatentDimDisplay
        """
        check_axes(ax, f"{cls.__name__}.from_data")
        return cls(latent_dim_report(X, Y, **options), x=x, y=y).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the plot.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        LatentDimDisplay
        """
        check_report(self.report, ["latent_dim", "pareto"], "latent_dim_report", "report")
        x, y = self._column("x", self.x), self._column("y", self._score() if self.y is None else self.y)
        ax = axes_to_draw_on(ax, (5.2, 3.8), f"{type(self).__name__}.plot")
        front = self.report[self.report["pareto"]].sort_values(x)
        rest = self.report[~self.report["pareto"]]
        ax.plot(front[x], front[y], "o-", color="C0", label="Pareto front")
        if len(rest):
            ax.plot(rest[x], rest[y], "o", color="C0", markerfacecolor="white", label="dominated")
        for latent_dim, across, up in self.report[["latent_dim", x, y]].itertuples(index=False):
            ax.annotate(
                f"{latent_dim:.0f}", (across, up), xytext=(5, 4), textcoords="offset points", fontsize=8
            )
        ax.margins(0.1)
        ax.set_xlabel(_NAMES.get(x, x))
        ax.set_ylabel(_NAMES.get(y, y))
        ax.set_title("Code lengths, in bits")
        ax.legend(fontsize=8)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _score(self) -> str:
        scores = list(_NAMES)[: list(_NAMES).index("bits_per_dim")]
        return next((name for name in scores if name in self.report), "reconstruction_error")

    def _column(self, parameter: str, name: str) -> str:
        columns = [column for column in self.report if column != "pareto"]
        if name not in columns:
            raise ValueError(
                f"{parameter} must be a column of the report, one of {columns}; got {short_repr(name)}."
            )
        return name
