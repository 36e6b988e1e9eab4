"""Initialisation of a linear map by the nearest neighbours of its features."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from dmzrep.networks._linear_init import LinearInit
from dmzrep.training.init._linear import init_linear

#: Passes over the samples, smallest and largest number of steps, samples per step, largest learning rate.
PASSES, STEPS, BATCH_SIZE, LEARNING_RATE = 30, (100, 600), 1024, 2e-3
#: Neighbours of a sample among those of a step: the geometric mean of the perplexities.
PERPLEXITY = 4.0
#: Initial temperature of the similarities of codes, and its learning rate.
TEMPERATURE, TEMPERATURE_RATE = 0.1, 1e-2


def init_neighbours(
    branch: LinearInit,
    features: Tensor,
    generator: torch.Generator,
    stages: Sequence[int] | None = None,
    time_left: Callable[[], float] = lambda: math.inf,
) -> None:
    """Initialise the linear map so that bits preserve the nearest neighbours of features.

    Starting from ITQ, gradient steps minimise the cross-entropy between the distribution of the neighbours of
    a sample among those of a step by Euclidean distance (Hinton, Roweis, "Stochastic Neighbor Embedding",
    2002, equation 1, with one width for all samples), and that by inner products of its logits and the bits
    of the others, averaged over the `stages` of an ordered code. Gradients pass through the sign as through
    tanh. Queries can then be real-valued logits as well as bits.
    """
    features = features.cpu().float()
    init_linear(branch, features, "itq", generator, stages, time_left)
    with torch.enable_grad():
        _preserve_neighbours(branch.linear, features, generator, stages, time_left)


def _preserve_neighbours(
    linear: torch.nn.Linear,
    features: Tensor,
    generator: torch.Generator,
    stages: Sequence[int] | None,
    time_left: Callable[[], float],
) -> None:
    size = min(BATCH_SIZE, len(features))
    n_steps = min(max(PASSES * len(features) // size, STEPS[0]), STEPS[1])
    lengths = list(stages or [linear.out_features])
    weight, bias = (p.detach().cpu().clone().requires_grad_() for p in (linear.weight, linear.bias))
    log_temperatures = torch.full((len(lengths),), math.log(TEMPERATURE), requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=LEARNING_RATE)
    optimizer.add_param_group({"params": [log_temperatures], "lr": TEMPERATURE_RATE})
    width, begun = None, time_left()
    itself = torch.eye(size, dtype=torch.bool)
    for step in range(n_steps):
        left = time_left()
        if left <= 0.0:
            break
        done = max(step / n_steps, 0.0 if math.isinf(begun) else 1.0 - left / begun)
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1.0 - done)
        x = features[torch.randperm(len(features), generator=generator)[:size]]
        similarity = (-0.5 * torch.cdist(x, x).square()).masked_fill_(itself, -math.inf)
        width = width or neighbourhood_width(similarity, min(PERPLEXITY, size / 2.0))
        targets = F.softmax(similarity / width, dim=1)
        logits = x @ weight.T + bias
        soft = torch.tanh(logits)
        bits = soft + (torch.sign(logits) - soft).detach()
        queries = logits / logits.detach().abs().mean()
        loss = torch.zeros(())
        for length, log_temperature in zip(lengths, log_temperatures, strict=True):
            products = queries[:, :length] @ bits[:, :length].T / (length * log_temperature.exp())
            found = F.log_softmax(products.masked_fill(itself, -1e9), dim=1)
            loss = loss - (targets * found).sum(dim=1).mean() / len(lengths)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)


def neighbourhood_width(similarity: Tensor, perplexity: float) -> float:
    """Return the divisor of similarities (n, n) whose softmax has this perplexity, as a geometric mean."""
    largest = similarity.amax(dim=1, keepdim=True)
    gaps = largest - similarity
    low, high = -60.0, 60.0
    for _ in range(60):
        middle = (low + high) / 2.0
        p = F.softmax(-gaps / math.exp(middle), dim=1)
        entropy = torch.special.entr(p).sum(dim=1).mean()
        low, high = (middle, high) if float(entropy) < math.log(perplexity) else (low, middle)
    return math.exp((low + high) / 2.0)
