"""Cartoon faces with binary attributes, which are part of the package."""

from importlib.resources import files

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from dmzrep._base._validation import check_bool


def load_avatars(*, return_X_y: bool = False) -> Bunch | tuple[np.ndarray, pd.DataFrame]:
    """Load 4,000 cartoon faces with 47 binary attributes.

    The faces are centred and of the same size. The images are part of the package; no download is needed.
    Art: "Avataaars" by Pablo Stanley, free for personal and commercial use.

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(images, attributes)`` instead of a Bunch.

    Returns
    -------
    data : Bunch
        With ``images``, uint8 ndarray of shape (4000, 32, 32, 3); ``attributes``, DataFrame of uint8,
        0 or 1, with a column for each attribute; ``DESCR``, which describes the attributes and has the
        notice of the artwork.
    (images, attributes) : tuple
        With ``return_X_y=True``.

    Examples
    --------
    >>> from dmzrep.datasets import load_avatars
    >>> avatars = load_avatars()
    >>> avatars.images.shape, avatars.images.dtype.name
    ((4000, 32, 32, 3), 'uint8')
    >>> avatars.attributes.shape
    (4000, 47)
    >>> avatars.attributes[["beard", "eyeglasses", "smiling"]].mean().round(2).tolist()
    [0.15, 0.19, 0.47]
    """
    return_X_y = check_bool(return_X_y, "return_X_y")
    folder = files("dmzrep.datasets") / "data"
    with (folder / "avatars.npz").open("rb") as file, np.load(file) as arrays:
        images = arrays["images"]
        attributes = pd.DataFrame(arrays["attributes"], columns=arrays["attribute_names"])
    if return_X_y:
        return images, attributes
    description = (folder / "avatars.txt").read_text(encoding="utf-8")
    return Bunch(images=images, attributes=attributes, DESCR=description)
