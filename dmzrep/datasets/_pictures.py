"""Reading of a picture file as an array of a fixed size."""

import contextlib
import importlib.util
import os
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from dmzrep._base._imports import optional_import
from dmzrep.data import convert_picture

#: Pillow modes that pictures may be converted to, with their channels; None has no channel axis.
MODES = {"L": None, "RGB": 3, "RGBA": 4}
RESIZES = ("crop", "pad")
_HEIF = 'Pillow needs a plug-in: pip install "dmzrep[heic]"'
_RAW = "Pillow does not read raw photographs; export them as JPEG"
_OTHER = "this Pillow does not read the format; convert it to PNG or JPEG"
#: Extensions of pictures that Pillow may not read, with the remedy.
_FOREIGN = {
    **dict.fromkeys((".heic", ".heif", ".hif"), _HEIF),
    **dict.fromkeys((".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"), _RAW),
    **dict.fromkeys((".avif", ".jxl", ".svg"), _OTHER),
}
#: Formats that are not pictures, or that other programs render.
_NO_PICTURES = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
#: Largest number of pixels that are decoded, which take up to 4 bytes each.
MAX_PIXELS = 100_000_000
_ORIENTATION = 0x0112


class Rendering(NamedTuple):
    """How pictures are rendered: `size` is (height, width), `resize` is "crop" or "pad"."""

    size: tuple[int, int]
    mode: str
    resize: str
    background: str

    def describe(self) -> dict[str, Any]:
        """Return all that is needed to render pictures elsewhere, in JSON values."""
        return self._asdict() | {"size": list(self.size), "filter": "lanczos", "orientation": "EXIF"}

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array of a picture."""
        channels = MODES[self.mode]
        return self.size if channels is None else (*self.size, channels)


def load_pillow() -> ModuleType:
    """Return the module `PIL.Image`; raise ImportError that says what to install."""
    with optional_import("Reading pictures needs Pillow", "images"):
        from PIL import Image
    if "HEIF" not in Image.OPEN and importlib.util.find_spec("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
    return Image


def picture_extensions() -> dict[str, str | None]:
    """Return the extensions of picture files, such as ".png", with reasons where Pillow cannot read them."""
    pillow = load_pillow()
    kinds = pillow.registered_extensions()
    readable = pillow.OPEN.keys() - _NO_PICTURES
    # Pillow opens MPO files, of several pictures, as JPEG.
    return _FOREIGN | {end: None for end, kind in kinds.items() if kind in readable or kind == "MPO"}


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings about damaged metadata and large pictures, which do not name the file.

    Filters of warnings are global, so this surrounds the threads that read pictures.
    """
    pillow = load_pillow()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("ignore", pillow.DecompressionBombWarning)
        yield


def read_picture(path: str | os.PathLike, rendering: Rendering) -> np.ndarray:
    """Read a picture as uint8 of `rendering.shape`.

    Raise OSError, SyntaxError or ValueError where it cannot be read.
    """
    return render(open_upright(path, rendering).picture, rendering)


class Upright(NamedTuple):
    """A decoded Pillow image, rotated by its orientation tag, with (width, height) and format of its file."""

    picture: Any
    size: tuple[int, int]
    format: str


def open_upright(file: Any, rendering: Rendering) -> Upright:
    """Decode the first frame of a picture, rotate it by its orientation tag, and convert it to the mode.

    `file` is a path or a file object. JPEG files may be decoded at a smaller size. Raise OSError, SyntaxError
    or ValueError where the file cannot be read, also for decompression bombs. Callers silence the warnings of
    Pillow, by `quiet_pillow`.
    """
    with load_pillow().open(file) as picture:
        size, kind = picture.size, picture.format or ""
        if kind == "JPEG":
            # Decodes at 1/2, 1/4 or 1/8 of the size where that is still twice the requested size.
            side = 2 * max(rendering.size)
            picture.draft("L" if rendering.mode == "L" else "RGB", (side, side))
        if picture.width * picture.height > MAX_PIXELS:
            raise ValueError(
                f"it has {size[0]} x {size[1]} pixels, more than {MAX_PIXELS:,}; make it smaller"
            )
        picture.load()
        turn = _turn(picture)
        upright = convert_picture(picture, rendering.mode, rendering.background)
        if turn is not None:
            upright = upright.transpose(turn)
    sideways = turn is not None and turn.name in ("TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90")
    return Upright(upright, size[::-1] if sideways else size, kind)


def render(upright: Any, rendering: Rendering) -> np.ndarray:
    """Resize a Pillow image of the mode of a rendering, by cropping or padding, to uint8 of its shape."""
    from PIL import ImageColor, ImageOps

    lanczos = load_pillow().Resampling.LANCZOS
    height, width = rendering.size
    if rendering.resize == "crop":
        return np.asarray(ImageOps.fit(upright, (width, height), lanczos))
    colour: Any = ImageColor.getcolor(rendering.background, rendering.mode)
    if rendering.mode == "RGBA":
        colour = (*colour[:3], 0)
    return np.asarray(ImageOps.pad(upright, (width, height), lanczos, color=colour))


def _turn(picture: Any) -> Any:
    """Return the transposition given by the EXIF orientation, or None; damaged EXIF data are ignored."""
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
    except Exception:  # Pillow raises various errors for damaged data.
        return None
