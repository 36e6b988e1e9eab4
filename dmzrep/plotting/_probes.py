"""Scores of linear probes, by attribute and by number of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dmzrep.plotting._display import SCORE_LABELS, Display, check_scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

#: Scores at chance level.
_CHANCE = {"balanced_accuracy": 0.5, "roc_auc": 0.5, "r2": 0.0, "pearson_r": 0.0}
_CHANCE_STYLE: dict[str, Any] = {"color": "0.5", "linestyle": "--", "linewidth": 1, "label": "chance"}
#: Height of an attribute in a new figure, in inches.
_LINE = 0.19


class ProbeDisplay(Display):
    """Scores of linear probes, with a row for each attribute and a dot for each representation.

    Attributes are sorted by the score of the first representation, the best at the top; error bars are the
    standard deviation over folds.

    Parameters
    ----------
    report : DataFrame
        Returned by `dmzrep.probing.probe_report`.
    metric : str, default="roc_auc"
        Score to draw.

    Attributes
    ----------
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
    >>> ProbeDisplay(report).plot()  # doctest: +SKIP
    """

    def __init__(self, report: pd.DataFrame, *, metric: str = "roc_auc"):
        self.report = report
        self.metric = metric

    def _prepare(self) -> tuple[float, float]:
        check_scores(self.report, self.metric, ["attribute", "representation"], "probe_report", "report")
        if self.report.duplicated(["attribute", "representation"]).any():
            raise ValueError(
                "report must have one row for each attribute and representation, but repeats some. Average "
                "the folds of probe_scores with average_folds first."
            )
        n_attributes, n_names = (self.report[name].nunique() for name in ("attribute", "representation"))
        return 6.4, 1.3 + _LINE * max(n_attributes, 3) + 0.2 * ((n_names + 2) // 3)

    def _draw(self, ax: Axes) -> None:
        names = list(dict.fromkeys(self.report["representation"]))
        table = self.report.set_index(["representation", "attribute"])
        first = table.loc[names[0], self.metric].sort_values(na_position="first", kind="stable")
        order = list(first.index[::-1] if self.metric == "mean_squared_error" else first.index)
        heights = np.arange(len(order))
        self.dots_: list[Line2D] = []
        for rank, name in enumerate(names):
            scores = table.loc[name].reindex(order)
            spread = scores.get(f"{self.metric}_std", pd.Series(np.nan, index=scores.index))
            dots = ax.errorbar(
                scores[self.metric].to_numpy(float),
                heights,
                xerr=None if spread.isna().all() else spread.fillna(0.0).to_numpy(float),
                fmt="oDs^vP*X"[rank % 8],
                markersize=4 if rank else 5,
                elinewidth=1,
                color=f"C{rank}",
                alpha=0.75 if rank else 1.0,
                label=name,
                zorder=3.0 - 0.01 * rank,  # The first representation is on top.
            )
            self.dots_.append(dots.lines[0])
        if self.metric in _CHANCE:
            ax.axvline(_CHANCE[self.metric], zorder=0, **_CHANCE_STYLE)
        ax.set_yticks(heights, [str(name) for name in order], fontsize=8, parse_math=False)
        ax.set_ylim(-0.7, len(order) - 0.3)
        ax.grid(axis="y", color="0.92")
        ax.set_axisbelow(True)
        ax.set(xlabel=SCORE_LABELS[self.metric])
        handles, labels = ax.get_legend_handles_labels()
        n_lines = len(handles) - len(names)  # Chance, which Matplotlib puts before error bars.
        ax.legend(
            handles[n_lines:] + handles[:n_lines],
            labels[n_lines:] + labels[:n_lines],
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=min(3, len(handles)),
            frameon=False,
            fontsize=8,
            title="Linear probes of each attribute",
        )


class LabelEfficiencyDisplay(Display):
    """Score against the number of labelled samples, with a curve for each representation.

    Bands are the standard deviation over draws of the labelled samples.

    Parameters
    ----------
    curve : DataFrame
        Returned by `dmzrep.probing.label_efficiency` with ``by_attribute=False``.
    metric : str, default="roc_auc"
        Score to draw.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        A curve for each representation.

    See Also
    --------
    label_efficiency : The scores as a table.

    Examples
    --------
    >>> from dmzrep.plotting import LabelEfficiencyDisplay
    >>> from dmzrep.probing import label_efficiency
    >>> curve = label_efficiency(Z, Y, Z_test, Y_test)  # doctest: +SKIP
    >>> LabelEfficiencyDisplay(curve).plot()  # doctest: +SKIP
    """

    def __init__(self, curve: pd.DataFrame, *, metric: str = "roc_auc"):
        self.curve = curve
        self.metric = metric

    def _prepare(self) -> tuple[float, float]:
        check_scores(self.curve, self.metric, ["representation", "n_train"], "label_efficiency", "curve")
        if "attribute" in self.curve:
            raise ValueError("curve must have one row per representation and size; use by_attribute=False.")
        return 5.6, 4.0

    def _draw(self, ax: Axes) -> None:
        from matplotlib.ticker import NullFormatter, ScalarFormatter

        self.lines_ = []
        for name, scores in self.curve.groupby("representation", sort=False):
            scores = scores.sort_values("n_train")
            (line,) = ax.plot(scores["n_train"], scores[self.metric], marker="o", markersize=4, label=name)
            spread = scores[f"{self.metric}_std"].fillna(0.0)
            low, high = scores[self.metric] - spread, scores[self.metric] + spread
            ax.fill_between(scores["n_train"], low, high, color=line.get_color(), alpha=0.15, linewidth=0)
            self.lines_.append(line)
        if self.metric in _CHANCE:
            ax.axhline(_CHANCE[self.metric], zorder=0, **_CHANCE_STYLE)
        ax.set_xscale("log")
        ax.set_xticks(sorted(set(self.curve["n_train"])))
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set(
            xlabel="Labelled samples", ylabel=SCORE_LABELS[self.metric], title="Linear probes with few labels"
        )
        ax.legend(frameon=False, fontsize=8)
