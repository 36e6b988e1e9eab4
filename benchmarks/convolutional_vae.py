"""A convolutional variational autoencoder, a baseline of the benchmarks."""

from __future__ import annotations

import math
import time
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.rivals import signs
from dmzrep._base._batching import batches
from dmzrep.data import ImageFormat, learn_image_format, to_tensor
from dmzrep.networks._device import resolve_device
from dmzrep.networks._encoders import ConvEncoder
from dmzrep.training import TrainingData

#: Final learning rate as a fraction of the peak, as in `DMZEncoder`.
FINAL_RATE = 0.02
#: Batch size of encoding.
ENCODED_ROWS = 500


class Autoencoder(nn.Module):
    """`ConvEncoder` as the encoder, and a decoder of transposed convolutions with mirrored shapes.

    Parameters
    ----------
    data_shape : tuple of int
        (channels, H, W).
    latent_dim : int
        Length of a code.
    width : int
        Channels of the first convolution.
    """

    def __init__(self, data_shape: tuple[int, int, int], latent_dim: int, width: int):
        super().__init__()
        self.encoder = ConvEncoder(data_shape, 2 * latent_dim, width=width)
        shapes = [data_shape]
        for layer in self.encoder.convolutions:
            if isinstance(layer, nn.Conv2d):
                height, across = (math.ceil(side / 2) for side in shapes[-1][1:])
                shapes.append((layer.out_channels, height, across))
        self.smallest = shapes[-1]
        self.start = nn.Linear(latent_dim, math.prod(self.smallest))
        layers: list[nn.Module] = []
        for inner, outer in zip(shapes[:0:-1], shapes[-2::-1], strict=True):
            odd = (outer[1] % 2, outer[2] % 2)
            padding = (1 - odd[0], 1 - odd[1])
            layers += [
                nn.BatchNorm2d(inner[0]),
                nn.LeakyReLU(0.2),
                nn.ConvTranspose2d(inner[0], outer[0], 3, stride=2, padding=1, output_padding=padding),
            ]
        self.decoder = nn.Sequential(*layers)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map images to mean and log-variance, each of shape (n, latent_dim)."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, z: Tensor) -> Tensor:
        """Map codes to images, or to logits of their pixels."""
        return self.decoder(self.start(z).view(-1, *self.smallest))


def evidence_loss(model: Autoencoder, x: Tensor, likelihood: str, generator: torch.Generator) -> Tensor:
    """Return the negative evidence lower bound in nats per dimension, up to a constant.

    The Gaussian likelihood has one variance for all pixels, the maximum-likelihood value of the batch, so
    that the two terms need no weight.

    References
    ----------
    Kingma, Welling, "Auto-Encoding Variational Bayes", 2014; Rybkin, Daniilidis, Levine, "Simple and
    Effective VAE Training with Calibrated Decoders", 2021, section 4 (optimal variance).
    """
    mean, log_variance = model.encode(x)
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    decoded = model.decode(mean + (0.5 * log_variance).exp() * noise)
    if likelihood == "bernoulli":
        error = F.binary_cross_entropy_with_logits(decoded, (x + 1.0) / 2.0)
    else:
        error = 0.5 * F.mse_loss(decoded, x).clamp(min=1e-6).log()
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(dim=1).mean()
    return error + divergence / x[0].numel()


class ConvolutionalVAE:
    """A convolutional variational autoencoder: posterior means, and bits by thresholding them at the median.

    Parameters
    ----------
    latent_dim, seed : int
        Length of a code, and random seed.
    max_time, max_iter : float or None, int
        Maximum training time in seconds, and maximum number of epochs; the learning rate decays towards the
        limit that is reached first.
    likelihood : {"gaussian", "bernoulli"}
        Likelihood of the pixels.
    width, batch_size, learning_rate : int, int, float
        Channels of the first convolution, batch size, and peak learning rate of Adam.
    """

    decoded_from = "floats"

    def __init__(
        self,
        latent_dim: int = 64,
        seed: int = 0,
        *,
        max_time: float | None = None,
        max_iter: int = 200,
        likelihood: str = "gaussian",
        width: int = 32,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
    ):
        if likelihood not in ("gaussian", "bernoulli"):
            raise ValueError(f"likelihood must be 'gaussian' or 'bernoulli', got {likelihood!r}.")
        self.latent_dim, self.seed, self.likelihood, self.width = latent_dim, seed, likelihood, width
        self.max_time, self.max_iter = max_time, max_iter
        self.batch_size, self.learning_rate = batch_size, learning_rate

    def fit(self, X: np.ndarray) -> Self:
        """Train up to the limit of time or epochs, then compute the medians."""
        self.data_format: ImageFormat = learn_image_format(X)
        self.device = resolve_device("auto")
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)
            self.model = Autoencoder(self.data_format.shape, self.latent_dim, self.width)
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.Adam(self.model.parameters(), lr=self.learning_rate, fused=True)
        data = TrainingData(X, self.data_format.to_model, np.arange(len(X)), self.device)
        order = torch.Generator().manual_seed(self.seed)
        noise = torch.Generator(self.device).manual_seed(self.seed + 1)
        size = min(self.batch_size, len(X))
        n_steps = self.max_iter * (len(X) // size)
        history: list[dict[str, Any]] = []
        begun, step, progress = time.perf_counter(), 0, 0.0
        while progress < 1.0:
            self.model.train()
            losses = []
            for positions in torch.randperm(len(X), generator=order).split(size)[: len(X) // size]:
                rate = FINAL_RATE + (1.0 - FINAL_RATE) * 0.5 * (1.0 + math.cos(math.pi * progress))
                optimizer.param_groups[0]["lr"] = self.learning_rate * rate
                loss = evidence_loss(self.model, data.batch(positions), self.likelihood, noise)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
                step += 1
                seconds = time.perf_counter() - begun
                progress = max(step / n_steps, seconds / self.max_time if self.max_time else 0.0)
                if progress >= 1.0:
                    break
            row = {"epoch": len(history) + 1, "seconds": seconds, "images": step * size}
            history.append(row | {"loss": torch.stack(losses).mean().item()})
        self.model.eval()
        self.history_ = pd.DataFrame(history)
        self.medians = np.median(self.floats(X), axis=0)
        return self

    @torch.inference_mode()
    def floats(self, X: np.ndarray) -> np.ndarray:
        """Return posterior means of shape (n, latent_dim)."""
        parts = (self._units(X[rows]) for rows in batches(len(X), ENCODED_ROWS))
        return np.concatenate([self.model.encode(x)[0].cpu().numpy() for x in parts])

    def transform(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Return {"floats", "bits"}."""
        floats = self.floats(X)
        return {"floats": floats, "bits": signs(floats - self.medians)}

    @torch.inference_mode()
    def reconstruct(self, X: np.ndarray) -> np.ndarray:
        """Decode the posterior means, in the layout, dtype and value range of the images."""
        decoded = self.model.decode(self.model.encode(self._units(X))[0])
        if self.likelihood == "bernoulli":
            decoded = 2.0 * torch.sigmoid(decoded) - 1.0
        return self.data_format.from_model(decoded)

    def _units(self, X: np.ndarray) -> Tensor:
        return self.data_format.to_model(to_tensor(X, self.device))
