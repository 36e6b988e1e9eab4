"""The base class of Displays, and checks of the tables that they draw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
from sklearn.utils._optional_dependencies import check_matplotlib_support

from dmzrep._base._validation import check_choice, short_repr

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Axis labels of scores.
SCORE_LABELS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "roc_auc": "AUROC",
    "average_precision": "Average precision",
    "r2": "R²",
    "pearson_r": "Pearson's r",
    "mean_squared_error": "Mean squared error",
}


class Display(ABC):
    """A drawing on one Matplotlib axes, `ax_`, of the figure `figure_`."""

    ax_: Axes
    figure_: Figure

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw on Matplotlib axes.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None creates a figure.

        Returns
        -------
        self
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        from matplotlib.axes import Axes

        if not (ax is None or isinstance(ax, Axes)):
            raise TypeError(
                f"ax must be a Matplotlib Axes or None, got {short_repr(ax)}. "
                "Pass one of the axes of plt.subplots()."
            )
        size = self._prepare()
        if ax is None:
            import matplotlib.pyplot as plt

            ax = plt.figure(figsize=size, layout="constrained").add_subplot()
        self.ax_, self.figure_ = ax, ax.figure  # type: ignore[assignment]
        self._draw(ax)
        return self

    @abstractmethod
    def _prepare(self) -> tuple[float, float]:
        """Check the parameters, and return the size of a new figure in inches."""

    @abstractmethod
    def _draw(self, ax: Axes) -> None:
        """Draw on the axes."""


def check_table(table: Any, needed: list[str], source: str, name: str) -> None:
    """Raise unless a value is a table with the needed columns."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"{name} must be a DataFrame from {source}, got {short_repr(table)}.")
    missing = [column for column in needed if column not in table]
    if missing:
        raise ValueError(f"{name} must be a DataFrame from {source}; it lacks the columns {missing}.")


def check_scores(table: Any, metric: str, needed: list[str], source: str, name: str) -> None:
    """Raise unless a value is a table with a score and the needed columns."""
    check_table(table, needed, source, name)
    check_choice("metric", metric, tuple(score for score in SCORE_LABELS if score in table))
