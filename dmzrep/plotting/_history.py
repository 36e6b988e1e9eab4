"""Losses during training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from dmzrep._base._validation import check_choice
from dmzrep.estimator._encoder import DMZEncoder, check_encoder
from dmzrep.plotting._display import Display, check_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Columns of the history to draw, with label and style.
_CURVES: dict[str, tuple[str, dict[str, Any]]] = {
    "loss": ("training, relaxed code", {"color": "0.6"}),
    "validation_loss": ("validation, relaxed code", {"color": "C0"}),
    "validation_loss_hard": ("validation, hard bits", {"color": "C1"}),
    "validation_loss_shuffled": ("validation, bits of another image", {"color": "C3", "linestyle": "--"}),
    "validation_loss_no_code": ("validation, no code", {"color": "C4", "linestyle": ":"}),
}
#: Columns of the x axis, with label.
_X_LABELS = {"seconds": "Training time (s)", "epoch": "Epoch", "images": "Images seen"}


class HistoryDisplay(Display):
    """Losses during training.

    The gap between the losses with an image's own bits and with those of another image shows how much the
    denoiser uses the code; the gap between relaxed code and hard bits is the cost of rounding.

    Parameters
    ----------
    history : DataFrame
        `DMZEncoder.history_`.
    x : {"seconds", "epoch", "images"}, default="seconds"
        Column on the x axis.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The curves.

    See Also
    --------
    DMZEncoder : Its attribute `history_` holds the losses.

    Notes
    -----
    Training and validation losses differ even without overfitting: validation uses averaged weights and
    uniform timesteps, training the latest weights and, by default, more of the high noise levels.

    Examples
    --------
    >>> from dmzrep.plotting import HistoryDisplay
    >>> HistoryDisplay.from_estimator(encoder)  # doctest: +SKIP
    """

    def __init__(self, history: pd.DataFrame, *, x: str = "seconds"):
        self.history = history
        self.x = x

    @classmethod
    def from_estimator(cls, encoder: DMZEncoder, *, x: str = "seconds", ax: Axes | None = None) -> Self:
        """Draw the history of a fitted encoder.

        Parameters
        ----------
        encoder : DMZEncoder
            Fitted.
        x : {"seconds", "epoch", "images"}, default="seconds"
            Column on the x axis.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None creates a figure.

        Returns
        -------
        HistoryDisplay
        """
        check_encoder(encoder)
        return cls(encoder.history_.copy(), x=x).plot(ax)

    def _prepare(self) -> tuple[float, float]:
        check_choice("x", self.x, tuple(_X_LABELS))
        check_table(self.history, [self.x], "DMZEncoder.history_", "history")
        return 6.4, 4.0

    def _draw(self, ax: Axes) -> None:
        from matplotlib.ticker import MaxNLocator

        # A single epoch is not visible as a line.
        marker = "o" if len(self.history) == 1 else None
        self.lines_ = [
            ax.plot(self.history[self.x], self.history[column], label=label, marker=marker, **style)[0]
            for column, (label, style) in _CURVES.items()
            if column in self.history
        ]
        ax.set(xlabel=_X_LABELS[self.x], ylabel="Loss", title="Denoising loss")
        if self.x == "epoch":
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(frameon=False)
