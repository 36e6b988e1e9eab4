"""Pictures of a folder as one array, which need not fit into memory."""

from __future__ import annotations

import hashlib
import os
import warnings
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from dmzrep._base._validation import (
    as_path,
    check_bool,
    check_choice,
    short_repr,
)
from dmzrep.datasets._image_cache import ImageCache
from dmzrep.datasets._pictures import MODES, picture_endings

#: Pillow's pictures are no larger.
_LONGEST_SIDE = 2**31 - 1
#: Folder, inside that of the pictures, for what was made of them.
CACHE_FOLDER = ".dmzrep"


def load_images(
    folder: str | os.PathLike,
    size: int | tuple[int, int],
    *,
    mode: str = "RGB",
    cache_dir: str | os.PathLike | None = None,
    n_jobs: int | None = -1,
    progress: bool = False,
    return_X_y: bool = False,
) -> Bunch | tuple[np.ndarray, np.ndarray | None]:
    """Load the pictures of a folder and its sub-folders, all in one size.

    The first call reads the files and writes them to one array file; later calls open that, unless files
    were added, removed or changed. A call that is interrupted goes on where it stopped.

    Parameters
    ----------
    folder : path-like
        Where the pictures are. Sub-folders are read too and name the classes; hidden ones, and links to
        folders, are left out.
    size : int or tuple of int
        Side, or (height, width), in pixels. Pictures are cropped around their centre to that shape.
    mode : {"RGB", "L", "RGBA"}, default="RGB"
        Colour, gray, or colour with opacity. The first two drop opacity.
    cache_dir : path-like or None, default=None
        Folder for the array file; None is ``.dmzrep`` inside `folder`.
    n_jobs : int or None, default=-1
        Threads, or joblib's workers, that read files; -1 is one for each processor.
    progress : bool, default=False
        Show a bar of pictures.
    return_X_y : bool, default=False
        Whether to return ``(images, target)`` instead of a Bunch.

    Returns
    -------
    data : Bunch
        With ``images``, read-only uint8 memmap of shape (n, H, W, 3), (n, H, W) for "L" or (n, H, W, 4)
        for "RGBA"; ``filenames``, ndarray of n str, relative to the folder and sorted, with ``/``;
        ``target``, int64 ndarray of shape (n,) with the number of each picture's class, -1 beside the
        sub-folders, and ``target_names``, the first-level sub-folders sorted, or both None where there are
        no sub-folders; ``unreadable``, dict of the files left out, with reasons.
    (images, target) : tuple
        With ``return_X_y=True``.

    Warns
    -----
    UserWarning
        Files could not be read.

    Raises
    ------
    ValueError
        `size` or `mode` is not as it should be, or the folder has no picture that can be read.
    TypeError
        `folder` or `cache_dir` is no path.
    NotADirectoryError
        There is no such folder.
    ImportError
        Pillow, of the extra ``images``, is missing.
    OSError
        The array file cannot be written.

    See Also
    --------
    sklearn.datasets.load_files : The same convention, for texts.

    Examples
    --------
    >>> from dmzrep.datasets import load_images
    >>> products = load_images("products", 64, progress=True)  # doctest: +SKIP
    >>> encoder = DMZEncoder(64).fit(products.images)  # doctest: +SKIP
    """
    height, width = _check_size(size)
    return_X_y = check_bool(return_X_y, "return_X_y")
    check_choice("mode", mode, sorted(MODES))
    root = as_path(folder, "folder")
    if not root.is_dir():
        raise NotADirectoryError(f"There is no folder {root}. Give the one that holds the pictures.")
    names = _picture_names(root)
    if not names:
        raise ValueError(
            f"The folder {root} has no pictures: no file, in it or below, has an ending that Pillow reads."
        )
    cache = ImageCache(_stem(root, cache_dir, (height, width), mode), root, names, (height, width), mode)
    found = cache.read()
    if found is None:
        _write(cache, n_jobs, progress)
        found = cache.read()
        assert found is not None
    images, unreadable = found
    readable = [name for name in names if name not in unreadable]
    _report(root, unreadable, len(readable))
    target, target_names = _classes(readable)
    if return_X_y:
        return images, target
    return Bunch(
        images=images,
        filenames=np.array(readable),
        target=target,
        target_names=target_names,
        unreadable=unreadable,
    )


def _check_size(size: Any) -> tuple[int, int]:
    sides: Any = (size, size) if isinstance(size, Integral) else size
    if not (
        isinstance(sides, (tuple, list))
        and len(sides) == 2
        and all(isinstance(side, (int, np.integer)) and 1 <= side <= _LONGEST_SIDE for side in sides)
    ):
        raise ValueError(
            f"size must be a positive whole number of pixels or (height, width), got {short_repr(size)}."
        )
    return int(sides[0]), int(sides[1])


def _picture_names(root: Path) -> list[str]:
    """Files with a picture's ending, relative to the folder, sorted."""
    endings, names = picture_endings(), []
    for path, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if os.path.splitext(name)[1].lower() in endings and not name.startswith("."):
                names.append(Path(path, name).relative_to(root).as_posix())
    return sorted(names)


def _stem(root: Path, cache_dir: str | os.PathLike | None, size: tuple[int, int], mode: str) -> Path:
    name = f"{size[0]}x{size[1]}-{mode}"
    if cache_dir is None:
        return root / CACHE_FOLDER / name
    # Several folders of one name can share a cache.
    place = root.resolve()
    return (
        as_path(cache_dir, "cache_dir")
        / f"{place.name}-{hashlib.sha256(str(place).encode()).hexdigest()[:8]}-{name}"
    )


def _write(cache: ImageCache, n_jobs: int | None, progress: bool) -> None:
    try:
        cache.write(n_jobs, progress)
    except OSError as error:
        error.add_note(
            f"load_images keeps an array of the pictures in {cache.array.parent}. Name a folder that can be "
            "written to, and has the room, with cache_dir."
        )
        raise


def _report(root: Path, unreadable: dict[str, str], n_readable: int) -> None:
    if not unreadable:
        return
    name, why = next(iter(unreadable.items()))
    message = (
        f"{len(unreadable)} of {len(unreadable) + n_readable} files in {root} could not be read, such as "
        f"{name} ({why})."
    )
    if not n_readable:
        raise ValueError(f"{message} There is nothing to load.")
    warnings.warn(
        f"{message} They are left out; `unreadable` lists them with reasons.", UserWarning, stacklevel=3
    )


def _classes(names: list[str]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Number of each picture's first-level sub-folder, and these folders; None where there are none."""
    folders = [name.split("/")[0] if "/" in name else None for name in names]
    present = sorted({folder for folder in folders if folder is not None})
    if not present:
        return None, None
    number = {folder: i for i, folder in enumerate(present)} | {None: -1}
    return np.array([number[folder] for folder in folders], dtype=np.int64), np.array(present)
