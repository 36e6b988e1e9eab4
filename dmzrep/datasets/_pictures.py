"""One picture file to an array of a fixed size."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

import numpy as np

#: Pillow's modes that pictures may be converted to, with the channels of an array; None has no axis for them.
MODES = {"L": None, "RGB": 3, "RGBA": 4}


def load_pillow() -> ModuleType:
    """Give the module `PIL.Image`; raise ImportError that says what to install."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            'Reading pictures needs Pillow. Install it with: pip install "dmzrep[images]"'
        ) from error
    return Image


def picture_endings() -> set[str]:
    """Endings of the files that Pillow reads, such as ".png", in lower case."""
    pillow = load_pillow()
    return {ending for ending, kind in pillow.registered_extensions().items() if kind in pillow.OPEN}


def read_picture(path: str | os.PathLike, size: tuple[int, int], mode: str) -> np.ndarray:
    """Read a picture, turned as its camera says, cropped around the centre and resized.

    Parameters
    ----------
    path : path-like
        The file; of several frames the first is taken.
    size : tuple of int
        (height, width).
    mode : {"L", "RGB", "RGBA"}
        Pillow's mode to convert to. The upper 8 bits are taken of 16.

    Returns
    -------
    ndarray of shape (height, width) or (height, width, channels), uint8

    Raises
    ------
    OSError, SyntaxError, ValueError
        The file is no picture that can be read.
    """
    from PIL import ImageOps

    with load_pillow().open(path) as picture:
        if picture.format == "JPEG":
            # Decodes at a half, a quarter or an eighth where that is still twice as large as asked.
            side = 2 * max(size)
            picture.draft(mode if mode != "RGBA" else "RGB", (side, side))
        turned = ImageOps.exif_transpose(_eight_bits(picture)).convert(mode)
        return np.asarray(ImageOps.fit(turned, (size[1], size[0]), load_pillow().Resampling.LANCZOS))


def _eight_bits(picture: Any) -> Any:
    """Give a picture of 8 bits a channel; conversion by Pillow would cut off what is above 255."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    pixels = np.asarray(picture)
    if pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError(
            f"its pixels, of mode {picture.mode!r}, have no known range; convert it to 8 or 16 bits"
        )
    return load_pillow().fromarray((pixels >> 8).astype(np.uint8))
