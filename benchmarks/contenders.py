"""Trained contenders: DMZ codes, and alternatives that are trained for the same time.

Each takes a number of bits, a seed, and `max_time` (seconds) or `max_iter` (epochs), and has `fit(X)`,
`transform(X)`, which returns a dict of named representations, `reconstruct(X)`, `history_` (a
DataFrame with a row for each epoch) and `decoded_from`, the representation that `reconstruct` decodes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from benchmarks.convolutional_vae import ConvolutionalVAE
from benchmarks.rivals import encoded, signs
from dmzrep import DMZEncoder
from dmzrep._base._random import draw_seed, image_seeds
from dmzrep.diffusion._timesteps import TimestepSampler
from dmzrep.estimator._fit import build_trainer, train
from dmzrep.estimator._inputs import open_samples
from dmzrep.estimator._parameters import nested_names
from dmzrep.inference import Sampling, StartingNoise, encode
from dmzrep.networks._device import autocast
from dmzrep.training import VALIDATION_SAMPLES, Trainer, TrainingData
from dmzrep.training.init._linear import MEAN_LOGIT

#: Denoising steps of reconstructions: the default of `DMZEncoder.reconstruct`.
STEPS = 20


class BinaryCode:
    """`DMZEncoder` with arbitrary parameters."""

    decoded_from = "bits"

    def __init__(self, latent_dim: int = 64, seed: int = 0, **params: Any):
        # Samples are not drawn here, and the selection of a prior takes time.
        chosen = {"prior": "uniform", **params, "output": "logits", "random_state": seed}
        self.encoder = DMZEncoder(latent_dim).set_params(**nested_names(chosen))

    def fit(self, X: np.ndarray) -> Self:
        """Train."""
        self.history_ = self.encoder.fit(X).history_
        return self

    def transform(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Return {"logits", "probabilities", "bits"}."""
        codes = encoded(self.encoder, X)
        return {"logits": codes["logits"], "probabilities": expit(codes["logits"]), "bits": codes["bits"]}

    def reconstruct(self, X: np.ndarray) -> np.ndarray:
        """Decode the bits, without noise."""
        return self.encoder.reconstruct(X, n_steps=STEPS)


def fit_with(make_trainer: Callable[..., Trainer], encoder: DMZEncoder, X: np.ndarray) -> DMZEncoder:
    """Fit an encoder with another trainer, with the same initialisation and order of the samples."""
    rows, data_format, attributes = open_samples(encoder, X, False)
    seed = draw_seed(encoder.random_state)
    own, start = build_trainer(encoder, rows, data_format, seed, False)
    trainer = make_trainer(own.model, own.objective, own.config, seed, own.budget)
    fitted = train(encoder, trainer, rows, data_format, seed, [])
    vars(encoder).update(fitted | attributes | start)
    return encoder


def as_relaxed_bits(code: Tensor) -> Tensor:
    """Return real-valued codes as relaxed bits z, of which the denoiser sees 2 z - 1, the original values."""
    return (1.0 + code) / 2.0


class RealValuedTrainer(Trainer):
    """Trains with the outputs of the encoder as the code, without noise and without bits."""

    def _code(self, x0: Tensor, n_samples: int) -> tuple[list[Tensor], list[Tensor], Tensor]:
        # The base class selects the input of the encoder and freezes it; only its bits are discarded.
        views, initial, _ = super()._code(x0, n_samples)
        return views, initial, as_relaxed_bits(views[0] / MEAN_LOGIT)

    @torch.no_grad()
    def validate(self, data: TrainingData) -> dict[str, float]:
        """Return the losses with each sample's own code and with that of another sample."""
        model = self.average.model
        noise = torch.Generator(self.device).manual_seed(self.validation_seed)
        order = torch.Generator().manual_seed(self.validation_seed)
        sampler = TimestepSampler(self.objective.schedule.n_timesteps)
        parts = torch.randperm(len(data), generator=order)[:VALIDATION_SAMPLES].split(self.config.batch_size)
        totals = {"validation_loss": 0.0, "validation_loss_shuffled": 0.0}
        with autocast(self.config.precision, self.device):
            outputs = torch.cat([model.encode(data.batch(part)) for part in parts]).float()
            own = as_relaxed_bits(outputs / MEAN_LOGIT)
            codes = dict(zip(totals, (own, own.roll(1, dims=0)), strict=True))
            split = {name: z.split(self.config.batch_size) for name, z in codes.items()}
            for i, part in enumerate(parts):
                x0 = data.batch(part)
                t = sampler.sample(len(x0), order)[0].to(self.device)
                drawn = torch.randn(x0.shape, generator=noise, device=self.device)
                for name in totals:
                    losses = self.objective.losses(model.denoiser, x0, t, split[name][i], drawn)
                    totals[name] += losses.sum().item() / len(own)
        return totals


class RealValuedCode:
    """The networks and training loop of `DMZEncoder` with a real-valued code in place of bits.

    The denoiser is conditioned on the encoder's outputs, scaled to an initial mean absolute value of one, as
    signed bits have. For search, a bit is 1 if the value is above its median over the training images.

    References
    ----------
    Preechakul et al., "Diffusion Autoencoders", 2022.
    """

    decoded_from = "floats"

    def __init__(self, latent_dim: int = 64, seed: int = 0, **params: Any):
        chosen = {"normalize_logits": False, **params}
        self.encoder = DMZEncoder(latent_dim, random_state=seed, prior="uniform")
        self.encoder.set_params(**nested_names(chosen))

    def fit(self, X: np.ndarray) -> Self:
        """Train, then compute the medians."""
        ours = fit_with(RealValuedTrainer, self.encoder, X)
        self.history_ = ours.history_
        self.model = ours.decoder_
        self.medians = np.median(self.floats(X), axis=0)
        return self

    def floats(self, X: np.ndarray) -> np.ndarray:
        """Return codes of shape (n, latent_dim)."""
        return encode(self.model, X, "logits") / np.float32(MEAN_LOGIT)

    def transform(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Return {"floats", "bits"}."""
        floats = self.floats(X)
        return {"floats": floats, "bits": signs(floats - self.medians)}

    def reconstruct(self, X: np.ndarray) -> np.ndarray:
        """Decode the real-valued codes, without noise."""
        codes = (1.0 + self.floats(X)) / 2.0
        zeros = StartingNoise()
        return self.model.decode(codes, image_seeds(0, len(X)), Sampling(n_steps=STEPS), start=zeros)


#: Contenders other than configurations of DMZEncoder, by name; each takes the number of bits and a seed.
CONTENDERS: dict[str, Callable[..., Any]] = {
    "real-valued code, AdaGN": partial(RealValuedCode, conditioning="adagn"),
    "real-valued code, bias": partial(RealValuedCode, conditioning="bias"),
    "real-valued code, bias of each position": partial(RealValuedCode, conditioning="spatial_bias"),
    "convolutional VAE": ConvolutionalVAE,
    "convolutional VAE, Bernoulli": partial(ConvolutionalVAE, likelihood="bernoulli"),
}
