"""Fitting the calibration of a denoiser; see `Calibration`."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from dmzrep._base._batching import batches, pad_samples
from dmzrep.data import ImageFormat, Source
from dmzrep.diffusion._calibration import Calibration
from dmzrep.diffusion._grids import timestep_grid
from dmzrep.diffusion._likelihood import discretised_gaussian_log_likelihood
from dmzrep.diffusion._objective import Denoised
from dmzrep.inference._encoding import encode
from dmzrep.inference._model import FittedModel

#: Number of timesteps at which estimates are fitted, and largest number of samples at each of them.
LEVELS, LEVEL_SAMPLES = 32, 64
#: Number of samples at each timestep, and of distinct ones, if there is no time.
_HURRIED_SAMPLES, _HURRIED_DISTINCT = 4, 16
#: Smallest variance of an estimate, for channels that can be predicted exactly.
_MIN_VARIANCE = 1e-8


@torch.inference_mode()
def calibrate(
    model: FittedModel,
    X: Source,
    seed: int,
    *,
    n_samples: int = LEVEL_SAMPLES,
    is_over: Callable[[], bool] = lambda: False,
) -> Calibration | None:
    """Fit the calibration of a model to samples, given their bits; None if the network is not finite.

    At each of `LEVELS` timesteps `n_samples` samples are noised, from 4 to `LEVEL_SAMPLES`, fewer once
    `is_over` returns True.
    """
    schedule = model.objective.schedule
    n_levels = min(LEVELS, schedule.n_timesteps)
    grid = timestep_grid(schedule.n_timesteps, n_levels, "log_snr", schedule=schedule)
    timesteps = np.array(sorted(t for t, _ in grid))
    n_samples = min(max(n_samples, _HURRIED_SAMPLES), LEVEL_SAMPLES)
    random = np.random.default_rng(seed)
    n_distinct = _HURRIED_DISTINCT if is_over() else LEVEL_SAMPLES
    samples = X[np.sort(random.permutation(len(X))[:n_distinct])]
    codes = encode(model, samples, "bits") if model.has_code else None
    x0 = model.model_units(samples)
    moments = np.zeros((n_levels, _n_channels(model), 4, 4))
    # Each level begins with another sample, so that few pairs of a level and a sample cover many samples.
    turn, level = np.divmod(np.arange(n_samples * n_levels), n_levels)
    chosen = (level * max(1, len(x0) // n_levels) + turn) % len(x0)
    for part in batches(len(level), model.denoiser_batch):
        if turn[part.start] >= _HURRIED_SAMPLES and is_over():
            break
        x = x0[torch.from_numpy(chosen[part]).to(model.device)]
        z = None if codes is None else codes[chosen[part]]
        noise = random.standard_normal(x.shape, dtype=np.float32)
        np.add.at(moments, level[part], _moments(model, x, timesteps[level[part]], z, noise))
    if not np.isfinite(moments).all():
        return None
    return Calibration(timesteps, *_least_squares(moments), _gaussian_bits(model, x0))


def _n_channels(model: FittedModel) -> int:
    """Return the number of channels with estimates of their own: vectors have one scale and share one."""
    return model.data_shape[0] if isinstance(model.data_format, ImageFormat) else 1


def clipped_estimate(model: FittedModel, x_t: Tensor, t: Tensor, z: Tensor | None) -> Denoised:
    """Return the estimates of the network, with clean data clipped to the range of the data."""
    denoised = model.objective.denoise(model.network, x_t, t, z)
    return denoised._replace(x0=denoised.x0.clamp(-model.clip, model.clip))


def _moments(
    model: FittedModel, x0: Tensor, timesteps: np.ndarray, codes: np.ndarray | None, noise: np.ndarray
) -> np.ndarray:
    """Return second moments of (estimate, x_t, 1, x_0), shape (n, n_channels, 4, 4), float64."""
    n_samples, size = len(x0), model.denoiser_batch
    t = pad_samples(torch.from_numpy(timesteps).to(model.device), size)
    x0 = pad_samples(x0, size)
    z = None if codes is None else model.padded(codes, size)
    x_t = model.objective.schedule.add_noise(x0, model.padded(noise, size), t)
    estimate = clipped_estimate(model, x_t, t, z).x0
    values = torch.stack([estimate, x_t, torch.ones_like(x0), x0], dim=1)[:n_samples].cpu().double()
    values = values.reshape(n_samples, 4, _n_channels(model), -1).transpose(1, 2)
    return (values @ values.transpose(2, 3)).numpy()


def _least_squares(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the coefficients of the least-squares estimate of x_0, and its mean squared error."""
    known, cross, total = moments[..., :3, :3], moments[..., :3, 3], moments[..., 3, 3]
    # The pseudoinverse, since the features of a constant channel are linearly dependent.
    coefficients = np.einsum("kcij,kcj->kci", np.linalg.pinv(known, rcond=1e-12, hermitian=True), cross)
    residual = total - 2.0 * (coefficients * cross).sum(-1)
    residual += np.einsum("kci,kcij,kcj->kc", coefficients, known, coefficients)
    return coefficients, np.maximum(residual / moments[..., 2, 2], _MIN_VARIANCE)


def _gaussian_bits(model: FittedModel, x0: Tensor) -> float:
    """Return bits per dimension of samples under a Gaussian with the mean and variance of each channel."""
    values = x0.cpu().double().reshape(len(x0), _n_channels(model), -1)
    mean = values.mean(dim=(0, 2), keepdim=True)
    variance = (values - mean).square().mean(dim=(0, 2), keepdim=True).clamp(min=_MIN_VARIANCE)
    width = model.objective.data_bin
    if width is None:
        nats = 0.5 * (2.0 * math.pi * math.e * variance).log()
    else:
        nats = -discretised_gaussian_log_likelihood(values, mean, variance.log(), width)
    return float(nats.mean()) / math.log(2.0)
