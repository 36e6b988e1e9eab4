"""Probe score against bits per dimension for several code lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from dmzrep._base._validation import short_repr
from dmzrep.plotting._display import SCORE_LABELS, Display, check_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABELS = SCORE_LABELS | {
    "bits_per_dim": "Bits per dimension (variational bound)",
    "reconstruction_error": "Mean squared error of reconstructions",
    "latent_dim": "Bits of the code",
    "code_bits": "Entropy of the code in bits",
    "seconds": "Training time (s)",
}


class LatentDimDisplay(Display):
    """Two columns of a `latent_dim_report`, with a point for each code length.

    Points on the Pareto front are filled and connected; the number at a point is its `latent_dim`.

    Parameters
    ----------
    report : DataFrame
        Returned by `dmzrep.model_selection.latent_dim_report`.
    x : str, default="bits_per_dim"
        Column on the x axis.
    y : str or None, default=None
        Column on the y axis; None uses the score of the probe, if there is one, or the reconstruction error.

    See Also
    --------
    latent_dim_report : The report.

    Examples
    --------
    >>> import pandas as pd
    >>> from dmzrep.plotting import LatentDimDisplay
    >>> report = pd.DataFrame({"latent_dim": [8, 32], "roc_auc": [0.8, 0.9], "bits_per_dim": [2.0, 2.5]})
    >>> report["pareto"] = True
    >>> LatentDimDisplay(report).plot()  # doctest: +SKIP
    """

    def __init__(self, report: pd.DataFrame, *, x: str = "bits_per_dim", y: str | None = None):
        self.report = report
        self.x = x
        self.y = y

    def _prepare(self) -> tuple[float, float]:
        check_table(self.report, ["latent_dim", "pareto"], "latent_dim_report", "report")
        default = next((name for name in SCORE_LABELS if name in self.report), "reconstruction_error")
        self._y = default if self.y is None else self.y
        columns = [column for column in self.report if column != "pareto"]
        for parameter, column in (("x", self.x), ("y", self._y)):
            if column not in columns:
                raise ValueError(
                    f"{parameter} must be a column of the report, one of {columns}; got {short_repr(column)}."
                )
        return 5.2, 3.8

    def _draw(self, ax: Axes) -> None:
        x, y = self.x, self._y
        front = self.report[self.report["pareto"]].sort_values(x)
        rest = self.report[~self.report["pareto"]]
        ax.plot(front[x], front[y], "o-", color="C0", label="Pareto front")
        if len(rest):
            ax.plot(rest[x], rest[y], "o", color="C0", markerfacecolor="white", label="dominated")
        style: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 8}
        for latent_dim, *point in self.report[["latent_dim", x, y]].itertuples(index=False):
            ax.annotate(f"{latent_dim:.0f}", (point[0], point[1]), xytext=(0, 7), **style)
        ax.margins(0.15)
        ax.set(xlabel=_LABELS.get(x, x), ylabel=_LABELS.get(y, y), title="Code lengths, in bits")
        ax.legend(fontsize=8)
