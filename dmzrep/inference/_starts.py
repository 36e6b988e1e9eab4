"""Starting points of sampling: noised or inverted samples, given noise, or zeros."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dmzrep._base._batching import pad_samples
from dmzrep.data import Source
from dmzrep.diffusion._samplers import invert_ddim
from dmzrep.inference._encoding import encode_batch, mask_missing_bits
from dmzrep.inference._model import FittedModel
from dmzrep.inference._sampling import SamplingPlan


@dataclass(frozen=True)
class StartingSamples:
    """Clean samples from which sampling begins, so that part of them is kept.

    With `inverted`, deterministic DDIM runs backwards from the samples to the first timestep, given `codes`
    or, if None, the bits of the samples, masked after the first `n_bits`. Otherwise, noise is added.
    `strength` is the fraction of the timesteps that are denoised, in (0, 1].
    """

    samples: Source
    inverted: bool = False
    codes: np.ndarray | None = None
    strength: float = 1.0
    n_bits: int | None = None

    @property
    def noise(self) -> str:
        """Where the noise comes from: "random" or "inverted"."""
        return "inverted" if self.inverted else "random"

    def at(
        self, model: FittedModel, plan: SamplingPlan, part: slice, noise: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return the samples at the first timestep, padded to the size of `noise`, and any codes used."""
        size, schedule = len(noise), model.objective.schedule
        x0 = model.model_units(self.samples[part])
        if not self.inverted:
            first = torch.full((size,), plan.grid[0][0], dtype=torch.long, device=model.device)
            return schedule.add_noise(pad_samples(x0, size), noise, first), None
        z = None
        if self.codes is not None:
            z = model.padded(self.codes[part], size)
        elif model.has_code:
            bits = encode_batch(model, x0, size, "bits")
            z = model.padded(mask_missing_bits(bits[:, : self.n_bits], model.latent_dim), size)
        return invert_ddim(plan.denoiser(model, z), pad_samples(x0, size), plan.grid, schedule), z


@dataclass(frozen=True)
class StartingNoise:
    """Noise of shape (n, *data_shape) from which sampling begins, or zeros.

    From zeros, sampling leads to an image near the mean of those of a code.
    """

    values: np.ndarray | None = None
    strength: float = 1.0

    @property
    def noise(self) -> str:
        """Where the noise comes from: "inverted" or "zero"."""
        return "zero" if self.values is None else "inverted"

    def at(
        self, model: FittedModel, plan: SamplingPlan, part: slice, noise: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return the noise of some samples, padded to the size of `noise`, and no codes."""
        if self.values is None:
            return torch.zeros_like(noise), None
        return model.padded(self.values[part], len(noise)), None


def between_noises(first: np.ndarray, last: np.ndarray, progress: np.ndarray) -> np.ndarray:
    """Interpolate n pairs of noise along great circles, shape (n, n_steps, ...), so that norms are kept.

    `progress` holds n_steps fractions of the angle (Song, Meng, Ermon, "Denoising Diffusion Implicit
    Models", 2021, appendix D.5).
    """
    ends = [end.reshape(len(end), 1, -1).astype(np.float64) for end in (first, last)]
    norms = [np.linalg.norm(end, axis=-1, keepdims=True) for end in ends]
    product = np.maximum(norms[0] * norms[1], np.finfo(np.float64).tiny)
    cosine = (ends[0] * ends[1]).sum(axis=-1, keepdims=True) / product
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    share = progress.reshape(1, -1, 1)
    # Equal or opposite directions define no great circle; interpolate linearly.
    straight = np.sin(angle) < 1e-6
    angle = np.where(straight, 1.0, angle)
    weights = [
        np.where(straight, plain, np.sin(plain * angle) / np.sin(angle)) for plain in (1.0 - share, share)
    ]
    between = weights[0] * ends[0] + weights[1] * ends[1]
    return between.reshape(len(first), -1, *first.shape[1:]).astype(first.dtype)
