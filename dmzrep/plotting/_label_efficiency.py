"""Scores against the number of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import pandas as pd

from dmzrep.plotting._axes import axes_to_draw_on
from dmzrep.plotting._probes import CHANCE, SCORE_LABELS, check_score

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class LabelEfficiencyDisplay:
    """Score against the number of labelled rows, a curve for each representation.

    Parameters
    ----------
    curve : DataFrame
        From `dmzrep.probing.label_efficiency` with ``by_attribute=False``.
    metric : str, default="roc_auc"
        The score to show.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the curves.
    figure_ : matplotlib Figure
        Figure of the axes.
    lines_ : list of matplotlib Line2D
        A curve for each representation.

    Examples
    --------
    >>> from dmzrep.plotting import LabelEfficiencyDisplay
    >>> from dmzrep.probing import label_efficiency
    >>> curve = label_efficiency(Z, Y, Z_test, Y_test)  # doctest: +SKIP
    >>> LabelEfficiencyDisplay.from_curve(curve)  # doctest: +SKIP
    """

    def __init__(self, curve: pd.DataFrame, *, metric: str = "roc_auc"):
        self.curve = curve
        self.metric = metric

    @classmethod
    def from_curve(cls, curve: pd.DataFrame, *, metric: str = "roc_auc", ax: Axes | None = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        curve : DataFrame
            From `dmzrep.probing.label_efficiency`.
        metric : str, default="roc_auc"
            The score to show.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        LabelEfficiencyDisplay
        """
        return cls(curve, metric=metric).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the curves, with a band of one standard deviation over draws of rows.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        LabelEfficiencyDisplay
        """
        check_score(self.curve, self.metric, ["representation", "n_train"], "label_efficiency", "curve")
        if "attribute" in self.curve:
            raise ValueError("The table has a row for each attribute; make it with by_attribute=False.")
        from matplotlib.ticker import NullFormatter, ScalarFormatter

        ax = axes_to_draw_on(ax, (5.6, 4.0), f"{type(self).__name__}.plot")
        self.lines_ = []
        for name, rows in self.curve.groupby("representation", sort=False):
            rows = rows.sort_values("n_train")
            (line,) = ax.plot(rows["n_train"], rows[self.metric], marker="o", markersize=4, label=name)
            spread = rows[f"{self.metric}_std"].fillna(0.0)
            low, high = rows[self.metric] - spread, rows[self.metric] + spread
            ax.fill_between(rows["n_train"], low, high, color=line.get_color(), alpha=0.15, linewidth=0)
            self.lines_.append(line)
        if self.metric in CHANCE:
            ax.axhline(CHANCE[self.metric], color="0.5", linestyle="--", linewidth=1, label="chance")
        ax.set_xscale("log")
        ticks = sorted(set(self.curve["n_train"]))
        ax.set_xticks(ticks)
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set(
            xlabel="Labelled rows",
            ylabel=SCORE_LABELS.get(self.metric, self.metric),
            title="Linear probes from few labels",
        )
        ax.legend(frameon=False, fontsize=8)
        self.ax_, self.figure_ = ax, ax.figure
        return self
