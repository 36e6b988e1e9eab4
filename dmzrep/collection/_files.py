"""Picture files of a collection: listing, reading, thumbnails."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from tqdm.auto import tqdm

from dmzrep._base._batching import batches
from dmzrep._base._validation import short_repr
from dmzrep.data import is_paths
from dmzrep.datasets._folder import file_stamp, find_pictures, reason_of
from dmzrep.datasets._pictures import Rendering, load_pillow, open_upright, quiet_pillow, render

#: Longest side of thumbnails in pixels, and their quality as WebP.
THUMBNAIL_SIDE, THUMBNAIL_QUALITY = 96, 80
#: Pictures that are read and encoded at a time.
BLOCK = 256
#: Columns of the table of files.
COLUMNS = ("path", "width", "height", "bytes", "format", "hash", "modified")


class Listing(NamedTuple):
    """Files to read: `stamps` holds size and time of modification by absolute path."""

    stamps: dict[str, tuple[int, int]]
    unreadable: dict[str, str]
    further: pd.DataFrame | None


class ReadFile(NamedTuple):
    """What is kept of a picture file: the columns of `COLUMNS`, the thumbnail and the encoder's sample."""

    row: tuple[Any, ...]
    thumbnail: bytes
    sample: np.ndarray


def list_files(source: Any) -> Listing:
    """List the picture files of a folder, a list of paths, or a table with a column "path"."""
    further = None
    if isinstance(source, pd.DataFrame):
        if "path" not in source.columns:
            raise ValueError(f"X must have a column 'path', got the columns {list(source.columns)}.")
        taken = sorted(set(COLUMNS[1:]) & set(source.columns))
        if taken:
            raise ValueError(f"The columns {taken} of X are reserved by the collection. Rename them.")
        further, source = source, source["path"].tolist()
    if isinstance(source, (str, os.PathLike)):
        folder = Path(source).expanduser()
        if not folder.is_dir():
            raise NotADirectoryError(f"There is no folder {folder}. Pass a folder, or a list of files.")
        found, unreadable = find_pictures(Path(os.path.abspath(folder)))
        listing = Listing(
            {_absolute(folder, name): stamp for name, stamp in found.items()},
            {_absolute(folder, name): reason for name, reason in unreadable.items()},
            None,
        )
        return _without_links(listing)
    if not is_paths(source):
        raise ValueError(
            "X must be a folder, a list of picture files, or a DataFrame with a column 'path', got "
            f"{short_repr(source)}."
        )
    stamps: dict[str, tuple[int, int]] = {}
    missing: dict[str, str] = {}
    absolute = [os.path.abspath(Path(path).expanduser()) for path in source]
    for path in absolute:
        try:
            stamps[path] = file_stamp(path)
        except OSError as error:
            missing[path] = reason_of(error)
    if further is not None:
        further = further.assign(path=absolute).drop_duplicates("path").set_index("path")
    return Listing(stamps, missing, further)


def _absolute(folder: Path, name: str) -> str:
    return os.path.abspath(os.path.join(folder, name))


def _without_links(listing: Listing) -> Listing:
    """Leave out links to files that are listed too; a picture is no duplicate of itself."""
    targets = {path: os.path.realpath(path) for path in listing.stamps if os.path.islink(path)}
    present = {os.path.realpath(path) for path in listing.stamps if path not in targets}
    links = {path: f"a link to {target}" for path, target in targets.items() if target in present}
    stamps = {path: stamp for path, stamp in listing.stamps.items() if path not in links}
    return Listing(stamps, listing.unreadable | links, listing.further)


def read_files(
    paths: Sequence[str],
    stamps: dict[str, tuple[int, int]],
    rendering: Rendering,
    n_jobs: int | None,
    progress: bool,
) -> Iterator[tuple[list[ReadFile], dict[str, str]]]:
    """Yield blocks of read files, in order, and of unreadable ones with reasons."""
    with tqdm(total=len(paths), unit="picture", disable=not progress) as bar:
        for part in batches(len(paths), BLOCK):
            block = paths[part]
            # Threads run in parallel while pictures are decoded and resized.
            with quiet_pillow():
                results = Parallel(n_jobs, prefer="threads")(
                    delayed(_read)(path, stamps[path], rendering) for path in block
                )
            unreadable = {
                path: result for path, result in zip(block, results, strict=True) if isinstance(result, str)
            }
            yield [result for result in results if not isinstance(result, str)], unreadable
            bar.update(len(block))


def _read(path: str, stamp: tuple[int, int], rendering: Rendering) -> ReadFile | str:
    """Read a file once; return the reason where that fails."""
    try:
        data = Path(path).read_bytes()
        upright = open_upright(io.BytesIO(data), rendering)
        sample = render(upright.picture, rendering)
        thumbnail = encode_thumbnail(upright.picture)
    except Exception as error:  # Decoders raise various errors for damaged files.
        if type(error).__name__ == "UnidentifiedImageError":
            return "not a picture, or damaged"
        return f"{type(error).__name__}: {error}"
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    row = (path, *upright.size, len(data), upright.format, digest, stamp[1])
    return ReadFile(row, thumbnail, sample)


def encode_thumbnail(picture: Any) -> bytes:
    """Return a Pillow image as WebP with the longest side of thumbnails."""
    small = picture.copy()
    if small.mode == "RGBA":
        white = load_pillow().new("RGBA", small.size, "white")
        small = load_pillow().alpha_composite(white, small).convert("RGB")
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), load_pillow().Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "WEBP", quality=THUMBNAIL_QUALITY, method=2)
    return file.getvalue()


def decode_thumbnail(thumbnail: bytes, side: int | None = None) -> np.ndarray:
    """Return a thumbnail as uint8 (H, W, 3), or stretched to a square of this side."""
    pillow = load_pillow()
    with pillow.open(io.BytesIO(thumbnail)) as picture:
        colour = picture.convert("RGB")
        if side is not None:
            colour = colour.resize((side, side), pillow.Resampling.LANCZOS)
        return np.asarray(colour)
