"""The base class of Displays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from sklearn.utils._optional_dependencies import check_matplotlib_support

from dmzrep._base._validation import short_repr

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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
