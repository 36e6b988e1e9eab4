"""The decoder of a fitted model: codes to data, data to noise, and the likelihood of data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmzrep.data import Source
from dmzrep.inference._decoding import decode
from dmzrep.inference._likelihood import variational_bound
from dmzrep.inference._model import FittedModel
from dmzrep.inference._sampling import Sampling
from dmzrep.inference._starts import StartingNoise, StartingSamples, invert


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
    is_trained : bool, default=True
        Whether the denoiser is trained; otherwise, all methods raise NotFittedError.
    """

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
