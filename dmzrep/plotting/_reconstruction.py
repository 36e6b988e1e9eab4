"""Originals above their reconstructions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dmzrep._base._validation import check_choice, check_int
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.estimator._inputs import NOISES
from dmzrep.plotting._grid import draw_grid
from dmzrep.plotting._pictures import (
    as_pictures,
    as_rows,
    check_pictures,
    code_name,
    fitted_image_format,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ReconstructionDisplay:
    """Images above what an encoder makes of their codes.

    Make one with `from_estimator`. Several draws of one code show what the code fixes (it is the
    same in all of them) and what it leaves to chance.

    Parameters
    ----------
    originals : ndarray of shape (n, H, W) or (n, H, W, channels)
        Pictures with values in [0, 1].
    reconstructions : ndarray of shape (n_draws, n, H, W) or (n_draws, n, H, W, channels)
        Pictures with values in [0, 1].
    title : str, default="Reconstructions"
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
    DMZEncoder.reconstruct : The reconstructions as arrays.

    Examples
    --------
    >>> from dmzrep import DMZEncoder
    >>> from dmzrep.datasets import load_digits_images
    >>> from dmzrep.plotting import ReconstructionDisplay
    >>> X = load_digits_images().images
    >>> encoder = DMZEncoder(latent_dim=64, max_time=60).fit(X)  # doctest: +SKIP
    >>> ReconstructionDisplay.from_estimator(encoder, X, n_draws=3)  # doctest: +SKIP
    """

    def __init__(self, originals: np.ndarray, reconstructions: np.ndarray, *, title: str = "Reconstructions"):
        self.originals = originals
        self.reconstructions = reconstructions
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        encoder: DMZEncoder,
        X: Any,
        *,
        max_images: int = 10,
        n_draws: int = 1,
        noise: str = "random",
        n_steps: int | None = None,
        sampler: str = "auto",
        random_state: int | np.random.RandomState | None = 0,
        ax: Axes | None = None,
    ) -> Self:
        """Reconstruct images and draw them under the originals.

        Parameters
        ----------
        encoder : DMZEncoder
            Fitted on images.
        X : array-like, table or map-style dataset
            Images in the fitted layout.
        max_images : int, default=10
            How many of them are shown, from the first.
        n_draws : int, default=1
            Reconstructions of each image, each from other noise.
        noise, n_steps, sampler
            As in `DMZEncoder.reconstruct`. Inverted noise leaves nothing to chance, so it allows
            one draw only.
        random_state : int, RandomState or None, default=0
            Decides random noise. The first draw is what `reconstruct` gives with it.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        ReconstructionDisplay
        """
        image_format = fitted_image_format(encoder, cls.__name__)
        check_choice("noise", noise, NOISES)
        n_draws = check_int(n_draws, "n_draws")
        if noise == "inverted" and n_draws > 1:
            raise ValueError(
                f"n_draws must be 1 with noise='inverted' (all draws would be equal), got {n_draws}."
            )
        rows = as_rows(encoder, X, "X")[: check_int(max_images, "max_images")]
        # One call for all draws: a row's noise is decided by its place.
        rebuilt = encoder.reconstruct(
            np.concatenate([rows] * n_draws),
            noise=noise,
            n_steps=n_steps,
            sampler=sampler,
            random_state=random_state,
        )
        originals, draws = as_pictures(rows, image_format), as_pictures(rebuilt, image_format)
        title = f"Reconstructions from {code_name(encoder)}" + (
            " and inverted noise" if noise == "inverted" else ""
        )
        return cls(originals, draws.reshape(n_draws, *originals.shape), title=title).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the pictures.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        ReconstructionDisplay
        """
        originals = check_pictures(self.originals, "originals", None)
        draws = check_pictures(
            self.reconstructions, "reconstructions", None, *originals.shape[:1], of=originals.shape[1:]
        )
        n_draws = len(draws)
        names = ["reconstruction"] if n_draws == 1 else [f"draw {i + 1}" for i in range(n_draws)]
        self.ax_, self.images_ = draw_grid(
            np.concatenate([originals[None], draws]),
            ax,
            caller=f"{type(self).__name__}.plot",
            title=self.title,
            row_labels=["original", *names],
        )
        self.figure_ = self.ax_.figure
        return self
