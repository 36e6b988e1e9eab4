"""Paths of picture files in the place of samples."""

import os
from typing import Any, Protocol

import numpy as np

from dmzrep.data._sources import Source


class PathReader(Protocol):
    """What turns paths into samples: `dmzrep.datasets.ImageReader`."""

    def open(self, X: Any, *, repeatedly: bool = False) -> Source: ...


def is_paths(X: Any) -> bool:
    """Whether X is a path, or a list, array or series of paths."""
    if isinstance(X, (str, os.PathLike)):
        return True
    if isinstance(X, np.ndarray) or hasattr(X, "iloc"):
        if getattr(X, "ndim", 0) != 1 or X.dtype.kind in "buifcmM":
            return False
        X = X.tolist()
    return isinstance(X, (list, tuple)) and len(X) > 0 and isinstance(X[0], (str, os.PathLike))


def open_paths(reader: PathReader | None, X: Any, *, repeatedly: bool) -> Source:
    """Return the pictures of a folder or of files as a source; raise ValueError without a reader."""
    if reader is None:
        raise ValueError(
            "X holds paths, but the encoder was fitted to arrays and has no ImageReader to read image files. "
            "Fit it to paths, or with image_reader=ImageReader(...), or read the files as those of fit were."
        )
    return reader.open(X, repeatedly=repeatedly)
