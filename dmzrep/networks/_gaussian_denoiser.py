"""A denoiser that is initialised from data: the best linear one, which a network corrects."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dmzrep.networks._relaxation import code_columns, code_features

#: Largest height and width of the images of the Gaussian model; larger images are average-pooled.
GAUSSIAN_SIDE = 32
#: Largest number of principal directions of what codes leave open.
DIRECTIONS = 256


class GaussianDenoiser(nn.Module):
    """The expected clean image given its code and x_t, if images are Gaussian given their codes.

    The mean is linear in the code. The covariance has principal `directions` with `variances`, and the
    variance `rest` in all others. Images larger than 32 x 32 are average-pooled for the mean and the
    directions. `log_snr` are those of the noise schedule. All are set from data; the mean is also trained.

    The estimate is the conditional expectation of a Gaussian (Bishop, "Pattern Recognition and Machine
    Learning", 2006, equation 2.116), that is a Wiener filter around the mean.
    """

    log_snr: Tensor
    directions: Tensor
    variances: Tensor
    rest: Tensor

    def __init__(self, data_shape: tuple[int, ...], latent_dim: int, code_input: str, n_timesteps: int):
        super().__init__()
        channels, *sides = data_shape
        self.code_input = code_input
        self.block = math.ceil(max(sides) / GAUSSIAN_SIDE)
        self.shape = (channels, *(math.ceil(side / self.block) for side in sides))
        n_values = math.prod(self.shape)
        n_directions = min(DIRECTIONS, n_values)
        # Without a code, latent_dim is 0.
        self.weight = nn.Parameter(torch.zeros(n_values, code_columns(latent_dim, code_input)))
        self.bias = nn.Parameter(torch.zeros(n_values))
        self.register_buffer("log_snr", torch.zeros(n_timesteps))
        self.register_buffer("directions", torch.zeros(n_values, n_directions))
        self.register_buffer("variances", torch.ones(n_directions))
        self.register_buffer("rest", torch.ones(()))

    def pooled(self, x: Tensor) -> Tensor:
        """Average-pool images, and flatten them to shape (n, n_values)."""
        return (F.avg_pool2d(x, self.block, ceil_mode=True) if self.block > 1 else x).flatten(1)

    def _enlarged(self, values: Tensor, size: torch.Size) -> Tensor:
        """Return images (n, channels, H, W) of pooled values."""
        images = values.view(-1, *self.shape)
        if self.block > 1:
            images = images.repeat_interleave(self.block, 2).repeat_interleave(self.block, 3)
        return images[..., : size[0], : size[1]].contiguous(memory_format=torch.channels_last)

    def mean(self, z: Tensor | None, n: int, size: torch.Size) -> Tensor:
        """Return the mean images of codes, (n, channels, *size)."""
        if z is None:
            return self._enlarged(self.bias.expand(n, -1), size)
        return self._enlarged(
            F.linear(code_features(z.float(), self.code_input), self.weight, self.bias), size
        )

    def alpha_bar(self, t: Tensor) -> Tensor:
        """Return the signal power at times of shape (n,) in [0, 1000), shape (n, 1, 1, 1)."""
        position = t.float() * (len(self.log_snr) / 1000.0)
        # Times of integer timesteps differ from them by a rounding error.
        lower = (position + 1e-3).floor().clamp(0, len(self.log_snr) - 1)
        upper = (lower + 1).clamp(max=len(self.log_snr) - 1)
        fraction = (position - lower).clamp(min=0.0)
        log_snr = torch.lerp(self.log_snr[lower.long()], self.log_snr[upper.long()], fraction)
        return torch.sigmoid(log_snr)[:, None, None, None]

    def forward(self, x_t: Tensor, mean: Tensor, alpha_bar: Tensor) -> Tensor:
        """Map noised images to estimates of clean ones, given the means of their codes."""
        signal, noise = alpha_bar.sqrt(), 1.0 - alpha_bar
        residual = x_t - signal * mean
        gain = signal * self.rest / (alpha_bar * self.rest + noise)
        # Noise is averaged by pooling, and so has less variance.
        power = alpha_bar.flatten(1) * self.variances + noise.flatten(1) / self.block**2
        gains = signal.flatten(1) * self.variances / power - gain.flatten(1)
        found = (gains * (self.pooled(residual) @ self.directions)) @ self.directions.T
        return mean + gain * residual + self._enlarged(found, x_t.shape[2:])


class CorrectedDenoiser(nn.Module):
    """A Gaussian denoiser plus a network, which also gets the estimate and the mean image of the code.

    `predicts` is the kind of the prediction, "v", "epsilon" or "sample". The network predicts zero at
    first, so training begins with the best linear denoiser.
    """

    def __init__(self, network: nn.Module, gaussian: GaussianDenoiser, predicts: str):
        super().__init__()
        self.network, self.gaussian, self.predicts = network, gaussian, predicts

    def forward(self, x_t: Tensor, t: Tensor, z: Tensor | None) -> Tensor:
        """Map noised images (n, channels, H, W), times (n,) and codes to predictions."""
        with torch.autocast(x_t.device.type, enabled=False):
            x_t = x_t.float()
            mean = self.gaussian.mean(z, len(x_t), x_t.shape[2:])
            alpha_bar = self.gaussian.alpha_bar(t)
            estimate = self.gaussian(x_t, mean, alpha_bar)
            signal, sigma = alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt()
            # Variance of an image around the mean of its code, per pixel.
            spread = (self.gaussian.variances.sum() / len(self.gaussian.bias) + self.gaussian.rest).sqrt()
            scaled = (x_t - signal * mean) / (alpha_bar * spread.square() + 1.0 - alpha_bar).sqrt()
        correction = self.network(torch.cat([scaled, mean, estimate], dim=1), t, z).float()
        if self.predicts == "sample":
            return estimate + spread * correction
        if self.predicts == "epsilon":
            return (x_t - signal * estimate) / sigma + correction
        return (signal * x_t - estimate) / sigma + correction
