"""A masked network over bits, and its training."""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from dmzrep._base._fit_network import fit_network

#: Maximum number of samples per step, and minimum number of steps per epoch.
BATCH_SIZE, EPOCH_STEPS = 256, 32
#: Warm-up steps of the learning rate, and its final value as a fraction of the peak.
WARMUP_STEPS, FINAL_SHARE = 50, 0.02


def unit_places(n_hidden: int, latent_dim: int) -> np.ndarray:
    """Return the place of each hidden unit: it sees earlier bits, and feeds that bit and later ones."""
    if latent_dim == 1:
        return np.zeros(0, dtype=np.int64)  # A single bit has nothing to depend on.
    return 1 + np.arange(n_hidden) * (latent_dim - 1) // n_hidden


def dropped(units: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Drop units at random, by a generator of one's own rather than torch's."""
    if probability == 0.0:
        return units
    kept = torch.rand(units.shape, generator=generator) >= probability
    return units * kept / (1.0 - probability)


class MaskedNetwork(nn.Module):
    """A network whose logit of each bit depends on earlier bits only (MADE, Germain et al., 2015).

    Direct weights from earlier bits (a logistic regression) plus a multilayer perceptron with masked
    weights. Output and direct weights are initialised to zero, which is the model of independent bits with
    the logits `bias`.
    """

    def __init__(
        self,
        latent_dim: int,
        n_hidden: int,
        n_layers: int,
        bias: np.ndarray,
        generator: torch.Generator,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.dropout, self.generator = dropout, generator
        places = torch.from_numpy(unit_places(n_hidden, latent_dim))
        bit = torch.arange(latent_dim)
        #: Connections; a unit sees earlier units of the same place too.
        self.masks = {
            "input_weights": (places[:, None] > bit).float(),
            "hidden_weights": (places[:, None] >= places).float().expand(n_layers - 1, -1, -1),
            "output_weights": (bit[:, None] >= places).float(),
            "direct_weights": (bit[:, None] > bit).float(),
        }
        weights = {name: torch.zeros(mask.shape) for name, mask in self.masks.items()}
        for name in ("input_weights", "hidden_weights"):
            fan_in = self.masks[name].sum(dim=-1, keepdim=True).clamp_(min=1.0)
            initial = torch.randn(self.masks[name].shape, generator=generator) * (2.0 / fan_in).sqrt()
            weights[name] = initial * self.masks[name]
        weights["input_bias"] = torch.zeros(len(places))
        weights["hidden_bias"] = torch.zeros(n_layers - 1, len(places))
        weights["bias"] = torch.from_numpy(bias).float()
        self.weights = nn.ParameterDict(weights)

    def forward(self, bits: Tensor) -> Tensor:
        """Return the logit of each bit given earlier ones, shape (n, latent_dim); bits as floats."""
        weights = {name: self.weights[name] * mask for name, mask in self.masks.items()}
        signs = 2.0 * bits - 1.0
        units = self._dropped(F.relu(F.linear(signs, weights["input_weights"], self.weights["input_bias"])))
        for layer, bias in zip(weights["hidden_weights"], self.weights["hidden_bias"], strict=True):
            units = self._dropped(F.relu(F.linear(units, layer, bias)))
        direct = F.linear(signs, weights["direct_weights"], self.weights["bias"])
        return direct + F.linear(units, weights["output_weights"])

    def _dropped(self, units: Tensor) -> Tensor:
        return dropped(units, self.dropout, self.generator) if self.training else units

    def log_prob(self, bits: Tensor, bound: float) -> Tensor:
        """Return the log-probability of each code with logits clipped at a bound, shape (n,)."""
        logits = self(bits).clamp(-bound, bound)
        return -F.binary_cross_entropy_with_logits(logits, bits, reduction="none").sum(dim=1)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return copies of the weights, with zeros where there is no connection."""
        return {
            name: (value.detach() * self.masks.get(name, 1.0)).numpy().copy()
            for name, value in self.weights.items()
        }


def fit_masked_network(
    network: MaskedNetwork,
    train: np.ndarray,
    validation: np.ndarray,
    *,
    max_iter: int,
    learning_rate: float,
    n_iter_no_change: int,
    bound: float,
    generator: torch.Generator,
) -> bool:
    """Maximise the likelihood of codes; return whether held-out codes gain more than a standard error.

    `train` holds bits, or their probabilities, from which the preceding bits are drawn; `validation` bits.
    """
    codes, held_out = (torch.from_numpy(part.astype(np.float32)) for part in (train, validation))
    bits = (codes > 0.5).float()
    size = min(BATCH_SIZE, max(8, len(codes) // EPOCH_STEPS), len(codes))
    n_steps = max_iter * (len(codes) // size)

    def loss_of(batch: Tensor) -> Tensor:
        preceding = torch.bernoulli(codes[batch], generator=generator)
        return F.binary_cross_entropy_with_logits(network(preceding), bits[batch], reduction="sum") / size

    def rate(step: int) -> float:
        decay = 0.5 * (1.0 + math.cos(math.pi * step / n_steps))
        return min(1.0, (step + 1) / WARMUP_STEPS) * (FINAL_SHARE + (1.0 - FINAL_SHARE) * decay)

    network.eval()
    with torch.no_grad():
        before = network.log_prob(held_out, bound)
    fit_network(
        network,
        loss_of,
        len(codes),
        n_steps=n_steps,
        batch_size=size,
        learning_rate=learning_rate,
        generator=generator,
        schedule=lambda optimizer: LambdaLR(optimizer, rate),
        drop_last=True,
        validation_loss=lambda: -float(network.log_prob(held_out, bound).mean()),
        patience=n_iter_no_change,
    )
    with torch.no_grad():
        gain = network.log_prob(held_out, bound) - before
    return bool(gain.mean() > gain.std() / math.sqrt(len(gain)))
