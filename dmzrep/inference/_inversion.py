"""Rows to the noise that they come from, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmzrep._base._batching import batches
from dmzrep.data import Source
from dmzrep.diffusion._grids import Grid
from dmzrep.inference._decoding import StartingRows
from dmzrep.inference._trained import TrainedModel


@dataclass(frozen=True)
class StartingNoise:
    """What sampling begins from, given as it is.

    Parameters
    ----------
    values : ndarray of shape (n, *data_shape), float32
        x at the grid's first timestep, in model units.
    """

    values: np.ndarray

    def at(self, model: TrainedModel, grid: Grid, part: slice, noise: Tensor, **options: Any) -> Tensor:
        """Give some of the rows, filled up to the rows of `noise`."""
        return model.padded(self.values[part], len(noise))


@torch.inference_mode()
def invert(
    model: TrainedModel,
    rows: Source,
    codes: np.ndarray | None,
    grid: Grid,
    *,
    match_perturbation: bool = False,
) -> np.ndarray:
    """Find x at the grid's first timestep from which deterministic DDIM gives the rows back, nearly.

    Parameters
    ----------
    model : TrainedModel
        The model.
    rows : ndarray or other row source, shape (n, *row_shape)
        In the user's layout.
    codes : ndarray of shape (n, latent_dim) or None
        Their bits; None for an unconditional model.
    grid : sequence of (t, t_prev)
        Timesteps of the sampler.
    match_perturbation : bool, default=False
        See `Objective.denoise`.

    Returns
    -------
    ndarray of shape (n, *data_shape), float32
        In model units. A row's does not depend on the other rows.
    """
    start, size = StartingRows(rows, True, codes), model.denoiser_rows
    found = np.empty((len(rows), *model.data_shape), dtype=np.float32)
    unused = torch.empty(size, *model.data_shape)
    for part in batches(len(rows), size):
        noise = start.at(model, grid, part, unused, match_perturbation=match_perturbation)
        found[part] = noise[: part.stop - part.start].cpu().numpy()
    return found


def between_noises(first: np.ndarray, last: np.ndarray, progress: np.ndarray) -> np.ndarray:
    """Go from one noise to another along the great circle, so that all between are as large as noise.

    Parameters
    ----------
    first, last : ndarray of shape (n, ...)
        The ends of n ways.
    progress : ndarray of shape (n_steps,)
        Shares of the angle, in [0, 1].

    Returns
    -------
    ndarray of shape (n, n_steps, ...)
        In the dtype of `first`.

    References
    ----------
    Song, Meng, Ermon, "Denoising Diffusion Implicit Models", 2021, appendix D.5 (spherical
    interpolation of noise).

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.inference._inversion import between_noises
    >>> between_noises(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), np.array([0.0, 0.5])).round(2).tolist()
    [[[1.0, 0.0], [0.71, 0.71]]]
    """
    ends = [end.reshape(len(end), 1, -1).astype(np.float64) for end in (first, last)]
    lengths = [np.linalg.norm(end, axis=-1, keepdims=True) for end in ends]
    product = np.maximum(lengths[0] * lengths[1], np.finfo(np.float64).tiny)
    cosine = (ends[0] * ends[1]).sum(axis=-1, keepdims=True) / product
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    share = progress.reshape(1, -1, 1)
    # Equal directions leave no circle to go along, nor do opposite ones; a straight line then serves.
    straight = np.sin(angle) < 1e-6
    angle = np.where(straight, 1.0, angle)
    weights = [
        np.where(straight, plain, np.sin(plain * angle) / np.sin(angle)) for plain in (1.0 - share, share)
    ]
    between = weights[0] * ends[0] + weights[1] * ends[1]
    return between.reshape(len(first), -1, *first.shape[1:]).astype(first.dtype)
