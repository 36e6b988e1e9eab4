"""Mutual information between codes and noised samples, over the diffusion timesteps."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from dmzrep._base._batching import batches, run_padded
from dmzrep._base._isolation import isolated
from dmzrep._base._random import ImageNoise, draw_seed, image_seeds
from dmzrep._base._validation import check_int, check_number
from dmzrep.codes._checks import check_integers
from dmzrep.codes._information import binary_entropy
from dmzrep.codes._protocol import code_probabilities
from dmzrep.data import read_all
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.estimator._encoder import DMZEncoder, check_encoder
from dmzrep.metrics._small_network import SmallNetwork, fit_small_network

#: Samples per batch at inference, and largest number of held-out samples.
BATCH_SIZE, MAX_HELD_OUT = 256, 4096
#: Candidate exponents of the critic; the best on training samples is used.
POWERS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15)
N_FEATURES = 128


@isolated
def mutual_information_over_time(
    encoder: DMZEncoder,
    X: Any,
    *,
    timesteps: Sequence[int] | None = None,
    test_size: float = 0.25,
    width: int = 32,
    training_steps: int = 1000,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    random_state: int | np.random.RandomState | None = None,
) -> pd.DataFrame:
    """Return lower bounds on the mutual information between a noised sample x_t and its code z.

    The entropy of z minus this information is what the code adds for the denoiser beyond x_t. A small
    network is trained to predict the bits from x_t and t, and evaluated on held-out samples.

    Parameters
    ----------
    encoder : DMZEncoder
        Fitted.
    X : array-like
        Samples in the fitted layout, at least 40; more samples make the bounds tighter.
    timesteps : sequence of int or None, default=None
        From 0 to ``n_timesteps - 1``; None is 11 evenly spaced ones.
    test_size : float, default=0.25
        Fraction of held-out samples, of which at most 4,096 are used.
    width : int, default=32
        Channels of the first convolution of the network (for vectors, a quarter of its hidden units).
    training_steps : int, default=1000
        Training steps, each with new noise and timesteps.
    batch_size : int, default=128
        Samples per training step.
    learning_rate : float, default=2e-3
        Peak learning rate of AdamW.
    random_state : int, RandomState or None, default=None
        Controls the split, the network, timesteps and noise.

    Returns
    -------
    DataFrame
        One row per timestep, information in bits, with the columns

        - timestep: t
        - signal: sqrt(alpha_bar_t), 1 for clean samples
        - lower_bound: lower bound on I(z; x_t)
        - limit: largest possible `lower_bound`, log2 of the number of held-out samples
        - sum_of_bits: lower bound on the sum of I(z_i; x_t) over bits i
        - entropy_of_bits: sum of the entropies of the bits over the held-out samples, an upper bound
          on both

    Raises
    ------
    ValueError
        Timesteps or another parameter are out of range, or there are too few samples.
    TypeError
        The encoder is not a DMZEncoder.

    See Also
    --------
    dmzrep.codes.information_bounds : Information in samples without noise.

    Notes
    -----
    The network predicts q(z | x_t), a product over bits. `lower_bound` is the InfoNCE bound with the critic
    q(z | x_t)^p: the mean of log2 of q(z_i | x_i)^p over the mean of q(z_j | x_i)^p over all held-out
    samples j, with p chosen on training samples. It holds for any q, in expectation over the samples, and
    cannot exceed `limit`. `sum_of_bits` is the sum over bits of the entropy minus the cross-entropy of q;
    it has no such limit, but counts information that bits share more than once, so that it bounds I(z; x_t)
    only for independent bits. Both are loose if the network is weak, and can be slightly negative.

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
    check_encoder(encoder)
    decoder = encoder.decoder_
    schedule = decoder.objective.schedule
    last = schedule.n_timesteps - 1
    if timesteps is None:
        steps = np.unique(np.linspace(0, last, 11).round().astype(int))
    else:
        steps = check_integers(timesteps, "timesteps", 0, last, distinct=False)
    test_size = check_number(test_size, "test_size", 0, 1)
    for name, value in (("width", width), ("training_steps", training_steps), ("batch_size", batch_size)):
        check_int(value, name)
    learning_rate = check_number(learning_rate, "learning_rate", 0)
    bits = (code_probabilities(encoder, X) > 0.5).astype(np.float32)
    seed = draw_seed(random_state)
    order = np.random.default_rng(seed).permutation(len(bits))
    n = min(round(test_size * len(bits)), MAX_HELD_OUT)
    if n < 10 or len(bits) - n < 10:
        raise ValueError(
            f"X must have at least 10 samples on either side of the split, got {len(bits)} with "
            f"test_size={test_size!r}. Use more samples."
        )
    x, codes = decoder.model_units(read_all(X)[order]), torch.from_numpy(bits[order])

    def loss_of(network: SmallNetwork, batch: Tensor, generator: torch.Generator) -> Tensor:
        x0 = x[n:][batch]
        t = torch.randint(schedule.n_timesteps, (len(x0),), generator=generator).to(x.device)
        x_t = schedule.add_noise(x0, torch.randn(x0.shape, generator=generator).to(x.device), t)
        logits = network(_with_time(x_t, schedule, t))
        return F.binary_cross_entropy_with_logits(logits, codes[n:][batch].to(x.device))

    network = fit_small_network(
        (x.shape[1] + 1, *x.shape[2:]),
        N_FEATURES,
        codes.shape[1],
        loss_of,
        len(x) - n,
        width=width,
        n_steps=training_steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        device=x.device,
    )
    # The first n samples are held out; the exponent of the critic is chosen on the next n.
    held_out, selection = codes[:n].double(), codes[n : 2 * n]
    entropies = torch.from_numpy(binary_entropy(held_out.mean(dim=0).numpy()))
    noise_seeds = image_seeds(seed, 2 * n)
    rows = []
    for t in steps.tolist():
        logits = _logits(network, x[:n], schedule, t, noise_seeds[:n])
        selection_logits = _logits(network, x[n : 2 * n], schedule, t, noise_seeds[n:])
        power = max(POWERS, key=lambda p: contrastive_bound(selection_logits, selection, p))
        loss = F.binary_cross_entropy_with_logits(logits, held_out, reduction="none")
        rows.append(
            {
                "timestep": t,
                "signal": float(schedule.alpha_bar[t] ** 0.5),
                "lower_bound": contrastive_bound(logits, held_out, power),
                "limit": math.log2(n),
                "sum_of_bits": float((entropies - loss.mean(dim=0) / math.log(2.0)).sum()),
                "entropy_of_bits": float(entropies.sum()),
            }
        )
    return pd.DataFrame(rows)


def _with_time(x_t: Tensor, schedule: NoiseSchedule, t: Tensor) -> Tensor:
    """Append a channel (for vectors, a column) with the signal rate."""
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
    """Return the InfoNCE bound, in bits, with a power of the likelihood of the whole code as the critic.

    Exponents below 1 correct overconfident likelihoods, such as those of dependent bits.
    """
    logits, codes = logits.double(), codes.double()
    # Scores are log q(z_j | x_i), up to a constant of x_i: the sum over bits of z log p + (1 - z) log(1 - p).
    positive, log_total = torch.empty(2, len(codes), dtype=torch.float64)
    for part in batches(len(codes), BATCH_SIZE):
        scores = power * (logits[part] @ codes.T)
        positive[part] = scores[torch.arange(len(scores)), torch.arange(part.start, part.stop)]
        log_total[part] = scores.logsumexp(dim=1)
    return float((positive - log_total).mean() / math.log(2.0)) + math.log2(len(codes))
