"""Picture files as samples: one recipe from a file to an array."""

import os
from collections.abc import Iterable, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import TransformerMixin
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_array

from dmzrep._base._parameters import ParameterGroup
from dmzrep._base._validation import as_path, short_repr
from dmzrep.data import DatasetSource, Source, is_paths
from dmzrep.datasets._folder import check_colour, check_size, file_stamp, load_images, load_listed
from dmzrep.datasets._pictures import MODES, RESIZES, Rendering, quiet_pillow, read_picture


class ImageReader(TransformerMixin, ParameterGroup):
    """Read picture files as arrays of one size.

    A picture is decoded (the first frame of animations), rotated by its EXIF orientation, converted to `mode`
    and resized with Pillow's Lanczos filter. JPEG files are decoded at 1/2, 1/4 or 1/8 of their size where
    that is still twice the requested one. Since all of this affects the codes, a fitted `DMZEncoder` stores
    its reader.

    Parameters
    ----------
    size : int or tuple of int, default=64
        Side, or (height, width), in pixels.
    mode : {"RGB", "L", "RGBA"}, default="RGB"
        RGB, greyscale, or RGB with an alpha channel.
    resize : {"crop", "pad"}, default="crop"
        How pictures with another aspect ratio are resized: ``"crop"`` cuts them around their centre,
        ``"pad"`` adds `background`.
    background : str, default="white"
        Background colour for transparent pictures and padding: a name or "#rrggbb".
    cache_dir : path-like or None, default=None
        Folder for the array file of pictures that are read repeatedly, as in `load_images`.
    n_jobs : int or None, default=-1
        Threads that read files; -1 is one for each processor.

    See Also
    --------
    load_images : Pictures of a folder, with the classes of their sub-folders.
    dmzrep.DMZEncoder : Takes paths, with a reader as `image_reader`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from dmzrep.datasets import ImageReader
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "wide.png")
    ...     Image.new("RGB", (40, 20), "red").save(path)
    ...     images = ImageReader(16, resize="pad").transform([path])
    >>> images.shape, images[0, 0, 0].tolist(), images[0, 8, 8].tolist()
    ((1, 16, 16, 3), [255, 255, 255], [255, 0, 0])
    """

    _parameter_constraints: ClassVar[dict] = {
        "size": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "mode": [StrOptions(set(MODES))],
        "resize": [StrOptions(set(RESIZES))],
        "background": [str],
        "cache_dir": [str, HasMethods("__fspath__"), None],
        "n_jobs": [Integral, None],
    }

    def __init__(self, size=64, *, mode="RGB", resize="crop", background="white", cache_dir=None, n_jobs=-1):
        self.size = size
        self.mode = mode
        self.resize = resize
        self.background = background
        self.cache_dir = cache_dir
        self.n_jobs = n_jobs

    @property
    def rendering(self) -> Rendering:
        """The checked parameters that determine the pixels."""
        self._validate_params()
        return Rendering(check_size(self.size), self.mode, self.resize, check_colour(self.background))

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of the array of one picture."""
        return self.rendering.shape

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Check the parameters; there is nothing to learn.

        Parameters
        ----------
        X : Any
            Ignored.
        y : Any
            Ignored.

        Returns
        -------
        self
        """
        self.rendering  # noqa: B018
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Read pictures into memory.

        Parameters
        ----------
        X : path-like or array-like of path-like
            A picture file, a folder, or a list, series or one-column table of files.

        Returns
        -------
        ndarray of uint8, shape (n, H, W, C) or, with ``mode="L"``, (n, H, W)
            The pictures; those of a folder in the order of `load_images`.

        Raises
        ------
        ValueError
            A parameter is invalid, X holds no paths, or a file cannot be read; the message names it.
        FileNotFoundError
            There is no such file.
        TypeError
            X is neither a path nor a list.
        """
        if np.ndim(X) > 0 and not is_paths(X):  # A table with one column, as of a ColumnTransformer.
            X = check_array(X, dtype=object, ensure_2d=False, input_name="X").ravel().tolist()
        return np.asarray(self.open(X)[:])

    def open(self, X: Any, *, repeatedly: bool = False) -> Source:
        """Return pictures as a source, from which batches are read.

        Parameters
        ----------
        X : path-like or array-like of path-like
            A picture file, a folder, or a list or series of files.
        repeatedly : bool, default=False
            Decode the files once, into an array file, and skip unreadable files, with a warning.

        Returns
        -------
        Source
            With a length, `shape` and `dtype`, indexed by slices or arrays of indices.
        """
        rendering = self.rendering
        if isinstance(X, (str, os.PathLike)):
            path = as_path(X, "X").expanduser()
            if path.is_dir():
                return self._load_folder(path)
            X = [path]
        if not isinstance(X, Iterable):
            raise TypeError(f"X must be a picture file, a folder or a list of files, got {short_repr(X)}.")
        paths = [as_path(path, "Each path of X").expanduser() for path in X]
        if repeatedly:
            return load_listed(paths, rendering, self.cache_dir, self.n_jobs)
        return PictureSource(paths, rendering, self.n_jobs)

    def _load_folder(self, folder: Path) -> np.ndarray:
        options = self.get_params()
        pictures: Any = load_images(folder, options.pop("size"), **options)
        return pictures.images


class PictureSource(DatasetSource):
    """Picture files that are read on access, in parallel."""

    def __init__(self, paths: Sequence[Path], rendering: Rendering, n_jobs: int | None):
        self.paths, self.rendering, self.n_jobs = paths, rendering, n_jobs
        self.shape = (len(paths), *rendering.shape)
        self.dtype = np.dtype(np.uint8)
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, indices: np.ndarray | slice) -> np.ndarray:
        """Read the pictures at the given positions."""
        if isinstance(indices, slice):
            indices = np.arange(*indices.indices(len(self)))
        pictures = np.empty((len(indices), *self.shape[1:]), dtype=self.dtype)

        def read(place: int, path: Path) -> None:
            pictures[place] = _read(path, self.rendering)

        # Threads run in parallel while pictures are decoded and resized.
        n_jobs = self.n_jobs if len(indices) > 1 else 1
        with quiet_pillow():
            Parallel(n_jobs, prefer="threads")(
                delayed(read)(place, self.paths[int(index)]) for place, index in enumerate(indices)
            )
        return pictures


def _read(path: Path, rendering: Rendering) -> np.ndarray:
    """Read a picture; raise errors that name the file."""
    try:
        file_stamp(path)  # Reading a pipe would block.
        return read_picture(path, rendering)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"There is no picture file {path}.") from error
    except Exception as error:  # Decoders raise various errors for damaged files.
        raise ValueError(f"{path} cannot be read as a picture: {type(error).__name__}: {error}") from error
