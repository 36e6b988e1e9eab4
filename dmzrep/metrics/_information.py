"""Mutual information between codes and noised samples, over the timesteps of the diffusion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from dmzrep._base._batching import batches, run_padded
from dmzrep._base._random import ImageNoise, draw_seed, image_seeds
from dmzrep._base._validation import as_array, check_int, check_number
from dmzrep.codes._protocol import check_codec, code_probabilities
from dmzrep.data import read_all, to_tensor
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.metrics._small_network import SmallNetwork, make_network, train_network

#: Samples per batch at inference, and most held-out samples.
BATCH_SIZE, MAX_HELD_OUT = 256, 4096
#: Powers of the critic, of which the best on training samples is used.
POWERS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15)
N_FEATURES = 128


def mutual_information_over_time(
    encoder: Any,
    X: Any,
    *,
    timesteps: Sequence[int] | None = None,
    test_size: float = 0.25,
    width: int = 32,
    training_steps: int = 1000,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    random_state: int | np.random.RandomState | None = 0,
) -> pd.DataFrame:
    """Return lower bounds of the mutual information between a noised sample x_t and its code z.

    Where x_t determines z the denoiser gains nothing from the code; what z adds to x_t is the rest of its
    entropy. A small network learns to predict the bits from x_t and t, and is scored on held-out samples.

    Parameters
    ----------
    encoder : DMZEncoder
        Fitted.
    X : array-like
        Samples in the fitted layout, at least 40; the more, the tighter the bounds.
    timesteps : sequence of int or None, default=None
        From 0 to ``n_timesteps - 1``; None takes 11, evenly spaced.
    test_size : float, default=0.25
        Fraction of held-out samples, at most 4,096 of them.
    width : int, default=32
        Channels of the first convolution of the network (a quarter of its units, for vectors).
    training_steps : int, default=1000
        Steps of its training, each with new noise and timesteps.
    batch_size : int, default=128
        Samples per step.
    learning_rate : float, default=2e-3
        Peak learning rate of AdamW.
    random_state : int, RandomState or None, default=0
        Controls split, network, timesteps and noise.

    Returns
    -------
    DataFrame
        One line per timestep, information in bits, with the columns

        timestep : t
        signal : sqrt(alpha_bar_t), 1 for clean samples
        lower_bound : of I(z; x_t)
        limit : largest possible value of `lower_bound`, log2 of the number of held-out samples
        sum_of_bits : lower bound of the sum of I(z_i; x_t) over bits i
        entropy_of_bits : sum of the entropies of the bits in the held-out samples, an upper bound of all

    Raises
    ------
    ValueError
        Timesteps or another parameter are out of their range, or there are too few samples.
    TypeError
        The encoder cannot encode.

    Notes
    -----
    The network predicts q(z | x_t), a product over bits. `lower_bound` is the InfoNCE bound with the critic
    q(z | x_t)^p: the mean of log2 of q(z_i | x_i)^p over the mean of q(z_j | x_i)^p over all held-out
    samples j, with p chosen on training samples. It holds for any q, in expectation over the samples, and
    cannot exceed `limit`. `sum_of_bits` is the sum over bits of the entropy minus the cross-entropy of q;
    it is not capped, but counts information that two bits share twice: it bounds I(z; x_t) for independent
    bits, and may exceed it for others. A loose bound may be due to a weak network; both can be slightly
    below 0 where there is no information.

    References
    ----------
    Proszewska, Malkin, Siddharth, "On Designing Diffusion Autoencoders for Efficient Generation and
    Representation Learning", 2025 (the question); van den Oord, Li, Vinyals, "Representation Learning with
    Contrastive Predictive Coding", 2018; Poole et al., "On Variational Bounds of Mutual Information", 2019,
    sections 2.1 and 2.3.

    Examples
    --------
    >>> from dmzrep import DMZEncoder, Network
    >>> from dmzrep.datasets import load_digits_images
    >>> from dmzrep.metrics import mutual_information_over_time
    >>> X = load_digits_images().images[:200]
    >>> encoder = DMZEncoder(8, network=Network(width=(8, 16)), max_iter=1, random_state=0).fit(X)
    >>> table = mutual_information_over_time(encoder, X, timesteps=[0, 999], width=8, training_steps=5)
    >>> table["timestep"].tolist(), table["limit"].round(2).tolist()
    ([0, 999], [5.64, 5.64])
    """
    check_codec(encoder, needed=("transform",))
    check_is_fitted(encoder)
    schedule = encoder.objective_.schedule
    steps = _check_timesteps(timesteps, schedule.n_timesteps)
    test_size = check_number(test_size, "test_size", 0, 1)
    for name, value in (("width", width), ("training_steps", training_steps), ("batch_size", batch_size)):
        check_int(value, name)
    learning_rate = check_number(learning_rate, "learning_rate", 0)
    bits = (code_probabilities(encoder, X) > 0.5).astype(np.float32)
    seed = draw_seed(random_state)
    order = np.random.default_rng(seed).permutation(len(bits))
    n_held_out = min(round(test_size * len(bits)), MAX_HELD_OUT)
    if n_held_out < 10 or len(bits) - n_held_out < 10:
        raise ValueError(
            f"X must have at least 10 samples on either side of the split, got {len(bits)} with "
            f"test_size={test_size!r}. Use more samples."
        )
    device = getattr(encoder, "device_", torch.device("cpu"))
    x = encoder.data_format_.to_model(to_tensor(read_all(X)[order], device))
    codes = torch.from_numpy(bits[order])
    held_out, train = slice(0, n_held_out), slice(n_held_out, None)
    network = _train_probe(
        x[train], codes[train], schedule, width, training_steps, batch_size, learning_rate, seed
    )
    seen = slice(n_held_out, 2 * n_held_out)
    entropies = _entropies(codes[held_out].double())
    noises = image_seeds(seed, 2 * n_held_out)
    table = []
    for t in steps:
        logits = _logits(network, x[held_out], schedule, t, noises[:n_held_out])
        known = _logits(network, x[seen], schedule, t, noises[n_held_out:])
        power = max(POWERS, key=lambda p: contrastive_bound(known, codes[seen], p))
        loss = F.binary_cross_entropy_with_logits(logits, codes[held_out].double(), reduction="none")
        table.append(
            {
                "timestep": t,
                "signal": float(schedule.alpha_bar[t] ** 0.5),
                "lower_bound": contrastive_bound(logits, codes[held_out], power),
                "limit": math.log2(n_held_out),
                "sum_of_bits": float((entropies - loss.mean(dim=0) / math.log(2.0)).sum()),
                "entropy_of_bits": float(entropies.sum()),
            }
        )
    return pd.DataFrame(table)


def _check_timesteps(timesteps: Sequence[int] | None, n_timesteps: int) -> list[int]:
    if timesteps is None:
        return np.unique(np.linspace(0, n_timesteps - 1, 11).round().astype(int)).tolist()
    steps = np.atleast_1d(as_array(timesteps, "timesteps"))
    if not len(steps) or steps.dtype.kind not in "iu":
        raise ValueError(f"timesteps must be whole numbers, got {timesteps!r}.")
    if steps.min() < 0 or steps.max() >= n_timesteps:
        raise ValueError(f"timesteps must be from 0 to {n_timesteps - 1}, got {timesteps!r}.")
    return steps.tolist()


def _train_probe(
    x: Tensor,
    codes: Tensor,
    schedule: NoiseSchedule,
    width: int,
    training_steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> SmallNetwork:
    """Train a network to predict the bits of samples from noised ones, at all timesteps at once."""
    shape = (x.shape[1] + 1, *x.shape[2:])
    network = make_network(shape, N_FEATURES, codes.shape[1], width=width, seed=seed, device=x.device)

    def loss_of(chosen: Tensor, generator: torch.Generator) -> Tensor:
        x0 = x[chosen]
        t = torch.randint(schedule.n_timesteps, (len(x0),), generator=generator).to(x.device)
        x_t = schedule.add_noise(x0, torch.randn(x0.shape, generator=generator).to(x.device), t)
        return F.binary_cross_entropy_with_logits(
            network(_with_time(x_t, schedule, t)), codes[chosen].to(x.device)
        )

    train_network(
        network,
        loss_of,
        len(x),
        steps=training_steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed + 1,
    )
    return network


def _with_time(x_t: Tensor, schedule: NoiseSchedule, t: Tensor) -> Tensor:
    """Add a channel (for vectors, a column) with the signal rate."""
    signal, _ = schedule.signal_and_noise(t, x_t)
    return torch.cat([x_t, (2.0 * signal - 1.0).expand(-1, 1, *x_t.shape[2:])], dim=1)


@torch.inference_mode()
def _logits(network: SmallNetwork, x: Tensor, schedule: NoiseSchedule, t: int, seeds: list[int]) -> Tensor:
    """Return the logits of the bits from samples noised to one timestep, float64."""
    parts = []
    for part in batches(len(x), BATCH_SIZE):
        x0 = x[part]
        noise = ImageNoise(seeds[part][: len(x0)], tuple(x0.shape[1:]), x0.device).draw()
        steps = torch.full((len(x0),), t, dtype=torch.long, device=x0.device)
        x_t = _with_time(schedule.add_noise(x0, noise, steps), schedule, steps)
        parts.append(run_padded(network, BATCH_SIZE, x_t))
    return torch.cat(parts).cpu().double()


def contrastive_bound(logits: Tensor, codes: Tensor, power: float = 1.0) -> float:
    """Return the InfoNCE bound, in bits, with the likelihood of all bits to a power as critic.

    Powers below 1 correct overconfident likelihoods, such as those of dependent bits.
    """
    logits, codes = logits.double(), codes.double()
    # log q(z_j | x_i), up to a constant of x_i: sum over bits of z log p + (1 - z) log(1 - p).
    own, others = torch.empty(len(codes)).double(), torch.empty(len(codes)).double()
    for part in batches(len(codes), BATCH_SIZE):
        scores = power * (logits[part] @ codes.T)
        own[part] = scores[torch.arange(len(scores)), torch.arange(part.start, part.stop)]
        others[part] = scores.logsumexp(dim=1)
    return float((own - others).mean() / math.log(2.0)) + math.log2(len(codes))


def _entropies(codes: Tensor) -> Tensor:
    """Return the entropy of each bit, in bits."""
    mean = codes.mean(dim=0)
    return -(torch.xlogy(mean, mean) + torch.xlogy(1.0 - mean, 1.0 - mean)) / math.log(2.0)
