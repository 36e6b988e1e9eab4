"""Handwritten digits: those of scikit-learn, and MNIST from OpenML."""

import os

import numpy as np
from sklearn.datasets import fetch_openml, load_digits
from sklearn.utils import Bunch

from dmzrep._base._validation import as_path, check_bool

#: Largest value of a pixel in scikit-learn's copy.
_WHITE = 16


def load_digits_images(*, return_X_y: bool = False) -> Bunch | tuple[np.ndarray, np.ndarray]:
    """Load scikit-learn's handwritten digits as 8-bit grey images.

    The 17 grey levels 0 to 16 of `sklearn.datasets.load_digits` are spread over 0 to 255. Needs no
    internet.

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(images, target)`` instead of a Bunch.

    Returns
    -------
    data : Bunch
        With ``images``, uint8 ndarray of shape (1797, 8, 8); ``target``, ndarray of shape (1797,)
        with the digits 0 to 9; ``target_names``; ``DESCR``.
    (images, target) : tuple of ndarray
        With ``return_X_y=True``.

    See Also
    --------
    fetch_mnist : More digits, of 28 x 28 pixels.

    Examples
    --------
    >>> from dmzrep.datasets import load_digits_images
    >>> digits = load_digits_images()
    >>> digits.images.shape, digits.images.dtype.name, int(digits.images.max())
    ((1797, 8, 8), 'uint8', 255)
    >>> X, y = load_digits_images(return_X_y=True)
    >>> y[:5].tolist()
    [0, 1, 2, 3, 4]
    """
    return_X_y = check_bool(return_X_y, "return_X_y")
    digits = load_digits()
    images = np.rint(digits.images * (255 / _WHITE)).astype(np.uint8)
    if return_X_y:
        return images, digits.target
    return Bunch(images=images, target=digits.target, target_names=digits.target_names, DESCR=digits.DESCR)


def fetch_mnist(
    data_home: str | os.PathLike | None = None, *, return_X_y: bool = False
) -> Bunch | tuple[np.ndarray, np.ndarray]:
    """Fetch MNIST: 70,000 handwritten digits of 28 x 28 pixels.

    The first call needs the internet: it downloads the dataset ``mnist_784`` from OpenML. Later
    calls read the copy that scikit-learn keeps in `data_home`.

    Parameters
    ----------
    data_home : path-like or None, default=None
        Where scikit-learn keeps its downloads; None is ``~/scikit_learn_data``.
    return_X_y : bool, default=False
        Whether to return ``(images, target)`` instead of a Bunch.

    Returns
    -------
    data : Bunch
        With ``images``, uint8 ndarray of shape (70000, 28, 28), the 60,000 training images first;
        ``target``, ndarray of shape (70000,) with the digits 0 to 9; ``target_names``; ``DESCR``.
    (images, target) : tuple of ndarray
        With ``return_X_y=True``.

    Raises
    ------
    OSError
        The data are not in `data_home` and OpenML could not be reached.

    See Also
    --------
    load_digits_images : Fewer digits, without a download.

    Examples
    --------
    >>> from dmzrep.datasets import fetch_mnist
    >>> X, y = fetch_mnist(return_X_y=True)  # doctest: +SKIP
    >>> X_train, X_test = X[:60_000], X[60_000:]  # doctest: +SKIP
    """
    home = None if data_home is None else str(as_path(data_home, "data_home"))
    try:
        table = fetch_openml("mnist_784", version=1, data_home=home, as_frame=False, parser="liac-arff")
    except OSError as error:
        error.add_note(
            "fetch_mnist downloads mnist_784 from openml.org at its first call. Connect to the internet, or "
            "set data_home to a folder that holds scikit-learn's copy of it."
        )
        raise
    images = table.data.reshape(-1, 28, 28).astype(np.uint8)
    target = table.target.astype(np.int64)
    if check_bool(return_X_y, "return_X_y"):
        return images, target
    return Bunch(images=images, target=target, target_names=np.arange(10), DESCR=table.DESCR)
