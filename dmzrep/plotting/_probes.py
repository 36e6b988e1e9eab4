"""How well attributes can be read off codes: a line an attribute, a dot a representation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from dmzrep._base._validation import check_choice, short_repr
from dmzrep.plotting._axes import axes_to_draw_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

#: Names of scores on axes, and what chance reaches.
SCORE_LABELS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "roc_auc": "AUROC",
    "average_precision": "Average precision",
    "r2": "R²",
    "pearson_r": "Pearson's r",
    "mean_squared_error": "Mean squared error",
}
CHANCE = {"balanced_accuracy": 0.5, "roc_auc": 0.5, "r2": 0.0, "pearson_r": 0.0}
#: Height of an attribute's line in a figure that a display makes itself, in inches.
LINE = 0.19


def check_report(table: Any, needed: list[str], source: str, name: str) -> None:
    """Raise unless a value is a table with the columns that a display reads."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"{name} must be what {source} gives, a DataFrame, got {short_repr(table)}.")
    missing = [column for column in needed if column not in table]
    if missing:
        raise ValueError(f"{name} must be what {source} gives; it lacks the columns {missing}.")


def check_score(table: Any, metric: str, needed: list[str], source: str, name: str) -> None:
    """Raise unless a value is a table with a score and the columns that a display reads."""
    check_report(table, needed, source, name)
    check_choice("metric", metric, tuple(name for name in SCORE_LABELS if name in table))


class ProbeDisplay:
    """Scores of linear probes: a line for each attribute, a dot for each representation.

    Attributes are sorted by the first representation's score, the best at the top.

    Parameters
    ----------
    report : DataFrame
        From `dmzrep.probing.probe_report`.
    metric : str, default="roc_auc"
        The score to show.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the dots.
    figure_ : matplotlib Figure
        Figure of the axes.
    dots_ : list of matplotlib Line2D
        The dots of each representation.

    See Also
    --------
    dmzrep.probing.probe_report : The scores as a table.

    Examples
    --------
    >>> from dmzrep.plotting import ProbeDisplay
    >>> from dmzrep.probing import probe_report
    >>> report = probe_report(encoder.transform(X), Y, baselines={"pixels": X})  # doctest: +SKIP
    >>> ProbeDisplay.from_report(report)  # doctest: +SKIP
    """

    def __init__(self, report: pd.DataFrame, *, metric: str = "roc_auc"):
        self.report = report
        self.metric = metric

    @classmethod
    def from_report(cls, report: pd.DataFrame, *, metric: str = "roc_auc", ax: Axes | None = None) -> Self:
        """Draw a report.

        Parameters
        ----------
        report : DataFrame
            From `dmzrep.probing.probe_report`.
        metric : str, default="roc_auc"
            The score to show.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure that is as high as there are attributes.

        Returns
        -------
        ProbeDisplay
        """
        return cls(report, metric=metric).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the dots, with bars of one standard deviation over folds where there is one.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        ProbeDisplay
        """
        check_score(self.report, self.metric, ["attribute", "representation"], "probe_report", "report")
        names = list(dict.fromkeys(self.report["representation"]))
        table = self.report.set_index(["representation", "attribute"])
        first = table.loc[names[0], self.metric].sort_values(na_position="first", kind="stable")
        if self.metric == "mean_squared_error":
            first = first[::-1]
        order = list(first.index)
        size = (6.4, 1.3 + LINE * max(len(order), 3) + 0.2 * ((len(names) + 2) // 3))
        ax = axes_to_draw_on(ax, size, f"{type(self).__name__}.plot")
        heights = np.arange(len(order))
        self.dots_: list[Line2D] = []
        # The first representation is drawn last, over the others.
        for rank, name in reversed(list(enumerate(names))):
            rows = table.loc[name].reindex(order)
            spread = rows.get(f"{self.metric}_std", pd.Series(np.nan, index=rows.index))
            dots = ax.errorbar(
                rows[self.metric].to_numpy(float),
                heights,
                xerr=None if spread.isna().all() else spread.fillna(0.0).to_numpy(float),
                fmt="o" if rank == 0 else "oDs^vP*X"[rank % 8],
                markersize=5 if rank == 0 else 4,
                elinewidth=1,
                color=f"C{rank}",
                alpha=1.0 if rank == 0 else 0.75,
                label=name,
            )
            self.dots_.insert(0, dots.lines[0])
        if self.metric in CHANCE:
            ax.axvline(
                CHANCE[self.metric], color="0.5", linestyle="--", linewidth=1, label="chance", zorder=0
            )
        ax.set_yticks(heights, [str(name) for name in order], fontsize=8)
        ax.set_ylim(-0.7, len(order) - 0.3)
        ax.grid(axis="y", color="0.92")
        ax.set_axisbelow(True)
        ax.set(xlabel=SCORE_LABELS.get(self.metric, self.metric))
        handles, labels = ax.get_legend_handles_labels()
        by_label = dict(zip(labels, handles, strict=True))
        shown = [*names, *(["chance"] if self.metric in CHANCE else [])]
        ax.legend(
            [by_label[label] for label in shown],
            shown,
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=min(3, len(shown)),
            frameon=False,
            fontsize=8,
            title="Linear probes of each attribute",
        )
        self.ax_, self.figure_ = ax, ax.figure
        return self
