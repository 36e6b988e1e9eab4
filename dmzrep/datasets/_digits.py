"""The handwritten digits that come with scikit-learn."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

from dmzrep._base._validation import check_bool

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
