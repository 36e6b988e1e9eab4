"""The decoder of a fitted model: codes to data, and data to noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dmzrep._base._batching import padded_batches
from dmzrep._base._random import ImageNoise
from dmzrep.data import Source
from dmzrep.diffusion._sampling import run_sampler
from dmzrep.inference._model import FittedModel
from dmzrep.inference._monitor import SamplingMonitor
from dmzrep.inference._sampling import Sampling
from dmzrep.inference._starts import StartingNoise, StartingSamples


@dataclass(frozen=True)
class Decoder(FittedModel):
    """A fitted diffusion model, conditioned on codes; `decoder_` of a fitted `DMZEncoder`."""

    @torch.inference_mode()
    def decode(
        self,
        codes: np.ndarray | None,
        seeds: Sequence[int],
        sampling: Sampling | None = None,
        *,
        start: StartingSamples | StartingNoise | None = None,
    ) -> np.ndarray:
        """Draw a sample for each code, in the layout, dtype and value range of the fitted data.

        `codes` of shape (n, latent_dim) are bits or probabilities, and 0.5 is a masked bit; they are None for
        an unconditional model, or for the bits of inverted starting samples. `seeds` holds the seed of the
        noise of each sample. Without `start`, sampling begins from random noise. With `return_trajectory`,
        the result has a first axis of steps.
        """
        sampling = sampling or Sampling()
        noise_from, strength = ("random", 1.0) if start is None else (start.noise, start.strength)
        plan = sampling._plan(self, noise=noise_from, strength=strength)
        data_format = self.data_format
        parts = list(padded_batches(len(seeds), self.data_shape, self.denoiser_batch))
        out = np.empty((len(seeds), *data_format.sample_shape), dtype=data_format.dtype)
        monitor = SamplingMonitor(data_format, len(seeds), len(parts), plan.n_steps, sampling)
        with monitor.bar:
            for part, size in parts:
                n_samples = part.stop - part.start
                padded = [*seeds[part], *[0] * (size - n_samples)]
                noise = ImageNoise(padded, self.data_shape, self.device)
                x, z = noise.draw(), None
                if start is not None:
                    x, z = start.at(self, plan, part, x)
                if codes is not None:
                    z = self.padded(codes[part], size)
                denoise, observe = plan.denoiser(self, z), monitor.observer(part)
                if isinstance(plan.sampler, str):
                    x = run_sampler(
                        plan.sampler,
                        denoise,
                        x,
                        plan.grid,
                        self.objective.schedule,
                        eta=float(sampling.eta),
                        noise=noise.draw,
                        clip=self.clip,
                        observe=observe,
                    )
                else:
                    x = plan.sampler.run(denoise, x, generators=noise.generators, observe=observe)
                out[part] = data_format.from_model(x[:n_samples])
        if monitor.trajectory is None:
            return out
        monitor.trajectory[-1] = out
        return monitor.trajectory

    @torch.inference_mode()
    def invert(
        self, X: Source, codes: np.ndarray | None, sampling: Sampling | None = None, strength: float = 1.0
    ) -> np.ndarray:
        """Run deterministic DDIM backwards from data to noise, of shape (n, *data_shape) in model units.

        `strength` is the fraction of the timesteps up to which samples are inverted, in (0, 1].
        """
        plan = (sampling or Sampling())._plan(self, noise="inverted", strength=strength)
        start = StartingSamples(X, True, codes)
        found = np.empty((len(X), *self.data_shape), dtype=np.float32)
        for part, size in padded_batches(len(X), self.data_shape, self.denoiser_batch):
            noise, _ = start.at(self, plan, part, torch.empty(size, *self.data_shape))
            found[part] = noise[: part.stop - part.start].cpu().numpy()
        return found
