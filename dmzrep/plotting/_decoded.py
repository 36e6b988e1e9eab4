"""Samples and reconstructions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dmzrep._base._validation import check_int
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.plotting._image_grid import ImageGridDisplay, code_name, fitted_image_format, take

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class SampleDisplay(ImageGridDisplay):
    """Images sampled from an encoder; create it with `from_estimator`.

    Parameters
    ----------
    images, title, row_labels, column_labels, captions, note
        As in `ImageGridDisplay`.

    See Also
    --------
    DMZEncoder.sample : The samples as arrays.

    Examples
    --------
    >>> from dmzrep.plotting import SampleDisplay
    >>> SampleDisplay.from_estimator(encoder, 100)  # doctest: +SKIP
    """

    @classmethod
    def from_estimator(
        cls,
        encoder: DMZEncoder,
        n_samples: int = 64,
        *,
        n_columns: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        ax: Axes | None = None,
        **sampling: Any,
    ) -> Self:
        """Sample images and draw them.

        Parameters
        ----------
        encoder : DMZEncoder
            Fitted on images.
        n_samples : int, default=64
            Number of samples.
        n_columns : int or None, default=None
            Images per row; None makes the grid nearly square, or with ``return_trajectory=True`` draws a row
            for each sample and a column for each step.
        random_state : int, RandomState or None, default=None
            Controls codes and noise.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None creates a figure.
        **sampling
            Options of `DMZEncoder.sample`, such as `prior`, `n_steps` and `sampler`.

        Returns
        -------
        SampleDisplay
        """
        image_format = fitted_image_format(encoder, cls)
        if n_columns is not None:
            check_int(n_columns, "n_columns", also=", or None")
        samples = encoder.sample(n_samples, random_state=random_state, **sampling)
        column_labels = None
        if sampling.get("return_trajectory"):
            if n_columns is None:
                n_columns = len(samples)
                column_labels = [f"step {i + 1}" for i in range(n_columns)]
            samples = np.concatenate(list(samples.swapaxes(0, 1)))
        pictures = image_format.to_pictures(samples)
        n = len(pictures)
        n_columns = math.ceil(math.sqrt(n)) if n_columns is None else min(n_columns, n)
        n_rows = math.ceil(n / n_columns)
        grid = np.full((n_rows * n_columns, *pictures.shape[1:]), np.nan)
        grid[:n] = pictures
        return cls(
            grid.reshape(n_rows, n_columns, *pictures.shape[1:]),
            title=f"Samples from {code_name(encoder)}",
            column_labels=column_labels,
        ).plot(ax)


class ReconstructionDisplay(ImageGridDisplay):
    """Images above their reconstructions; create it with `from_estimator`.

    Several draws from one code show what is determined by the code, and so the same in all draws, and what is
    determined by the noise.

    Parameters
    ----------
    images, title, row_labels, column_labels, captions, note
        As in `ImageGridDisplay`.

    See Also
    --------
    DMZEncoder.reconstruct : The reconstructions as arrays.

    Examples
    --------
    >>> from dmzrep.plotting import ReconstructionDisplay
    >>> ReconstructionDisplay.from_estimator(encoder, X, n_draws=3)  # doctest: +SKIP
    """

    @classmethod
    def from_estimator(
        cls,
        encoder: DMZEncoder,
        X: Any,
        *,
        max_images: int = 10,
        n_draws: int = 1,
        random_state: int | np.random.RandomState | None = None,
        ax: Axes | None = None,
        **sampling: Any,
    ) -> Self:
        """Reconstruct images and draw them below the originals.

        Parameters
        ----------
        encoder : DMZEncoder
            Fitted on images.
        X : array-like, table or map-style dataset
            Images in the fitted layout.
        max_images : int, default=10
            Largest number of images to draw, from the first.
        n_draws : int, default=1
            Reconstructions per image. Several are drawn from different random noise; `noise` must then be
            ``"random"`` or absent, and `return_trajectory`, which draws a row for each step, False.
        random_state : int, RandomState or None, default=None
            Controls random noise.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None creates a figure.
        **sampling
            Options of `DMZEncoder.reconstruct`, such as `noise`, `n_steps` and `sampler`.

        Returns
        -------
        ReconstructionDisplay
        """
        image_format = fitted_image_format(encoder, cls)
        n_draws = check_int(n_draws, "n_draws")
        noise = sampling.setdefault("noise", "random" if n_draws > 1 else "zero")
        is_trajectory = sampling.get("return_trajectory")
        if n_draws > 1 and (noise != "random" or is_trajectory):
            option = "return_trajectory=True" if noise == "random" else f"noise={noise!r}"
            raise ValueError(f"n_draws must be 1 with {option}, got {n_draws}.")
        samples = take(X, slice(0, check_int(max_images, "max_images")))
        originals = image_format.to_pictures(samples)
        # The noise of a sample depends on its index, so all draws are decoded in one call.
        repeated = samples if n_draws == 1 else np.concatenate([np.asarray(samples)] * n_draws)
        rebuilt = encoder.reconstruct(repeated, random_state=random_state, **sampling)
        pictures = image_format.to_pictures(rebuilt).reshape(-1, *originals.shape)
        name = "step" if is_trajectory else "draw"
        labels = [f"{name} {i + 1}" for i in range(len(pictures))]
        inverted = " and inverted noise" if noise == "inverted" else ""
        return cls(
            np.concatenate([originals[None], pictures]),
            title=f"Reconstructions from {code_name(encoder)}{inverted}",
            row_labels=["original", *(labels if len(labels) > 1 else ["reconstruction"])],
        ).plot(ax)
