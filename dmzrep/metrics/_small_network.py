"""A small network with a layer of features, and its training: for the classifiers and probes of measures."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from dmzrep._base._random import seeded_torch

#: Feature maps are averaged to this many positions a side, before the layer of features.
POOLED_SIDE = 4


class SmallNetwork(nn.Module):
    """Three convolutions (for vectors, two layers), a layer of features, and a linear layer.

    Parameters
    ----------
    data_shape : tuple of int
        (channels, H, W), or (n_inputs,).
    n_features : int
        Outputs of the layer of features.
    n_outputs : int
        Outputs.
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
        """Give the features, shape (n, n_features)."""
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        """Give the outputs, shape (n, n_outputs)."""
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
    """Make a network with weights from a seed; torch's own generator is left as it was."""
    with seeded_torch(seed):
        network = SmallNetwork(data_shape, n_features, n_outputs, width)
    return network.to(device)


def train_network(
    network: SmallNetwork,
    loss_of: Callable[[Tensor, torch.Generator], Tensor],
    n_rows: int,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> None:
    """Train a network by AdamW with a learning rate that rises and falls once; leave it in eval mode.

    Parameters
    ----------
    network : SmallNetwork
        Trained in place.
    loss_of : callable
        (positions of a batch's rows, CPU generator for what else is drawn) -> loss.
    n_rows : int
        Rows of training data, at least 2.
    steps : int
        Steps, over as many passes as it takes.
    batch_size : int
        Rows of a step, all rows where they are fewer; a smaller rest is left out of its pass.
    learning_rate : float
        Peak learning rate.
    seed : int
        Decides the order and what is drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    # torch's schedules take no integers of NumPy's.
    steps, size = int(steps), int(min(batch_size, n_rows))
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps + 1)
    network.train()
    positions: list[Tensor] = []
    for _ in range(steps):
        if not positions:
            order = torch.randperm(n_rows, generator=generator)
            positions = list(order[: n_rows // size * size].split(size))
        loss = loss_of(positions.pop(), generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval()
