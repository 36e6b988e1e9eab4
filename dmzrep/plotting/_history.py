"""Losses over training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from dmzrep._base._validation import check_choice, short_repr
from dmzrep.estimator._encoder import DMZEncoder, check_encoder
from dmzrep.plotting._axes import axes_to_draw_on, check_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Columns of the history that are drawn: label and line style.
CURVES: dict[str, tuple[str, dict[str, Any]]] = {
    "loss": ("training, relaxed code", {"color": "0.6"}),
    "validation_loss": ("validation, relaxed code", {"color": "C0"}),
    "validation_loss_hard": ("validation, hard bits", {"color": "C1"}),
    "validation_loss_shuffled": ("validation, bits of another image", {"color": "C3", "linestyle": "--"}),
    "validation_loss_no_code": ("validation, no code", {"color": "C4", "linestyle": ":"}),
}
#: What the x axis may show: its label.
X_LABELS = {"seconds": "Training time (s)", "epoch": "Epoch", "images": "Images seen"}


class HistoryDisplay:
    """Losses over training.

    The distance between the curves of an image's own bits and of another image's bits is what
    the denoiser learns from the code; the distance between relaxed code and hard bits is what
    rounding costs.

    Make one with `from_estimator`.

    Parameters
    ----------
    history : DataFrame
        A row an epoch, as `DMZEncoder.history_`.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the curves.
    figure_ : matplotlib Figure
        Figure of the axes.
    lines_ : list of matplotlib Line2D
        The curves.

    Notes
    -----
    Training and validation losses need not agree even without overfitting: the validation loss
    takes averaged weights and all noise levels alike, the training loss the latest weights and,
    by default, more of the high noise levels.

    Examples
    --------
    >>> from dmzrep import DMZEncoder
    >>> from dmzrep.datasets import load_digits_images
    >>> from dmzrep.plotting import HistoryDisplay
    >>> encoder = DMZEncoder(max_time=60).fit(load_digits_images().images)  # doctest: +SKIP
    >>> HistoryDisplay.from_estimator(encoder)  # doctest: +SKIP
    """

    def __init__(self, history: pd.DataFrame):
        self.history = history

    @classmethod
    def from_estimator(cls, encoder: DMZEncoder, *, x: str = "seconds", ax: Axes | None = None) -> Self:
        """Draw the history of a fitted encoder.

        Parameters
        ----------
        encoder : DMZEncoder
            Fitted.
        x : {"seconds", "epoch", "images"}, default="seconds"
            As in `plot`.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        HistoryDisplay
        """
        check_encoder(encoder)
        return cls(encoder.history_.copy()).plot(ax, x=x)

    def plot(self, ax: Axes | None = None, *, x: str = "seconds") -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        x : {"seconds", "epoch", "images"}, default="seconds"
            What the x axis shows.

        Returns
        -------
        HistoryDisplay
        """
        check_choice("x", x, tuple(X_LABELS))
        check_axes(ax, f"{type(self).__name__}.plot")
        if not isinstance(self.history, pd.DataFrame) or x not in self.history:
            raise ValueError(
                f"history must be the history_ of a DMZEncoder, a DataFrame with the column {x!r}, got "
                f"{short_repr(self.history)}."
            )
        from matplotlib.ticker import MaxNLocator

        ax = axes_to_draw_on(ax, (6.4, 4.0), f"{type(self).__name__}.plot")
        # One epoch makes no line.
        marker = "o" if len(self.history) == 1 else None
        self.lines_ = [
            ax.plot(self.history[x], self.history[column], label=label, marker=marker, **style)[0]
            for column, (label, style) in CURVES.items()
            if column in self.history
        ]
        ax.set(xlabel=X_LABELS[x], ylabel="Loss", title="Denoising loss")
        if x == "epoch":
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(frameon=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self
