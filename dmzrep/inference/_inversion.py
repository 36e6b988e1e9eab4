"""Data to the noise from which deterministic DDIM reconstructs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dmzrep._base._batching import padded_batches
from dmzrep.data import Source
from dmzrep.diffusion._grids import Grid
from dmzrep.inference._decoding import StartingSamples
from dmzrep.inference._sampling import Sampling

if TYPE_CHECKING:
    from dmzrep.inference._decoder import Decoder


@dataclass(frozen=True)
class StartingNoise:
    """Noise that sampling begins from.

    Parameters
    ----------
    values : ndarray of shape (n, *data_shape), float32
        At the first timestep of the grid, in model units.
    strength : float, default=1.0
        Share of the timesteps that are denoised, in (0, 1].
    noise : str, default="inverted"
        Where the noise comes from.
    """

    values: np.ndarray
    strength: float = 1.0
    noise: str = "inverted"

    def at(self, decoder: Decoder, grid: Grid, part: slice, noise: Tensor, **options: Any) -> Tensor:
        """Return the noise of some of the samples, padded to the size of `noise`."""
        return decoder.padded(self.values[part], len(noise))


@torch.inference_mode()
def invert(
    decoder: Decoder, samples: Source, codes: np.ndarray | None, sampling: Sampling, strength: float = 1.0
) -> np.ndarray:
    """Find noise from which deterministic DDIM reconstructs the samples; see `Decoder.invert`."""
    plan = sampling.plan(decoder, noise="inverted", strength=strength)
    start = StartingSamples(samples, True, codes)
    found = np.empty((len(samples), *decoder.data_shape), dtype=np.float32)
    for part, size in padded_batches(len(samples), decoder.data_shape, decoder.denoiser_batch):
        unused = torch.empty(size, *decoder.data_shape)
        noise = start.at(
            decoder,
            plan.grid,
            part,
            unused,
            guidance=float(sampling.guidance),
            match_perturbation=plan.match_perturbation,
        )
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
