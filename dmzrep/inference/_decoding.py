"""Codes to data, from noise or from data that are noised or inverted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from dmzrep._base._batching import pad_samples, padded_batches
from dmzrep._base._random import ImageNoise
from dmzrep.data import Source
from dmzrep.diffusion._grids import Grid
from dmzrep.diffusion._samplers import invert_ddim
from dmzrep.diffusion._sampling import run_sampler
from dmzrep.inference._guidance import code_denoiser
from dmzrep.inference._monitor import SamplingMonitor
from dmzrep.inference._sampling import Sampling
from dmzrep.networks._relaxation import MASKED_BIT

if TYPE_CHECKING:
    from dmzrep.inference._decoder import Decoder


def mask_missing_bits(codes: np.ndarray, latent_dim: int) -> np.ndarray:
    """Return codes of `latent_dim` bits from prefixes; the missing bits are masked, that is 0.5.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.inference import mask_missing_bits
    >>> mask_missing_bits(np.array([[1, 0]]), 4).tolist()
    [[1.0, 0.0, 0.5, 0.5]]
    """
    missing = latent_dim - codes.shape[1]
    if not missing:
        return codes
    unknown = np.full((len(codes), missing), MASKED_BIT, dtype=np.float32)
    return np.concatenate([codes, unknown], axis=1)


class StartingPoint(Protocol):
    """What sampling begins from."""

    @property
    def strength(self) -> float:
        """Share of the timesteps that are denoised, in (0, 1]."""
        ...

    @property
    def noise(self) -> str:
        """Where the noise comes from: "random" or "inverted"."""

    def at(self, decoder: Decoder, grid: Grid, part: slice, noise: Tensor, **options: Any) -> Tensor:
        """Return samples at the first timestep of the grid, padded to the size of `noise`.

        `options` are those of `code_denoiser`, for the inversion.
        """


@dataclass(frozen=True)
class StartingSamples:
    """Clean samples that sampling begins from, so that part of them is kept.

    Parameters
    ----------
    samples : ndarray or other source of n samples
        In the user's layout.
    inverted : bool, default=False
        False adds noise up to the first timestep. True runs deterministic DDIM backwards to it, so that the
        sampler reconstructs the samples under the same codes.
    codes : ndarray of shape (n, latent_dim) or None, default=None
        Bits of the samples, for the inversion; None for an unconditional model.
    strength : float, default=1.0
        Share of the timesteps that are denoised, in (0, 1].
    """

    samples: Source
    inverted: bool = False
    codes: np.ndarray | None = None
    strength: float = 1.0

    @property
    def noise(self) -> str:
        """Where the noise comes from: "random" or "inverted"."""
        return "inverted" if self.inverted else "random"

    def at(self, decoder: Decoder, grid: Grid, part: slice, noise: Tensor, **options: Any) -> Tensor:
        """Return samples at the first timestep of the grid, padded to the size of `noise`."""
        size, schedule = len(noise), decoder.objective.schedule
        x0 = pad_samples(decoder.model_units(self.samples[part]), size)
        if not self.inverted:
            first = torch.full((size,), grid[0][0], dtype=torch.long, device=decoder.device)
            return schedule.add_noise(x0, noise, first)
        z = None if self.codes is None else decoder.padded(self.codes[part], size)
        return invert_ddim(code_denoiser(decoder, z, **options), x0, grid, schedule)


@torch.inference_mode()
def decode(
    decoder: Decoder,
    codes: np.ndarray | None,
    seeds: Sequence[int],
    sampling: Sampling,
    *,
    start: StartingPoint | None = None,
) -> np.ndarray:
    """Draw a sample for each code; see `Decoder.decode`."""
    noise_from, strength = ("random", 1.0) if start is None else (start.noise, start.strength)
    plan = sampling.plan(decoder, noise=noise_from, strength=strength)
    data_format = decoder.data_format
    parts = list(padded_batches(len(seeds), decoder.data_shape, decoder.denoiser_batch))
    out = np.empty((len(seeds), *data_format.sample_shape), dtype=data_format.dtype)
    options: dict[str, Any] = {
        "guidance": float(sampling.guidance),
        "match_perturbation": plan.match_perturbation,
    }
    with SamplingMonitor(data_format, len(seeds), len(parts), plan.n_steps, sampling) as monitor:
        for part, size in parts:
            n_samples = part.stop - part.start
            padded = [*seeds[part], *[0] * (size - n_samples)]
            noise = ImageNoise(padded, decoder.data_shape, decoder.device)
            x = noise.draw()
            if start is not None:
                x = start.at(decoder, plan.grid, part, x, **options)
            z = None if codes is None else decoder.padded(codes[part], size)
            denoise, observe = code_denoiser(decoder, z, **options), monitor.observer(part)
            if isinstance(plan.sampler, str):
                x = run_sampler(
                    plan.sampler,
                    denoise,
                    x,
                    plan.grid,
                    decoder.objective.schedule,
                    eta=float(sampling.eta),
                    noise=noise.draw,
                    clip=decoder.clip,
                    observe=observe,
                )
            else:
                x = plan.sampler.run(denoise, x, generators=noise.generators, observe=observe)
            out[part] = data_format.from_model(x[:n_samples])
    if monitor.trajectory is None:
        return out
    monitor.trajectory[-1] = out
    return monitor.trajectory
