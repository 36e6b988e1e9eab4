"""Conversion of Pillow images: bit depth, palettes and transparency."""

from typing import Any

import numpy as np

#: Pillow modes whose pixels are plain numbers, and those to which others are converted.
_PLAIN_MODES = ("L", "RGB", "RGBA", "I", "F", "I;16")
_MODE_OF = {"1": "L", "LA": "L", "La": "L", "RGBa": "RGBA", "I;16B": "I;16", "I;16L": "I;16"}
#: File formats whose 16-bit pixels are 32-bit integers in Pillow.
_SIXTEEN_BIT_FORMATS = ("PNG", "PPM")


def is_picture(value: Any) -> bool:
    """Whether a value is a Pillow image."""
    return hasattr(value, "convert") and hasattr(value, "mode")


def plain_mode(mode: str) -> str:
    """Return the mode to convert a Pillow mode to so that pixels are plain numbers."""
    return mode if mode in _PLAIN_MODES else _MODE_OF.get(mode, "RGB")


def convert_picture(picture: Any, mode: str, background: str = "white") -> Any:
    """Convert a Pillow image to another mode; an 8-bit `mode` keeps the upper 8 bits of 16-bit pixels.

    Transparent pixels are composited on `background` if `mode` has no transparency. Raise ValueError for
    32-bit and float pixels, whose range is unknown.
    """
    if mode not in ("L", "RGB", "RGBA"):
        return picture if picture.mode == mode else picture.convert(mode)
    from PIL import Image

    if picture.mode.startswith(("I", "F")):
        picture = _eight_bits(picture)
    transparent = picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info
    if transparent and mode != "RGBA":
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, background), picture)
    return picture if picture.mode == mode else picture.convert(mode)


def _eight_bits(picture: Any) -> Any:
    """Keep the upper 8 of 16 bits; Pillow's own conversion clips at 255."""
    from PIL import Image

    stored_in_16 = picture.mode == "I" and picture.format in _SIXTEEN_BIT_FORMATS
    if not (stored_in_16 or picture.mode.startswith("I;16")):
        raise ValueError(
            f"its pixels, of mode {picture.mode!r} with 32 bits, have no known range; convert it to 8 or 16 "
            "bits"
        )
    return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
