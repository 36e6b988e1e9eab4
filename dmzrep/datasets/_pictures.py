"""One picture file to an array of a fixed size."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from dmzrep.data import convert_picture

#: Pillow's modes that pictures may be converted to, with the channels of an array; None has no axis for them.
MODES = {"L": None, "RGB": 3, "RGBA": 4}
RESIZES = ("crop", "pad")
_HEIF = "Pillow needs a plug-in: pip install pillow-heif, then call pillow_heif.register_heif_opener()"
_RAW = "Pillow does not read raw photographs; export them as JPEG"
_OTHER = "this Pillow does not read the format; convert it to PNG or JPEG"
#: Endings of pictures that Pillow may not read, with what to do.
_FOREIGN = {
    **dict.fromkeys((".heic", ".heif", ".hif"), _HEIF),
    **dict.fromkeys((".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"), _RAW),
    **dict.fromkeys((".avif", ".jxl", ".svg"), _OTHER),
}
_ORIENTATION = 0x0112


class Rendering(NamedTuple):
    """What pictures become.

    Parameters
    ----------
    size : tuple of int
        (height, width).
    mode : {"L", "RGB", "RGBA"}
        Pillow's mode to convert to.
    resize : {"crop", "pad"}
        What becomes of another aspect ratio.
    background : str
        Colour behind transparent pixels and of padding.
    """

    size: tuple[int, int]
    mode: str
    resize: str
    background: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array of a picture."""
        channels = MODES[self.mode]
        return self.size if channels is None else (*self.size, channels)


def load_pillow() -> ModuleType:
    """Return the module `PIL.Image`; raise ImportError that says what to install."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            'Reading pictures needs Pillow. Install it with: pip install "dmzrep[images]"'
        ) from error
    return Image


def picture_endings() -> dict[str, str | None]:
    """Return the endings of picture files, such as ".png", with the reason where Pillow reads none."""
    pillow = load_pillow()
    known = {ending: None for ending, kind in pillow.registered_extensions().items() if kind in pillow.OPEN}
    return _FOREIGN | known


def read_picture(path: str | os.PathLike, rendering: Rendering) -> np.ndarray:
    """Read a picture, turned by its orientation tag, converted and resized.

    Parameters
    ----------
    path : path-like
        The file; of several frames the first is taken.
    rendering : Rendering
        What it becomes. The upper 8 bits are taken of 16.

    Returns
    -------
    ndarray of `rendering.shape`, uint8

    Raises
    ------
    OSError, SyntaxError, ValueError
        The file is no picture that can be read.
    """
    from PIL import ImageColor, ImageOps

    height, width = rendering.size
    mode, background = rendering.mode, rendering.background
    lanczos = load_pillow().Resampling.LANCZOS
    with load_pillow().open(path) as picture:
        if picture.format == "JPEG":
            # Decodes at a half, a quarter or an eighth where that is still twice as large as asked.
            side = 2 * max(rendering.size)
            picture.draft("L" if mode == "L" else "RGB", (side, side))
        turn = _turn(picture)
        upright = convert_picture(picture, mode, background)
        if turn is not None:
            upright = upright.transpose(turn)
        if rendering.resize == "crop":
            return np.asarray(ImageOps.fit(upright, (width, height), lanczos))
        colour: Any = ImageColor.getcolor(background, mode)
        if mode == "RGBA":
            colour = (*colour[:3], 0)
        return np.asarray(ImageOps.pad(upright, (width, height), lanczos, color=colour))


def _turn(picture: Any) -> Any:
    """Return how a picture is to be turned by its EXIF data, or None; damaged EXIF data are ignored."""
    transpose = load_pillow().Transpose
    turns = {
        2: transpose.FLIP_LEFT_RIGHT,
        3: transpose.ROTATE_180,
        4: transpose.FLIP_TOP_BOTTOM,
        5: transpose.TRANSPOSE,
        6: transpose.ROTATE_270,
        7: transpose.TRANSVERSE,
        8: transpose.ROTATE_90,
    }
    try:
        return turns.get(picture.getexif().get(_ORIENTATION))
    except Exception:  # Pillow raises errors of many kinds for them.
        return None
