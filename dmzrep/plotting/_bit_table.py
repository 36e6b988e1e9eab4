"""Which bits go with which attributes, as a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from dmzrep._base._validation import check_int
from dmzrep.attribution import bit_table
from dmzrep.plotting._axes import axes_to_draw_on
from dmzrep.plotting._probes import check_report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Size of a cell in a figure that a display makes itself, in inches.
_CELL = 0.17


class BitTableDisplay:
    """A heat map of bits against attributes.

    Make one with `from_codes`. Colour is how well the bit alone tells the attribute, from 0 (AUROC
    0.5, white) to 1 (AUROC 1), red where the bit is on with the attribute and blue where it is off.
    Bits stand in the order of the attribute that they tell best, so that a code of one bit an
    attribute would show a diagonal.

    Parameters
    ----------
    table : DataFrame
        From `bit_table`.
    max_bits : int or None, default=None
        Show only the bits that tell most about some attribute.
    title : str, default="Bits and attributes"
        Title of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the heat map.
    figure_ : matplotlib Figure
        Figure of the axes.
    image_ : matplotlib AxesImage
        The heat map.
    strengths_ : DataFrame of shape (n_attributes, n_bits)
        What it shows: sign x (2 AUROC - 1), in [-1, 1].

    Examples
    --------
    >>> from dmzrep import DMZEncoder
    >>> from dmzrep.datasets import make_sprites
    >>> from dmzrep.plotting import BitTableDisplay
    >>> sprites = make_sprites(random_state=0)
    >>> encoder = DMZEncoder(latent_dim=32, max_time=60).fit(sprites.images)  # doctest: +SKIP
    >>> Z = encoder.transform(sprites.images)  # doctest: +SKIP
    >>> BitTableDisplay.from_codes(Z, sprites.attributes)  # doctest: +SKIP
    """

    def __init__(
        self, table: pd.DataFrame, *, max_bits: int | None = None, title: str = "Bits and attributes"
    ):
        self.table = table
        self.max_bits = max_bits
        self.title = title

    @classmethod
    def from_codes(cls, Z: Any, Y: Any, *, max_bits: int | None = 64, ax: Axes | None = None) -> Self:
        """Compare bits with attributes and draw the table.

        Parameters
        ----------
        Z : array-like of shape (n, latent_dim)
            Bits or probabilities.
        Y : DataFrame or array-like of shape (n, n_attributes)
            Attributes, 0 or 1; NaN where not known.
        max_bits : int or None, default=64
            Show only so many bits, those that tell most about some attribute; None shows all.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        BitTableDisplay
        """
        return cls(bit_table(Z, Y), max_bits=max_bits).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the heat map.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        BitTableDisplay
        """
        if self.max_bits is not None:
            check_int(self.max_bits, "max_bits", also=", or None")
        check_report(self.table, ["bit", "attribute", "auroc", "sign"], "bit_table", "table")
        strengths = self._strengths()
        n_attributes, n_bits = strengths.shape
        size = (max(4.5, _CELL * n_bits + 3.0), max(2.5, _CELL * n_attributes + 1.4))
        ax = axes_to_draw_on(ax, size, f"{type(self).__name__}.plot")
        self.image_ = ax.imshow(strengths, cmap="RdBu_r", vmin=-1.0, vmax=1.0, aspect="auto")
        ax.set_yticks(range(n_attributes), strengths.index, fontsize=8)
        ax.set_xticks(range(n_bits), strengths.columns, fontsize=7, rotation=90)
        ax.tick_params(length=0)
        ax.set_xlabel("bit")
        ax.set_title(
            self.title if n_bits == self._n_bits() else f"{self.title} ({n_bits} of {self._n_bits()})"
        )
        ax.figure.colorbar(self.image_, ax=ax, label="sign x (2 AUROC - 1)")
        self.ax_, self.figure_, self.strengths_ = ax, ax.figure, strengths
        return self

    def _n_bits(self) -> int:
        return self.table["bit"].nunique()

    def _strengths(self) -> pd.DataFrame:
        signed = self.table.assign(strength=self.table["sign"] * (2.0 * self.table["auroc"] - 1.0))
        wide = signed.pivot(index="attribute", columns="bit", values="strength")
        wide = wide.loc[self.table["attribute"].unique()]
        size = wide.abs()
        best, strongest = size.to_numpy().argmax(axis=0), size.max().to_numpy()
        best[strongest == 0.0] = len(wide)  # Constant bits come last.
        kept = np.argsort(-strongest, kind="stable")[: self.max_bits]
        # By the attribute that a bit tells best; among those, the strongest first.
        order = kept[np.lexsort((-strongest[kept], best[kept]))]
        return wide.iloc[:, order]
