"""The decoder of a fitted model: codes to data, data to noise, and the likelihood of data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dmzrep._base._batching import DENOISER_BATCH, ENCODER_BATCH, batch_size_for, pad_samples
from dmzrep.data import ImageFormat, Source, VectorFormat, to_tensor
from dmzrep.diffusion._objective import Objective
from dmzrep.inference._decoding import decode
from dmzrep.inference._likelihood import variational_bound
from dmzrep.inference._sampling import Sampling
from dmzrep.inference._starts import StartingNoise, StartingSamples, invert
from dmzrep.networks._model import DiffusionAutoencoder


@dataclass(frozen=True)
class Decoder:
    """A fitted diffusion model, conditioned on codes; `decoder_` of a fitted `DMZEncoder`.

    Parameters
    ----------
    network : DiffusionAutoencoder
        In eval mode, on `device`.
    objective : Objective
        How the output of the denoiser is interpreted, with the noise schedule.
    data_format : ImageFormat or VectorFormat
        Conversion between the user's layout and model units.
    device : torch.device
        Where the network is.
    code_dropout : float, default=0.0
        Rate of code dropout in training; classifier-free guidance needs a model trained with some.
    """

    network: DiffusionAutoencoder
    objective: Objective
    data_format: ImageFormat | VectorFormat
    device: torch.device
    code_dropout: float = 0.0

    @property
    def data_shape(self) -> tuple[int, ...]:
        """(channels, H, W) or (features,)."""
        return self.data_format.shape

    @property
    def latent_dim(self) -> int:
        """Number of bits."""
        return self.network.config.latent_dim

    @property
    def has_code(self) -> bool:
        """Whether the model is conditioned on codes."""
        return self.network.config.conditioning != "none"

    @property
    def encoder_batch(self) -> int:
        """Largest number of samples that go through the encoder at a time."""
        return batch_size_for(self.data_shape, ENCODER_BATCH)

    @property
    def denoiser_batch(self) -> int:
        """Largest number of samples that go through the denoiser at a time."""
        return batch_size_for(self.data_shape, DENOISER_BATCH)

    @property
    def clip(self) -> float:
        """Largest absolute value of clean data in model units."""
        return self.data_format.bound

    def padded(self, values: np.ndarray, size: int) -> Tensor:
        """Copy codes or noise to the device, as float32, padded to `size` samples."""
        return pad_samples(torch.from_numpy(np.array(values, dtype=np.float32)).to(self.device), size)

    def model_units(self, samples: np.ndarray) -> Tensor:
        """Convert samples in the user's layout to model units on the device; the array is not modified."""
        return self.data_format.to_model(to_tensor(samples, self.device))

    def decode(
        self,
        codes: np.ndarray | None,
        seeds: Sequence[int],
        sampling: Sampling | None = None,
        *,
        start: StartingSamples | StartingNoise | None = None,
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
        start : StartingSamples or StartingNoise, optional
            Where sampling begins; None begins from random noise.

        Returns
        -------
        ndarray of shape (n, *sample_shape), or (n_steps, n, *sample_shape) with `return_trajectory`
            In the layout, dtype and value range of the fitted data.
        """
        return decode(self, codes, seeds, sampling or Sampling(), start=start)

    def invert(self, X: Source, codes: np.ndarray | None, sampling: Sampling | None = None) -> np.ndarray:
        """Run deterministic DDIM backwards from data to noise.

        Parameters
        ----------
        X : ndarray or other source of n samples
            In the fitted layout.
        codes : ndarray of shape (n, latent_dim) or None
            Their bits; None for an unconditional model.
        sampling : Sampling, optional
            Steps and guidance.

        Returns
        -------
        ndarray of shape (n, *data_shape), float32
            In model units.
        """
        return invert(self, X, codes, sampling or Sampling())

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
