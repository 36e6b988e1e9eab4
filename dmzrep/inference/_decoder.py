"""The decoder of a fitted model: codes to data, data to noise, and the likelihood of data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dmzrep._base._batching import padded_batches
from dmzrep._base._random import ImageNoise
from dmzrep.data import Source
from dmzrep.diffusion._sampling import run_sampler
from dmzrep.inference._likelihood import variational_bound
from dmzrep.inference._model import FittedModel
from dmzrep.inference._monitor import SamplingMonitor
from dmzrep.inference._sampling import Sampling
from dmzrep.inference._starts import StartingNoise, StartingSamples, ZeroNoise


@dataclass(frozen=True)
class Decoder(FittedModel):
    """A fitted diffusion model, conditioned on codes; `decoder_` of a fitted `DMZEncoder`.

    Parameters
    ----------
    network : DiffusionAutoencoder
        In eval mode, on `device`.
    objective : Objective
        What the denoiser predicts, with the noise schedule.
    data_format : ImageFormat or VectorFormat
        Conversion between the user's layout and model units.
    device : torch.device
        Device of the network.
    code_dropout : float, default=0.0
        Rate of code dropout in training; classifier-free guidance needs a rate above 0.
    calibration : Calibration or None, default=None
        Estimates of clean data for `bound`; None for those of the network alone.
    is_trained : bool, default=True
        Whether the denoiser is trained; otherwise, all methods raise NotFittedError.
    """

    @torch.inference_mode()
    def decode(
        self,
        codes: np.ndarray | None,
        seeds: Sequence[int],
        sampling: Sampling | None = None,
        *,
        start: StartingSamples | StartingNoise | ZeroNoise | None = None,
    ) -> np.ndarray:
        """Draw a sample for each code.

        Parameters
        ----------
        codes : ndarray of shape (n, latent_dim) or None
            Bits or probabilities in [0, 1]; 0.5 is a masked bit. None for an unconditional model, or for the
            bits of inverted starting samples.
        seeds : sequence of n int
            Seed of the noise of each sample.
        sampling : Sampling, optional
            Options of sampling.
        start : StartingSamples, StartingNoise or ZeroNoise, optional
            Where sampling begins; None begins from random noise.

        Returns
        -------
        ndarray of shape (n, *sample_shape), or (n_steps, n, *sample_shape) with `return_trajectory`
            In the layout, dtype and value range of the fitted data.
        """
        sampling = sampling or Sampling()
        noise_from, strength = ("random", 1.0) if start is None else (start.noise, start.strength)
        plan = sampling.plan(self, noise=noise_from, strength=strength)
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
        """Run deterministic DDIM backwards from data to noise.

        Parameters
        ----------
        X : ndarray or other source of n samples
            In the fitted layout.
        codes : ndarray of shape (n, latent_dim) or None
            Their bits; None for an unconditional model.
        sampling : Sampling, optional
            Steps and guidance.
        strength : float, default=1.0
            Fraction of the timesteps up to which samples are inverted, in (0, 1].

        Returns
        -------
        ndarray of shape (n, *data_shape), float32
            In model units.
        """
        plan = (sampling or Sampling()).plan(self, noise="inverted", strength=strength)
        start = StartingSamples(X, True, codes)
        found = np.empty((len(X), *self.data_shape), dtype=np.float32)
        for part, size in padded_batches(len(X), self.data_shape, self.denoiser_batch):
            noise, _ = start.at(self, plan, part, torch.empty(size, *self.data_shape))
            found[part] = noise[: part.stop - part.start].cpu().numpy()
        return found

    def bound(self, X: Source, codes: np.ndarray | None, n_terms: int) -> np.ndarray:
        """Return the variational bound on the negative log-likelihood of samples given their codes.

        Parameters
        ----------
        X : ndarray or other source of n samples
            In the fitted layout.
        codes : ndarray of shape (n, latent_dim) or None
            Their bits; None for an unconditional model.
        n_terms : int
            Network evaluations per sample, from 2 to the number of timesteps.

        Returns
        -------
        ndarray of shape (n,), float64
            In nats per sample.
        """
        return variational_bound(self, X, codes, n_terms)
