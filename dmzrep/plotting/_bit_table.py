"""A heat map of bits against attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from dmzrep._base._validation import check_int
from dmzrep.plotting._display import Display, check_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Side of a cell in a new figure, in inches.
_CELL = 0.17


class BitTableDisplay(Display):
    """A heat map of bits against attributes.

    The colour shows how well a bit alone predicts an attribute, from white (AUROC 0.5) to red (AUROC 1) or,
    for bits that are 0 if the attribute is present, blue. Bits are sorted by the attribute that they predict
    best, so that a code with one bit per attribute shows a diagonal.

    Parameters
    ----------
    table : DataFrame
        Returned by `dmzrep.attribution.bit_table`.
    max_bits : int or None, default=64
        Largest number of bits to draw, those that predict an attribute best; None draws all.
    title : str, default="Bits and attributes"
        Title of the axes.

    Attributes
    ----------
    image_ : matplotlib AxesImage
        The heat map.
    values_ : DataFrame of shape (n_attributes, n_bits)
        Its values: sign x (2 AUROC - 1), in [-1, 1].

    See Also
    --------
    bit_table : The table.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.attribution import bit_table
    >>> from dmzrep.plotting import BitTableDisplay
    >>> Z = np.random.default_rng(0).integers(0, 2, (50, 8))
    >>> BitTableDisplay(bit_table(Z, Z[:, :3])).plot()  # doctest: +SKIP
    """

    def __init__(self, table: pd.DataFrame, *, max_bits: int | None = 64, title: str = "Bits and attributes"):
        self.table = table
        self.max_bits = max_bits
        self.title = title

    def _prepare(self) -> tuple[float, float]:
        if self.max_bits is not None:
            check_int(self.max_bits, "max_bits", also=", or None")
        check_table(self.table, ["bit", "attribute", "auroc", "sign"], "bit_table", "table")
        self.values_ = self._sorted_values()
        n_attributes, n_bits = self.values_.shape
        return max(4.5, _CELL * n_bits + 3.0), max(2.5, _CELL * n_attributes + 1.4)

    def _draw(self, ax: Axes) -> None:
        values, n_all_bits = self.values_, self.table["bit"].nunique()
        n_attributes, n_bits = values.shape
        self.image_ = ax.imshow(
            values, cmap="RdBu_r", vmin=-1.0, vmax=1.0, aspect="auto", origin="upper", interpolation="none"
        )
        ax.set_yticks(range(n_attributes), map(str, values.index), fontsize=8, parse_math=False)
        ax.set_xticks(range(n_bits), map(str, values.columns), fontsize=7, rotation=90)
        ax.tick_params(length=0, labelbottom=True, labeltop=False, labelleft=True, labelright=False)
        ax.minorticks_off()
        ax.grid(False)
        ax.set_xlabel("bit")
        ax.set_title(self.title if n_bits == n_all_bits else f"{self.title} ({n_bits} of {n_all_bits})")
        self.figure_.colorbar(self.image_, ax=ax, label="sign x (2 AUROC - 1)").ax.grid(False)

    def _sorted_values(self) -> pd.DataFrame:
        signed = self.table.assign(value=self.table["sign"] * (2.0 * self.table["auroc"] - 1.0))
        wide = signed.pivot(index="attribute", columns="bit", values="value")
        wide = wide.loc[self.table["attribute"].unique()]
        best, largest = wide.abs().to_numpy().argmax(axis=0), wide.abs().max().to_numpy()
        best[largest == 0.0] = len(wide)  # Constant bits come last.
        kept = np.argsort(-largest, kind="stable")[: self.max_bits]
        return wide.iloc[:, kept[np.lexsort((-largest[kept], best[kept]))]]
