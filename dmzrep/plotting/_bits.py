"""What bits of a picture see, and what they draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dmzrep._base._validation import as_array, check_int
from dmzrep.attribution import attribute_bits, bit_effects
from dmzrep.data import ImageFormat
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.plotting._grid import draw_grid
from dmzrep.plotting._overlays import as_rgb, overlay
from dmzrep.plotting._pictures import (
    as_pictures,
    as_rows,
    check_numbers,
    check_pictures,
    code_name,
    fitted_image_format,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class BitDisplay:
    """A row for each bit: the pixels that drive it, the picture with it off and on, and the change.

    Make one with `from_estimator`. In the second column red pixels push the bit to 1 and blue ones to
    0, on a scale of its own in each row; in the last, orange is where the picture changes, on one scale
    for all rows.

    Parameters
    ----------
    picture : ndarray of shape (H, W) or (H, W, channels)
        With values in [0, 1].
    bits : sequence of int
        Numbers of the bits.
    values : sequence of bool
        Whether the picture has each of them.
    drives : ndarray of shape (n_bits, H, W)
        For each bit, what each pixel adds to its logit.
    off, on : ndarray of shape (n_bits, H, W) or (n_bits, H, W, channels)
        Pictures without and with the bit.
    title : str, default="What bits see and draw"
        Title of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the pictures.
    figure_ : matplotlib Figure
        Figure of the axes.
    images_ : list of matplotlib AxesImage
        The pictures, in reading order.

    See Also
    --------
    dmzrep.attribution.attribute_bits : The pixels that drive a bit.
    dmzrep.attribution.bit_effects : The changes, measured over many codes.

    Examples
    --------
    >>> from dmzrep import DMZEncoder
    >>> from dmzrep.datasets import make_sprites
    >>> from dmzrep.plotting import BitDisplay
    >>> X = make_sprites(random_state=0).images
    >>> encoder = DMZEncoder(latent_dim=32, max_time=60).fit(X)  # doctest: +SKIP
    >>> BitDisplay.from_estimator(encoder, X[0], baseline=X.mean(axis=0))  # doctest: +SKIP
    """

    def __init__(
        self,
        picture: np.ndarray,
        bits: Sequence[int],
        values: Sequence[bool],
        drives: np.ndarray,
        off: np.ndarray,
        on: np.ndarray,
        *,
        title: str = "What bits see and draw",
    ):
        self.picture = picture
        self.bits = bits
        self.values = values
        self.drives = drives
        self.off = off
        self.on = on
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        encoder: DMZEncoder,
        image: Any,
        *,
        bits: Sequence[int] | None = None,
        max_bits: int = 6,
        method: str = "integrated_gradients",
        baseline: Any = None,
        random_state: int | np.random.RandomState | None = 0,
        ax: Axes | None = None,
        **decoding: Any,
    ) -> Self:
        """Attribute bits of an image, and decode it with each of them off and on.

        Parameters
        ----------
        encoder : DMZEncoder
            Fitted on images.
        image : array-like
            One image in the fitted layout.
        bits : sequence of int or None, default=None
            Which bits; None takes those whose change alters this picture most.
        max_bits : int, default=6
            How many are shown when `bits` is None.
        method, baseline
            As in `attribute_bits`; the mean picture ``X.mean(axis=0)`` is a good baseline.
        random_state : int, RandomState or None, default=0
            Decides the noise, which is the same in all pictures.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        **decoding
            Options of `DMZEncoder.inverse_transform`, such as `n_steps`, or ``noise="inverted"``,
            which keeps what the bits do not tell.

        Returns
        -------
        BitDisplay
        """
        image_format = fitted_image_format(encoder, cls.__name__)
        rows = as_array(image, "image")
        rows = np.asarray(
            as_rows(encoder, rows[None] if rows.shape == image_format.sample_shape else rows, "image")
        )
        if len(rows) != 1:
            raise ValueError(f"{cls.__name__} shows one image, got {len(rows)}. Pass one, such as X[0].")
        max_bits = check_int(max_bits, "max_bits")
        like = rows if decoding.get("noise") == "inverted" or decoding.get("start", 1.0) < 1.0 else None
        codes = encoder.transform(rows)
        effects = bit_effects(encoder, codes, bits, like=like, random_state=random_state, **decoding)
        chosen = effects.bits.tolist() if bits is not None else effects.table["bit"].tolist()[:max_bits]
        places = [effects.bits.tolist().index(bit) for bit in chosen]
        maps = [attribute_bits(encoder, rows, bit, method=method, baseline=baseline).maps for bit in chosen]
        is_on = codes[0, chosen] > (0.0 if encoder.output == "logits" else 0.5)
        return cls(
            as_pictures(rows, image_format)[0],
            chosen,
            is_on.tolist(),
            _without_channels(np.concatenate(maps), image_format),
            as_pictures(effects.off[places, 0], image_format),
            as_pictures(effects.on[places, 0], image_format),
            title=f"What bits see and draw ({len(chosen)} of {code_name(encoder)})",
        ).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the pictures.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        BitDisplay
        """
        picture = check_pictures(self.picture, "picture")
        n_bits = len(check_numbers(self.bits, "bits"))
        off, on = (
            check_pictures(part, name, n_bits, of=picture.shape)
            for part, name in ((self.off, "off"), (self.on, "on"))
        )
        values = check_numbers(self.values, "values", (n_bits,))
        drives = check_numbers(self.drives, "drives", (n_bits, *picture.shape[:2]))
        has_channels = picture.ndim == 3
        picture, off, on = (as_rgb(part, has_channels) for part in (picture, off, on))
        pictures = np.broadcast_to(picture, on.shape)
        change = np.abs(on - off).mean(axis=-1)
        columns = [
            pictures,
            overlay(pictures, drives, signed=True),
            off,
            on,
            overlay((off + on) / 2, change, signed=False, largest=float(np.quantile(change, 0.995))),
        ]
        self.ax_, self.images_ = draw_grid(
            np.stack(columns, axis=1),
            ax,
            caller=f"{type(self).__name__}.plot",
            title=self.title,
            row_labels=[f"bit {bit} ({int(value)})" for bit, value in zip(self.bits, values, strict=True)],
            column_labels=["picture", "driven by", "bit off", "bit on", "change"],
        )
        self.ax_.set_xlabel("driven by: red to 1, blue to 0", fontsize=8)
        self.figure_ = self.ax_.figure
        return self


def _without_channels(maps: np.ndarray, image_format: ImageFormat) -> np.ndarray:
    """Sum maps in the user's layout over channels, shape (n, H, W)."""
    maps = maps.reshape(len(maps), *image_format.image_shape)
    if image_format.layout == "HW":
        return maps
    return maps.sum(axis=3 if image_format.layout == "HWC" else 1)
