"""New images in a grid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

import numpy as np

from dmzrep._base._validation import check_int
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.plotting._grid import draw_grid
from dmzrep.plotting._pictures import (
    as_pictures,
    check_pictures,
    code_name,
    fitted_image_format,
)
from dmzrep.priors import CodePrior

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class SampleDisplay:
    """New images that an encoder draws.

    Make one with `from_estimator`.

    Parameters
    ----------
    samples : ndarray of shape (n, H, W) or (n, H, W, channels)
        Pictures with values in [0, 1].
    title : str, default="Samples"
        Title of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the pictures.
    figure_ : matplotlib Figure
        Figure of the axes.
    images_ : list of matplotlib AxesImage
        The pictures, in reading order.

    See Also
    --------
    DMZEncoder.sample : The samples as arrays.

    Examples
    --------
    >>> from dmzrep import DMZEncoder
    >>> from dmzrep.datasets import load_digits_images
    >>> from dmzrep.plotting import SampleDisplay
    >>> encoder = DMZEncoder(max_time=60).fit(load_digits_images().images)  # doctest: +SKIP
    >>> SampleDisplay.from_estimator(encoder, 100)  # doctest: +SKIP
    """

    def __init__(self, samples: np.ndarray, *, title: str = "Samples"):
        self.samples = samples
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        encoder: DMZEncoder,
        n_samples: int = 64,
        *,
        n_steps: int | None = None,
        sampler: str = "auto",
        eta: float = 0.0,
        prior: str | CodePrior | None = None,
        random_state: int | np.random.RandomState | None = 0,
        n_columns: int | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Sample new images and draw them.

        Parameters
        ----------
        encoder : DMZEncoder
            Fitted on images.
        n_samples : int, default=64
            Images to draw.
        n_steps, sampler, eta, prior, random_state
            As in `DMZEncoder.sample`.
        n_columns : int or None, default=None
            As in `plot`.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        SampleDisplay
        """
        image_format = fitted_image_format(encoder, cls.__name__)
        samples = encoder.sample(
            n_samples, n_steps=n_steps, sampler=sampler, eta=eta, prior=prior, random_state=random_state
        )
        return cls(as_pictures(samples, image_format), title=f"Samples from {code_name(encoder)}").plot(
            ax, n_columns=n_columns
        )

    def plot(self, ax: Axes | None = None, *, n_columns: int | None = None) -> Self:
        """Draw the pictures.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.
        n_columns : int or None, default=None
            Pictures in a row; None makes the grid nearly square.

        Returns
        -------
        SampleDisplay
        """
        samples = check_pictures(self.samples, "samples", None)
        n = len(samples)
        n_columns = math.ceil(math.sqrt(n)) if n_columns is None else n_columns
        n_columns = min(check_int(n_columns, "n_columns", also=", or None"), n)
        n_rows = math.ceil(n / n_columns)
        blank = np.zeros((n_rows * n_columns - n, *samples.shape[1:]), dtype=samples.dtype)
        grid = np.concatenate([samples, blank]).reshape(n_rows, n_columns, *samples.shape[1:])
        self.ax_, self.images_ = draw_grid(
            grid, ax, caller=f"{type(self).__name__}.plot", title=self.title, n_pictures=n
        )
        self.figure_ = self.ax_.figure
        return self
