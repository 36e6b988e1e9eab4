"""What noised rows still tell of their codes, over the timesteps of the diffusion."""

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
from dmzrep._base._validation import as_array, check_int, check_learning_rate, is_finite
from dmzrep.codes._protocol import check_codec, code_probabilities
from dmzrep.data import read_all, to_tensor
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.metrics._small_network import SmallNetwork, make_network, train_network

#: Source of a batch through the probe, and rows that are held out at most.
ROWS, HELD_OUT_ROWS = 256, 4096
#: Powers to which the probe's likelihoods are raised, of which the best on training rows is taken.
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
    """Bound from below what a noised row x_t tells of the row's code z, for timesteps t.

    Where x_t tells all of z the denoiser gains nothing from it; what z adds to x_t is the rest of its
    entropy. A small network learns to tell the bits from x_t and t, and is scored on rows held out.

    Parameters
    ----------
    encoder : DMZEncoder
        Fitted. What is used of it: `transform`, `data_format_`, `objective_` (its noise schedule).
    X : array-like
        Rows in the fitted layout, at least 40; the more, the tighter the bounds.
    timesteps : sequence of int or None, default=None
        From 0 to ``n_timesteps - 1``; None takes 11, evenly spaced.
    test_size : float, default=0.25
        Share of rows that the bounds are measured on, at most 4,096 rows.
    width : int, default=32
        Channels of the network's first convolution (a quarter of its units, for vectors).
    training_steps : int, default=1000
        Steps of its training on the other rows, with new noise and timesteps each time.
    batch_size : int, default=128
        Rows a step.
    learning_rate : float, default=2e-3
        Peak learning rate of AdamW.
    random_state : int, RandomState or None, default=0
        Decides split, network, timesteps and noise.

    Returns
    -------
    DataFrame
        A row for each timestep, information in bits, with the columns

        timestep : t
        signal : sqrt(alpha_bar_t), 1 for clean rows
        lower_bound : of I(z; x_t)
        limit : the largest value that `lower_bound` can take, log2 of the rows held out
        sum_of_bits : lower bound of the sum of I(z_i; x_t) over bits i
        entropy_of_bits : sum of the bits' entropies over the rows held out, an upper bound of all others

    Raises
    ------
    ValueError
        Timesteps or another argument are out of their range, or the rows are too few.
    TypeError
        The encoder cannot encode.

    Notes
    -----
    The network gives q(z | x_t), a product over bits. `lower_bound` is the InfoNCE bound with the critic
    q(z | x_t)^p: the mean of log2 of q(z_i | x_i)^p over the mean of q(z_j | x_i)^p over all rows j that
    are held out, with p chosen on training rows. It holds for any q, in expectation over the rows, and can
    not exceed `limit`. `sum_of_bits` is the sum over bits of the entropy less the cross-entropy of q; it is
    not capped, but counts what two bits tell in common twice. It bounds I(z; x_t) where bits are
    independent, and may exceed it where they are not. A loose bound may mean a weak network; both can fall
    below 0 by a little where nothing is told.

    References
    ----------
    Proszewska, Malkin, Siddharth, "On Designing Diffusion Autoencoders for Efficient Generation and
    Representation Learning", 2025 (the question); van den Oord, Li, Vinyals, "Representation Learning with
    Contrastive Predictive Coding", 2018; Poole et al., "On Variational Bounds of Mutual Information", 2019,
    sections 2.1 and 2.3.

    Examples
    --------
    >>> from dmzrep import DMZEncoder
    >>> from dmzrep.datasets import load_digits_images
    >>> from dmzrep.metrics import mutual_information_over_time
    >>> X = load_digits_images().images[:200]
    >>> encoder = DMZEncoder(8, width=(8, 16), encoder_width=8, max_iter=1, random_state=0).fit(X)
    >>> table = mutual_information_over_time(encoder, X, timesteps=[0, 999], width=8, training_steps=5)
    >>> table["timestep"].tolist(), table["limit"].round(2).tolist()
    ([0, 999], [5.64, 5.64])
    """
    check_codec(encoder, needed=("transform",))
    check_is_fitted(encoder)
    schedule = encoder.objective_.schedule
    steps = _check_timesteps(timesteps, schedule.n_timesteps)
    if not is_finite(test_size) or not 0.0 < test_size < 1.0:
        raise ValueError(f"test_size must be a share of the rows, between 0 and 1, got {test_size!r}.")
    for name, value in (("width", width), ("training_steps", training_steps), ("batch_size", batch_size)):
        check_int(value, name)
    learning_rate = check_learning_rate(learning_rate)
    bits = (code_probabilities(encoder, X) > 0.5).astype(np.float32)
    seed = draw_seed(random_state)
    order = np.random.default_rng(seed).permutation(len(bits))
    n_held_out = min(round(test_size * len(bits)), HELD_OUT_ROWS)
    if n_held_out < 10 or len(bits) - n_held_out < 10:
        raise ValueError(
            f"X must have at least 10 rows on either side of the split, got {len(bits)} rows with "
            f"test_size={test_size!r}. Give more rows."
        )
    device = getattr(encoder, "device_", torch.device("cpu"))
    rows = encoder.data_format_.to_model(to_tensor(read_all(X)[order], device))
    codes = torch.from_numpy(bits[order])
    held_out, train = slice(0, n_held_out), slice(n_held_out, None)
    network = _train_probe(
        rows[train], codes[train], schedule, width, training_steps, batch_size, learning_rate, seed
    )
    seen = slice(n_held_out, 2 * n_held_out)
    entropies = _entropies(codes[held_out].double())
    noises = image_seeds(seed, 2 * n_held_out)
    table = []
    for t in steps:
        logits = _logits(network, rows[held_out], schedule, t, noises[:n_held_out])
        known = _logits(network, rows[seen], schedule, t, noises[n_held_out:])
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
    rows: Tensor,
    codes: Tensor,
    schedule: NoiseSchedule,
    width: int,
    training_steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> SmallNetwork:
    """Train a network to tell the bits of rows from noised rows, at all timesteps at once."""
    shape = (rows.shape[1] + 1, *rows.shape[2:])
    network = make_network(shape, N_FEATURES, codes.shape[1], width=width, seed=seed, device=rows.device)

    def loss_of(chosen: Tensor, generator: torch.Generator) -> Tensor:
        x0 = rows[chosen]
        t = torch.randint(schedule.n_timesteps, (len(x0),), generator=generator).to(rows.device)
        x_t = schedule.add_noise(x0, torch.randn(x0.shape, generator=generator).to(rows.device), t)
        return F.binary_cross_entropy_with_logits(
            network(_with_time(x_t, schedule, t)), codes[chosen].to(rows.device)
        )

    train_network(
        network,
        loss_of,
        len(rows),
        steps=training_steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed + 1,
    )
    return network


def _with_time(x_t: Tensor, schedule: NoiseSchedule, t: Tensor) -> Tensor:
    """Add a channel (for vectors, a column) that holds the share of the signal."""
    signal, _ = schedule.signal_and_noise(t, x_t)
    return torch.cat([x_t, (2.0 * signal - 1.0).expand(-1, 1, *x_t.shape[2:])], dim=1)


@torch.inference_mode()
def _logits(network: SmallNetwork, rows: Tensor, schedule: NoiseSchedule, t: int, seeds: list[int]) -> Tensor:
    """Logits of the bits from rows noised to one timestep, float64."""
    parts = []
    for part in batches(len(rows), ROWS):
        x0 = rows[part]
        noise = ImageNoise(seeds[part][: len(x0)], tuple(x0.shape[1:]), x0.device).draw()
        steps = torch.full((len(x0),), t, dtype=torch.long, device=x0.device)
        x_t = _with_time(schedule.add_noise(x0, noise, steps), schedule, steps)
        parts.append(run_padded(network, ROWS, x_t))
    return torch.cat(parts).cpu().double()


def contrastive_bound(logits: Tensor, codes: Tensor, power: float = 1.0) -> float:
    """InfoNCE bound, in bits, whose critic is the product of the bits' likelihoods, to a power.

    Parameters
    ----------
    logits : Tensor of shape (n, latent_dim)
        Of the bits, given what is compared with them.
    codes : Tensor of shape (n, latent_dim)
        Bits, 0 or 1; row i goes with row i.
    power : float, default=1.0
        Below 1 for likelihoods that are too sure, such as those of bits that say the same.

    Returns
    -------
    float
        At most log2(n).
    """
    logits, codes = logits.double(), codes.double()
    # log q(z_j | x_i), up to a constant of x_i: sum over bits of z log p + (1 - z) log(1 - p).
    own, others = torch.empty(len(codes)).double(), torch.empty(len(codes)).double()
    for part in batches(len(codes), ROWS):
        scores = power * (logits[part] @ codes.T)
        own[part] = scores[torch.arange(len(scores)), torch.arange(part.start, part.stop)]
        others[part] = scores.logsumexp(dim=1)
    return float((own - others).mean() / math.log(2.0)) + math.log2(len(codes))


def _entropies(codes: Tensor) -> Tensor:
    """Entropy of each bit, in bits."""
    mean = codes.mean(dim=0)
    return -(torch.xlogy(mean, mean) + torch.xlogy(1.0 - mean, 1.0 - mean)) / math.log(2.0)
