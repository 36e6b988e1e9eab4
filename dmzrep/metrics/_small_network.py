"""A small network with a layer of features, and its training: for the classifiers and probes of metrics."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from dmzrep._base._fit_network import fit_network
from dmzrep._base._random import seeded_torch

#: Side of the feature maps after pooling, before the layer of features.
POOLED_SIDE = 4


class SmallNetwork(nn.Module):
    """Three convolutions (for vectors, two layers), a layer of features, and a linear layer.

    Parameters
    ----------
    data_shape : tuple of int
        (channels, H, W), or (n_inputs,).
    n_features : int
        Width of the layer of features.
    n_outputs : int
        Number of outputs.
    width : int
        Channels of the first convolution; they double twice. For vectors four times as many units.
    """

    def __init__(self, data_shape: tuple[int, ...], n_features: int, n_outputs: int, width: int):
        super().__init__()
        if len(data_shape) == 1:
            units = 4 * width
            layers: list[nn.Module] = [nn.Linear(data_shape[0], units), nn.SiLU()]
            layers += [nn.Linear(units, units), nn.SiLU(), nn.Linear(units, n_features), nn.SiLU()]
        else:
            side = min(data_shape[1:])
            layers, channels = [], data_shape[0]
            for i in range(3):
                out = width * 2**i
                # Small images are not shrunk below the pooled side.
                stride = 2 if math.ceil(side / 2) >= POOLED_SIDE else 1
                side = math.ceil(side / stride)
                layers += [nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)]
                layers += [nn.BatchNorm2d(out), nn.ReLU()]
                channels = out
            layers += [nn.AdaptiveAvgPool2d(POOLED_SIDE), nn.Flatten()]
            layers += [nn.Linear(channels * POOLED_SIDE**2, n_features), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(n_features, n_outputs)

    def features(self, x: Tensor) -> Tensor:
        """Return the features, shape (n, n_features)."""
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, shape (n, n_outputs)."""
        return self.head(self.body(x))


def make_network(
    data_shape: tuple[int, ...],
    n_features: int,
    n_outputs: int,
    *,
    width: int,
    seed: int,
    device: torch.device,
) -> SmallNetwork:
    """Return a network with weights from a seed; torch's global generator is not touched."""
    with seeded_torch(seed):
        network = SmallNetwork(data_shape, n_features, n_outputs, width)
    return network.to(device)


def train_network(
    network: SmallNetwork,
    loss_of: Callable[[Tensor, torch.Generator], Tensor],
    n_samples: int,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> None:
    """Train a network by AdamW with a learning rate that rises and falls once."""
    generator = torch.Generator().manual_seed(seed)
    fit_network(
        network,
        lambda batch: loss_of(batch, generator),
        n_samples,
        n_steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        generator=generator,
        optimizer=partial(torch.optim.AdamW, weight_decay=0.01),
        schedule=lambda optimizer: OneCycleLR(optimizer, learning_rate, total_steps=int(steps) + 1),
        drop_last=True,
    )
