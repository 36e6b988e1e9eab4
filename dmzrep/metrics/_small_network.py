"""A small network with a layer of features, for the classifiers and probes of metrics."""

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
    """Three convolutions (for vectors, two linear layers), a layer of features, and a linear head.

    `data_shape` is (channels, H, W) or (n_inputs,). `width` is the number of channels of the first
    convolution, which doubles twice; vectors have four times as many hidden units.
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
                # Small images are not reduced below the pooled side.
                stride = 2 if math.ceil(side / 2) >= POOLED_SIDE else 1
                side = math.ceil(side / stride)
                layers += [nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)]
                layers += [nn.BatchNorm2d(out), nn.ReLU()]
                channels = out
            layers += [nn.AdaptiveAvgPool2d(POOLED_SIDE), nn.Flatten()]
            layers += [nn.Linear(channels * POOLED_SIDE**2, n_features), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(n_features, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, shape (n, n_outputs)."""
        return self.head(self.features(x))


def fit_small_network(
    data_shape: tuple[int, ...],
    n_features: int,
    n_outputs: int,
    loss_of: Callable[[SmallNetwork, Tensor, torch.Generator], Tensor],
    n_samples: int,
    *,
    width: int,
    n_steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    device: torch.device,
) -> SmallNetwork:
    """Train a network by AdamW with a one-cycle learning rate; torch's global generator is not used.

    `loss_of` maps the network, the indices of a batch and a generator to the loss.
    """
    with seeded_torch(seed):
        network = SmallNetwork(data_shape, n_features, n_outputs, width)
    network.to(device)
    generator = torch.Generator().manual_seed(seed)
    fit_network(
        network,
        lambda batch: loss_of(network, batch, generator),
        n_samples,
        n_steps=n_steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        generator=generator,
        optimizer=partial(torch.optim.AdamW, weight_decay=0.01),
        schedule=lambda optimizer: OneCycleLR(optimizer, learning_rate, total_steps=n_steps + 1),
        drop_last=True,
    )
    return network
