"""Where displays draw: the axes that they are given, or a figure of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.utils._optional_dependencies import check_matplotlib_support

from dmzrep._base._validation import short_repr

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def axes_to_draw_on(ax: Any, size: tuple[float, float], caller: str) -> Axes:
    """Give the axes, or those of a new figure; raise where they are none.

    Parameters
    ----------
    ax : matplotlib Axes or None
        None makes a figure.
    size : tuple of two floats
        Width and height of that, in inches.
    caller : str
        What draws, for the error when matplotlib is absent.
    """
    check_axes(ax, caller)
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def check_axes(ax: Any, caller: str) -> None:
    """Raise unless there are axes to draw on, or None; for what takes long before it draws."""
    check_matplotlib_support(caller)
    from matplotlib.axes import Axes

    if not (ax is None or isinstance(ax, Axes)):
        raise TypeError(
            f"ax must be a matplotlib Axes, or None, got {short_repr(ax)}. plt.subplots()[1] is one."
        )
