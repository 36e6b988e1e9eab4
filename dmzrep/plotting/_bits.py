"""Pixels that drive bits, and changes of images that bits cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dmzrep._base._validation import as_array, check_int
from dmzrep.attribution import attribute_bits, bit_effects
from dmzrep.codes._protocol import code_probabilities
from dmzrep.data import as_rgb
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.plotting._image_grid import ImageGridDisplay, code_name, fitted_image_format

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colours of positive and negative values and of magnitudes, safe for red-green blindness.
POSITIVE, NEGATIVE, MAGNITUDE = (0.80, 0.10, 0.10), (0.10, 0.25, 0.80), (0.85, 0.35, 0.0)
#: Smallest change, as a fraction of the value range, that can have the full colour.
_FULL_CHANGE = 0.05
#: Fraction of an image's contrast that remains below a map.
_CONTRAST = 0.45


class BitDisplay(ImageGridDisplay):
    """Bits of an image: attribution map, images decoded with the bit off and on, and change, a row per bit.

    Create it with `from_estimator`. In the column "driven by" red pixels push the bit to 1 and blue ones to
    0, scaled per row; in the column "change" orange pixels change, on one scale for all rows.

    Parameters
    ----------
    images, title, row_labels, column_labels, captions, note
        As in `ImageGridDisplay`.

    Attributes
    ----------
    bits_ : list of int
        The bits drawn.

    See Also
    --------
    dmzrep.attribution.attribute_bits : The pixels that drive a bit.
    dmzrep.attribution.bit_effects : The changes over many codes.

    Examples
    --------
    >>> from dmzrep.plotting import BitDisplay
    >>> BitDisplay.from_estimator(encoder, X[0], baseline=X.mean(axis=0))  # doctest: +SKIP
    """

    bits_: list[int]

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
        random_state: int | np.random.RandomState | None = None,
        ax: Axes | None = None,
        **sampling: Any,
    ) -> Self:
        """Attribute bits of an image to its pixels, and decode its code with each bit off and on.

        Parameters
        ----------
        encoder : DMZEncoder
            Fitted on images.
        image : array-like
            One image in the fitted layout.
        bits : sequence of int or None, default=None
            Bits to draw; None uses those that change this image most.
        max_bits : int, default=6
            Number of bits to draw if `bits` is None.
        method, baseline
            As in `attribute_bits`; the mean image ``X.mean(axis=0)`` is a good baseline.
        random_state : int, RandomState or None, default=None
            Controls the noise, which is the same in all images.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None creates a figure.
        **sampling
            Options of `DMZEncoder.inverse_transform`, such as `n_steps`, or ``noise="inverted"``, which keeps
            what the bits do not encode.

        Returns
        -------
        BitDisplay
        """
        image_format = fitted_image_format(encoder, cls)
        X = as_array(image, "image")
        X = X[None] if X.shape == image_format.sample_shape else X
        probabilities = code_probabilities(encoder, X)
        if len(X) != 1:
            raise ValueError(f"{cls.__name__} draws one image, got {len(X)}. Pass one, such as X[0].")
        max_bits = check_int(max_bits, "max_bits")
        effects = bit_effects(
            encoder, probabilities > 0.5, bits, like=X, random_state=random_state, **sampling
        )
        positions = np.arange(len(effects.bits))
        if bits is None:
            ranked = effects.table["bit"].to_numpy()[:max_bits]
            positions = np.array([np.flatnonzero(effects.bits == bit)[0] for bit in ranked])
        chosen = effects.bits[positions].tolist()
        maps = [attribute_bits(encoder, X, bit, method=method, baseline=baseline).maps for bit in chosen]
        is_on = probabilities[0, chosen] > 0.5
        picture, off, on = (
            as_rgb(image_format.to_pictures(images))
            for images in (X, effects.off[positions, 0], effects.on[positions, 0])
        )
        maps_of_bits = np.concatenate(maps).reshape(len(chosen), *image_format.image_shape)
        pictures, change = np.broadcast_to(picture, on.shape), np.abs(on - off).mean(axis=-1)
        full = max(float(np.quantile(change, 0.995)), _FULL_CHANGE)
        columns = {
            "image": pictures,
            "driven by": overlay(pictures, maps_of_bits.sum(axis=image_format.channel_axes), signed=True),
            "bit off": off,
            "bit on": on,
            "change": overlay((off + on) / 2, change, signed=False, full=full),
        }
        display = cls(
            np.stack(list(columns.values()), axis=1),
            title=f"Bits of an image ({len(chosen)} of {code_name(encoder)})",
            row_labels=[f"bit {bit} ({int(value)})" for bit, value in zip(chosen, is_on, strict=True)],
            column_labels=list(columns),
            note="driven by: red towards 1, blue towards 0",
        )
        display.bits_ = chosen
        return display.plot(ax)


def overlay(pictures: np.ndarray, maps: np.ndarray, *, signed: bool, full: float | None = None) -> np.ndarray:
    """Colour faded grey images by maps: positive values red and negative ones blue, or magnitudes orange.

    The value `full` has the full colour; None uses the 99th percentile of each map.
    """
    grey = 1.0 - _CONTRAST + _CONTRAST * (pictures @ np.array([0.299, 0.587, 0.114]))
    size = np.abs(maps)
    scale = np.quantile(size, 0.99, axis=(1, 2), keepdims=True) if full is None else np.array(full)
    scale = np.where(scale > 0, scale, np.maximum(size.max(axis=(1, 2), keepdims=True), 1e-30))
    opacity = np.clip(size / scale, 0.0, 1.0)[..., None]
    colour = np.where((maps < 0)[..., None], NEGATIVE, POSITIVE if signed else MAGNITUDE)
    return (1.0 - opacity) * grey[..., None] + opacity * colour
