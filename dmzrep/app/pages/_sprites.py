"""Sprite sheets: many small pictures in a few WebP files."""

import base64
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

#: Sides of the sheets in pixels: browsers decode this size without trouble.
_SHEET = 2048
#: Side of the pictures for the overview. A multiple of WebP's blocks, so that neighbours do not mix.
SMALL = 32
#: Side of the pictures for near views, by the largest number of pictures.
_LARGE = ((5_000, 96), (12_000, 64))
_LARGE_OTHERWISE = 48
_QUALITY = 75


def as_text(array: Any, dtype: str) -> str:
    """Return an array as base64 of its little-endian bytes, in row order."""
    return base64.b64encode(np.ascontiguousarray(array, dtype=dtype).tobytes()).decode()


def pack_sheets(pictures: Iterable[Any], n_pictures: int, side: int) -> tuple[dict, list[bytes]]:
    """Pack PIL pictures into sheets of square cells, from left to right and from the top.

    Pictures that are larger than a cell are reduced, keeping their aspect ratio, and lie in its upper left
    corner. Return a description for the page and the WebP files.
    """
    from PIL import Image

    columns = _SHEET // side
    per_sheet = columns * columns
    sizes = np.zeros((n_pictures, 2), dtype=np.uint8)
    sheets: list[bytes] = []
    sheet = None
    for i, picture in enumerate(pictures):
        place = i % per_sheet
        if place == 0:
            if sheet is not None:
                sheets.append(_as_webp(sheet))
            n_rows = -(-min(per_sheet, n_pictures - i) // columns)
            sheet = Image.new("RGB", (columns * side, n_rows * side))
        assert sheet is not None
        if max(picture.size) > side:
            scale = side / max(picture.size)
            size = tuple(max(1, round(length * scale)) for length in picture.size)
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        corner = (place % columns * side, place // columns * side)
        # The rest of the cell gets the picture's mean colour: it compresses well and does not bleed.
        mean = picture.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        sheet.paste(mean, (*corner, corner[0] + side, corner[1] + side))
        sheet.paste(picture, corner)
        sizes[i] = picture.size
    if sheet is not None:
        sheets.append(_as_webp(sheet))
    info = {
        "side": side,
        "columns": columns,
        "width": as_text(sizes[:, 0], "u1"),
        "height": as_text(sizes[:, 1], "u1"),
        "sheets": len(sheets),
    }
    return info, sheets


def pack_thumbnails(thumbnails: Sequence[bytes]) -> tuple[list[dict], list[list[bytes]]]:
    """Pack thumbnails in a small size for the first paint and in a larger one for near views.

    The second is left out where no thumbnail is larger than the first.
    """
    n = len(thumbnails)
    large = next((side for most, side in _LARGE if n <= most), _LARGE_OTHERWISE)
    longest = max((max(_size(data)) for data in thumbnails), default=0)
    sides = [SMALL] if longest <= SMALL else [SMALL, large]
    packed = [pack_sheets(map(open_picture, thumbnails), n, side) for side in sides]
    return [info for info, _ in packed], [sheets for _, sheets in packed]


def pack_arrays(images: np.ndarray, side: int) -> tuple[dict, list[bytes]]:
    """Pack images of shape (n, H, W, 3), uint8."""
    from PIL import Image

    return pack_sheets((Image.fromarray(image) for image in images), len(images), side)


def open_picture(data: bytes) -> Any:
    """Return an encoded picture as a PIL picture in RGB."""
    from PIL import Image

    return Image.open(io.BytesIO(data)).convert("RGB")


def _size(data: bytes) -> tuple[int, int]:
    """Return width and height, from the header alone."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        return picture.size


def _as_webp(picture: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=_QUALITY, method=3)
    return buffer.getvalue()
