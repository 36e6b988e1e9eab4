"""Images of a folder as one array, which need not fit into memory."""

import errno
import os
import stat
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from dmzrep._base._validation import as_path, check_bool, check_choice, short_repr
from dmzrep._base._warnings import warn
from dmzrep.datasets._image_cache import ImageCache, default_cache_dir
from dmzrep.datasets._pictures import MODES, RESIZES, Rendering, load_pillow, picture_extensions

#: Largest side of Pillow images.
_LONGEST_SIDE = 2**31 - 1
#: Number of reasons that a warning lists.
_MAX_REASONS = 3


def load_images(
    folder: str | os.PathLike,
    size: int | tuple[int, int],
    *,
    mode: str = "RGB",
    resize: str = "crop",
    background: str = "white",
    cache_dir: str | os.PathLike | None = None,
    n_jobs: int | None = -1,
    progress: bool = False,
    return_X_y: bool = False,
) -> Bunch | tuple[np.ndarray, np.ndarray | None]:
    """Load the pictures of a folder and its sub-folders, all in one size.

    The first call reads the files and writes them to one array file in a cache folder; later calls open
    that, unless files were added, removed or changed. Several processes can load one folder at once. Nothing
    is written beside the pictures.

    Parameters
    ----------
    folder : path-like
        Where the pictures are; ``~`` is the home folder. Sub-folders are read too and name the classes.
        Hidden files and folders, and files without a picture's extension, are ignored.
    size : int or tuple of int
        Side, or (height, width), in pixels. Pictures are resized with Pillow's Lanczos filter.
    mode : {"RGB", "L", "RGBA"}, default="RGB"
        RGB, greyscale, or RGB with an alpha channel. Only the upper 8 bits of 16-bit pictures are kept.
    resize : {"crop", "pad"}, default="crop"
        How pictures with another aspect ratio are resized: ``"crop"`` cuts them around their centre,
        ``"pad"`` adds `background`.
    background : str, default="white"
        Background colour for transparent pictures and padding: a name or "#rrggbb".
        With ``mode="RGBA"`` padding is transparent.
    cache_dir : path-like or None, default=None
        Folder for the array file. None is ``dmzrep`` in the user's cache directory, such as
        ``~/.cache/dmzrep``, which is kept below 20 GiB: the least recently used array files are removed.
    n_jobs : int or None, default=-1
        Threads, or joblib's workers, that read files; -1 is one for each processor.
    progress : bool, default=False
        Show a progress bar of pictures.
    return_X_y : bool, default=False
        Whether to return ``(images, target)`` instead of a Bunch.

    Returns
    -------
    data : Bunch
        With ``images``, read-only uint8 memmap of shape (n, H, W, 3), (n, H, W) for "L" or (n, H, W, 4)
        for "RGBA"; ``filenames``, ndarray of n str, relative to the folder and sorted, with ``/``;
        ``target``, int64 ndarray of shape (n,) with the class of each picture, -1 outside the
        sub-folders, and ``target_names``, the first-level sub-folders sorted, or both None where there are
        no sub-folders; ``unreadable``, dict of skipped files and folders, with reasons: damaged files,
        formats that Pillow does not read, broken links, pipes and devices, links to folders, folders without
        permission.
    (images, target) : tuple
        With ``return_X_y=True``.

    Raises
    ------
    ValueError
        `size`, `mode`, `resize` or `background` is invalid, or the folder has no readable picture.
    TypeError
        `folder` or `cache_dir` is not a path.
    NotADirectoryError
        There is no such folder.
    ImportError
        Pillow is not installed (extra ``images``).
    OSError
        The array file cannot be written.

    Warns
    -----
    UserWarning
        Files or folders were skipped.

    See Also
    --------
    sklearn.datasets.load_files : The same convention, for texts.

    Examples
    --------
    >>> from dmzrep.datasets import load_images
    >>> products = load_images("products", 64, progress=True)  # doctest: +SKIP
    >>> encoder = DMZEncoder(64).fit(products.images)  # doctest: +SKIP
    """
    return_X_y = check_bool(return_X_y, "return_X_y")
    check_choice("mode", mode, sorted(MODES))
    check_choice("resize", resize, RESIZES)
    rendering = Rendering(check_size(size), mode, resize, check_colour(background))
    root = as_path(folder, "folder").expanduser()
    if not root.is_dir():
        raise NotADirectoryError(f"There is no folder {root}. Pass the one that contains the pictures.")
    files, unreadable = find_pictures(root)
    if files:
        images, damaged = _read_through_cache(root, files, rendering, cache_dir, n_jobs, progress)
        unreadable = dict(sorted((unreadable | damaged).items()))
    readable = [name for name in files if name not in unreadable]
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


def load_listed(
    paths: list[Path], rendering: Rendering, cache_dir: str | os.PathLike | None, n_jobs: int | None
) -> np.ndarray:
    """Return listed picture files like `load_images`, in their order; a file may be listed more than once."""
    absolute = [Path(os.path.abspath(path)) for path in paths]
    root = Path(os.path.commonpath({path.parent for path in absolute}))
    names = [os.path.relpath(path, root) for path in absolute]
    files: dict[str, tuple[int, int]] = {}
    unreadable: dict[str, str] = {}
    for name in names:
        try:
            files[name] = file_stamp(root / name)
        except OSError as error:
            unreadable[name] = reason_of(error)
    images = np.empty((0, *rendering.shape), dtype=np.uint8)
    if files:
        images, damaged = _read_through_cache(root, files, rendering, cache_dir, n_jobs, progress=False)
        unreadable |= damaged
    _report(root, unreadable, len(images))
    readable = [name for name in files if name not in unreadable]
    if readable == [name for name in names if name not in unreadable]:
        return images
    index = {name: i for i, name in enumerate(readable)}
    return images[[index[name] for name in names if name in index]]


def _read_through_cache(
    root: Path,
    files: dict[str, tuple[int, int]],
    rendering: Rendering,
    cache_dir: str | os.PathLike | None,
    n_jobs: int | None,
    progress: bool,
) -> tuple[np.ndarray, dict[str, str]]:
    """Return pictures from their array file, which is made if need be, and the unreadable with reasons."""
    place = default_cache_dir() if cache_dir is None else as_path(cache_dir, "cache_dir").expanduser()
    cache = ImageCache(place, root, files, rendering)
    try:
        return cache.read() or cache.make(n_jobs, progress)
    except OSError as error:
        error.add_note(
            f"{place} must be writable and have enough free space; pass another folder as cache_dir."
        )
        raise


def check_size(size: Any) -> tuple[int, int]:
    """Return (height, width); raise ValueError if it is invalid."""
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


def check_colour(background: Any) -> str:
    """Return a colour; raise ValueError if Pillow does not know it."""
    load_pillow()
    from PIL import ImageColor

    try:
        ImageColor.getrgb(background)
    except (ValueError, TypeError, AttributeError):
        raise ValueError(
            f"background must be the name of a colour or '#rrggbb', got {short_repr(background)}."
        ) from None
    return background


def find_pictures(root: Path) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """Return picture files, sorted, with sizes and modification times, and the unreadable, with reasons."""
    extensions = picture_extensions()
    files: dict[str, tuple[int, int]] = {}
    unreadable: dict[str, str] = {}

    def note(error: OSError) -> None:
        unreadable[Path(error.filename).relative_to(root).as_posix()] = reason_of(error)

    for path, folders, names in os.walk(root, onerror=note):
        place = Path(path).relative_to(root)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            if os.path.islink(os.path.join(path, name)):
                unreadable[(place / name).as_posix()] = "a link to a folder is not followed"
        for name in names:
            extension = os.path.splitext(name)[1].lower()
            if extension not in extensions or name.startswith("."):
                continue
            relative, reason = (place / name).as_posix(), extensions[extension]
            if reason is None:
                try:
                    files[relative] = file_stamp(os.path.join(path, name))
                except OSError as error:
                    reason = reason_of(error)
            if reason is not None:
                unreadable[relative] = reason
    return dict(sorted(files.items())), unreadable


def file_stamp(path: str | os.PathLike) -> tuple[int, int]:
    """Return the size and the time of modification of a regular file, which change with its content."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, a socket or a device"
        raise OSError(errno.EINVAL, f"not a regular file, but {kind}", os.fspath(path))
    return status.st_size, status.st_mtime_ns


def reason_of(error: OSError) -> str:
    """Return the reason for which a file cannot be opened."""
    return f"{type(error).__name__}: {error.strerror}"


def _report(root: Path, unreadable: dict[str, str], n_readable: int) -> None:
    """Warn about unreadable files; raise if there is no other."""
    if not n_readable and not unreadable:
        raise ValueError(
            f"The folder {root} has no pictures: no file, in it or below, has an extension that Pillow reads."
        )
    if not unreadable:
        return
    examples = {why: name for name, why in reversed(unreadable.items())}
    such_as = "; ".join(f"{name} ({why})" for why, name in list(examples.items())[::-1][:_MAX_REASONS])
    message = (
        f"{len(unreadable)} of {len(unreadable) + n_readable} files in {root} could not be read, such as "
        f"{such_as}."
    )
    if not n_readable:
        raise ValueError(f"{message} There is nothing to load.")
    warn(f"{message} They are left out; `unreadable` lists them with reasons.")


def _classes(names: list[str]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the class of each picture, -1 for none, and the first-level sub-folders, or None twice."""
    folders = [name.split("/")[0] if "/" in name else None for name in names]
    present = sorted({folder for folder in folders if folder is not None})
    if not present:
        return None, None
    number = {folder: i for i, folder in enumerate(present)} | {None: -1}
    return np.array([number[folder] for folder in folders], dtype=np.int64), np.array(present)
