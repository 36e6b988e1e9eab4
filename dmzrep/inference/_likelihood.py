"""The variational bound on the negative log-likelihood of samples, and code rates."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dmzrep._base._batching import batches, pad_samples, padded_batches
from dmzrep._base._random import content_seeds
from dmzrep.data import Source
from dmzrep.diffusion._likelihood import gaussian_kl
from dmzrep.inference._calibration import clipped_estimate
from dmzrep.inference._encoding import encode
from dmzrep.inference._model import FittedModel

#: Fraction of the timesteps that are drawn uniformly, whatever their expected terms.
UNIFORM_SHARE = 0.1


@torch.inference_mode()
def variational_bound(model: FittedModel, X: Source, codes: np.ndarray | None, n_terms: int) -> np.ndarray:
    """Estimate the bound of each sample, given its code, from a stratified choice of its T terms, in nats.

    The term of timestep 0, the reconstruction, is always computed; the others are drawn one from each of
    `n_terms` - 1 slices. Timesteps and noise are seeded by the content of a sample.

    Unless the reverse variance is learned, estimates of clean data and the variance are those of
    `model.calibration`, and timesteps are drawn in proportion to their expected terms, which reduces the
    variance. Without a calibration, the variance is that of the forward step, which is best for Gaussian
    data: for an exact denoiser, the bound then converges to the negative log-likelihood as the number of
    steps grows; with the posterior variance it stays half a nat per dimension above (Ho, Jain, Abbeel,
    "Denoising Diffusion Probabilistic Models", 2020, section 3.2).
    """
    model.check_trained()
    schedule, n_slices = model.objective.schedule, n_terms - 1
    calibration = None if model.objective.learn_variance else model.calibration
    share = np.full(schedule.n_timesteps - 1, 1.0 / (schedule.n_timesteps - 1))
    tables = None
    if calibration is not None:
        tables = [torch.from_numpy(v).float().to(model.device) for v in calibration.tables(schedule)]
        if n_terms < schedule.n_timesteps:
            expected = calibration.expected_terms(schedule)
            share = UNIFORM_SHARE * share + (1.0 - UNIFORM_SHARE) * expected / expected.sum()
    cumulative = np.cumsum(share)[:-1]
    bound = np.empty(len(X))
    for part, size in padded_batches(len(X), model.data_shape, model.denoiser_batch):
        x0 = model.model_units(X[part])
        seeds = content_seeds(x0.contiguous().cpu().numpy())
        generators = [np.random.Generator(np.random.Philox(seed)) for seed in seeds]
        x0 = pad_samples(x0, size)
        z = None if codes is None else model.padded(codes[part], size)
        total = _bound_term(model, x0, np.zeros(len(seeds), np.int64), z, generators, tables)
        for i in range(n_slices):
            uniform = np.array([generator.random() for generator in generators])
            t = np.searchsorted(cumulative, (i + uniform) / n_slices, side="right")
            total += _bound_term(model, x0, t + 1, z, generators, tables) / (n_slices * share[t])
        bound[part] = total + _terminal_term(model, x0)[: len(seeds)]
    return bound * math.prod(model.data_shape)


def _bound_term(
    model: FittedModel,
    x0: Tensor,
    timesteps: np.ndarray,
    z: Tensor | None,
    generators: list,
    tables: list[Tensor] | None,
) -> np.ndarray:
    """Return the bound's term at each sample's timestep, in nats per dimension."""
    size = len(x0)
    drawn = np.stack([g.standard_normal(x0.shape[1:], dtype=np.float32) for g in generators])
    t = pad_samples(torch.from_numpy(timesteps).to(model.device), size)
    x_t = model.objective.schedule.add_noise(x0, model.padded(drawn, size), t)
    denoised, squared_error = clipped_estimate(model, x_t, t, z), None
    if tables is not None:
        coefficients, variances = (table[t] for table in tables)
        shape = (size, -1, *[1] * (x0.dim() - 2))
        own, of_xt, constant = (c.view(shape) for c in coefficients.unbind(-1))
        denoised = denoised._replace(x0=own * denoised.x0 + of_xt * x_t + constant)
        squared_error = variances.view(shape)
    elif denoised.variance_fraction is None:
        denoised = denoised._replace(variance_fraction=torch.ones_like(x0))
    terms = model.objective.bound_terms(denoised, x0, x_t, t, squared_error)
    return terms[: len(timesteps)].cpu().double().numpy()


def _terminal_term(model: FittedModel, x0: Tensor) -> np.ndarray:
    """Return the KL divergence from q(x_T | x_0) to the standard Gaussian, in nats per dimension."""
    schedule = model.objective.schedule
    last = torch.full((len(x0),), schedule.n_timesteps - 1, dtype=torch.long, device=x0.device)
    signal, sigma = schedule.signal_and_noise(last, x0)
    zero = torch.zeros_like(x0)
    kl = gaussian_kl(signal * x0, zero + 2.0 * sigma.log(), zero, zero)
    return kl.flatten(1).mean(dim=1).cpu().double().numpy()


def sample_rates(
    model: FittedModel, X: Source, log_prob: Callable[[np.ndarray], np.ndarray] | None, n_terms: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rates of samples given their bits, and of the bits, in nats.

    `log_prob` is that of the prior of the bits; those of an unconditional model have rate 0. Samples are read
    once.
    """
    data_rate, code_rate = np.empty(len(X)), np.zeros(len(X))
    for part in batches(len(X), model.encoder_batch):
        block, codes = X[part], None
        if model.has_code:
            codes = encode(model, block, "bits")
            if log_prob is not None:
                code_rate[part] = -log_prob(codes)
        data_rate[part] = variational_bound(model, block, codes, n_terms)
    return data_rate, code_rate


def rate_table(data_rate: np.ndarray, code_rate: np.ndarray, dimensions: int) -> pd.DataFrame:
    """Average rates in nats over samples of `dimensions` values; see `DMZEncoder.bits_per_dim`."""
    rates = {"image": data_rate, "code": code_rate, "total": data_rate + code_rate}
    bits = pd.DataFrame(rates) / math.log(2.0)
    table = pd.DataFrame(
        {
            "bits_per_dim": bits.mean() / dimensions,
            "standard_error": bits.sem() / dimensions,
            "bits": bits.mean(),
        }
    )
    table.index.name = "rate"
    return table
