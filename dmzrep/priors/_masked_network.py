"""A masked network over bits, and its training."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

#: Rows of a step at most, and steps of an epoch at least, where there are few rows.
BATCH_ROWS, EPOCH_STEPS = 256, 32
#: Steps in which the learning rate rises, and the share of it that is left at the end.
WARMUP_STEPS, FINAL_SHARE = 50, 0.02


def unit_places(n_hidden: int, latent_dim: int) -> np.ndarray:
    """Place of each hidden unit: it sees the bits before its place, and feeds that bit and later ones.

    Examples
    --------
    >>> from dmzrep.priors._masked_network import unit_places
    >>> unit_places(6, 4).tolist()
    [1, 1, 2, 2, 3, 3]
    """
    if latent_dim == 1:
        return np.zeros(0, dtype=np.int64)  # A single bit has nothing to depend on.
    return 1 + np.arange(n_hidden) * (latent_dim - 1) // n_hidden


class MaskedNetwork:
    """A network whose logit of each bit depends on the bits before it only.

    Direct weights from earlier bits (a logistic regression) plus a multilayer perceptron with masked
    weights. Output and direct weights start at zero: the start is independent bits.

    Parameters
    ----------
    latent_dim : int
        Number of bits.
    n_hidden : int
        Hidden units of a layer; 0 leaves the direct weights.
    n_layers : int
        Hidden layers, at least 1.
    bias : ndarray of shape (latent_dim,)
        Logits at the start.
    generator : torch.Generator
        Draws the hidden layers' start.

    References
    ----------
    Germain, Gregor, Murray, Larochelle, "MADE: Masked Autoencoder for Distribution Estimation", 2015.
    """

    def __init__(
        self, latent_dim: int, n_hidden: int, n_layers: int, bias: np.ndarray, generator: torch.Generator
    ):
        places = torch.from_numpy(unit_places(n_hidden, latent_dim))
        bit = torch.arange(latent_dim)
        #: Which weights there are; a unit sees earlier units of its own place too.
        self.masks = {
            "input_weights": places[:, None] > bit,
            "hidden_weights": (places[:, None] >= places).expand(n_layers - 1, -1, -1),
            "output_weights": bit[:, None] >= places,
            "direct_weights": bit[:, None] > bit,
        }
        self.masks = {name: mask.float() for name, mask in self.masks.items()}
        self.parameters = {name: torch.zeros(mask.shape) for name, mask in self.masks.items()}
        for name in ("input_weights", "hidden_weights"):
            fan_in = self.masks[name].sum(dim=-1, keepdim=True).clamp_(min=1.0)
            start = torch.randn(self.masks[name].shape, generator=generator) * (2.0 / fan_in).sqrt()
            self.parameters[name] = start * self.masks[name]
        self.parameters["input_bias"] = torch.zeros(len(places))
        self.parameters["hidden_bias"] = torch.zeros(n_layers - 1, len(places))
        self.parameters["bias"] = torch.from_numpy(bias).float()

    def logits(self, bits: Tensor) -> Tensor:
        """Logit of each bit given the ones before it, shape (n, latent_dim); bits as floats."""
        weights = {name: self.parameters[name] * mask for name, mask in self.masks.items()}
        signs = 2.0 * bits - 1.0
        units = F.relu(F.linear(signs, weights["input_weights"], self.parameters["input_bias"]))
        for layer, bias in zip(weights["hidden_weights"], self.parameters["hidden_bias"], strict=True):
            units = F.relu(F.linear(units, layer, bias))
        direct = F.linear(signs, weights["direct_weights"], self.parameters["bias"])
        return direct + F.linear(units, weights["output_weights"])

    def log_prob(self, bits: Tensor, bound: float) -> Tensor:
        """Log-probability of each row with logits cut at a bound, shape (n,)."""
        logits = self.logits(bits).clamp(-bound, bound)
        return -F.binary_cross_entropy_with_logits(logits, bits, reduction="none").sum(dim=1)

    def arrays(self) -> dict[str, np.ndarray]:
        """Copy the weights, those without a connection as zeros."""
        arrays = {name: value.detach().numpy().copy() for name, value in self.parameters.items()}
        return {
            name: array * self.masks[name].numpy() if name in self.masks else array
            for name, array in arrays.items()
        }


def train(
    network: MaskedNetwork,
    kept: np.ndarray,
    held_out: np.ndarray,
    *,
    max_iter: int,
    learning_rate: float,
    n_iter_no_change: int,
    bound: float,
    generator: torch.Generator,
) -> dict[str, np.ndarray] | None:
    """Maximise the likelihood of rows by Adam, up to the best epoch on held-out rows.

    Parameters
    ----------
    network : MaskedNetwork
        Changed in place.
    kept, held_out : ndarray of shape (n, latent_dim)
        Zeros and ones; the held-out rows are at least two.
    max_iter : int
        Epochs at most; the learning rate falls to `FINAL_SHARE` over them.
    learning_rate : float
        Peak learning rate.
    n_iter_no_change : int
        Epochs without a gain after which training stops.
    bound : float
        Size at which logits are cut for held-out rows.
    generator : torch.Generator
        Shuffles the rows.

    Returns
    -------
    dict of str to ndarray, or None
        Weights of the best epoch; None if its gain on the start is within one standard error.
    """
    rows, judge = (torch.from_numpy(part.astype(np.float32)) for part in (kept, held_out))
    size = min(BATCH_ROWS, max(8, len(rows) // EPOCH_STEPS), len(rows))
    n_steps = max_iter * (len(rows) // size)
    parameters = [p.requires_grad_() for p in network.parameters.values() if p.numel()]
    optimiser = torch.optim.Adam(parameters, lr=learning_rate)
    with torch.no_grad():
        start = network.log_prob(judge, bound)
    best, best_arrays, since, step = start, None, 0, 0
    for _ in range(max_iter):
        order = torch.randperm(len(rows), generator=generator)
        for chosen in order[: len(rows) // size * size].split(size):
            decay = 0.5 * (1.0 + math.cos(math.pi * step / n_steps))
            rate = learning_rate * min(1.0, (step + 1) / WARMUP_STEPS)
            optimiser.param_groups[0]["lr"] = rate * (FINAL_SHARE + (1.0 - FINAL_SHARE) * decay)
            batch = rows[chosen]
            loss = F.binary_cross_entropy_with_logits(network.logits(batch), batch, reduction="sum") / size
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
        with torch.no_grad():
            now = network.log_prob(judge, bound)
        if now.mean() > best.mean():
            best, best_arrays, since = now, network.arrays(), 0
        else:
            since += 1
        if since >= n_iter_no_change:
            break
    gain = best - start
    return best_arrays if gain.mean() > gain.std() / math.sqrt(len(gain)) else None
