"""The branch of the encoder that data set before training: a linear map to the logits."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Side, in pixels, to which images are averaged before the linear start.
LINEAR_START_SIDE = 32
#: Sides of a filter, of the grid on which responses are averaged, and of the pixels beside them.
FILTER_SIDE, RESPONSE_GRID, PIXEL_GRID = 5, 3, 8


class FilterResponses(nn.Module):
    """Means of the positive and negative parts of filter responses on a coarse grid, and coarse pixels.

    Parameters
    ----------
    data_shape : tuple of int
        (channels, H, W).
    n_filters : int
        Filters of 5 x 5 pixels, to be set from data.

    References
    ----------
    Coates, Lee, Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", 2011.
    """

    means: Tensor

    def __init__(self, data_shape: tuple[int, ...], n_filters: int):
        super().__init__()
        channels, height, width = data_shape
        self.filters = nn.Conv2d(
            channels, n_filters, FILTER_SIDE, stride=2, padding=FILTER_SIDE // 2, bias=False
        )
        sides = math.ceil(height / 2), math.ceil(width / 2)
        positions = torch.eye(math.prod(sides)).view(-1, 1, *sides)
        # A constant, not a weight; a product with it is many times as fast as pooling to an odd grid.
        means = F.adaptive_avg_pool2d(positions, RESPONSE_GRID).flatten(1).T
        self.register_buffer("means", means.contiguous(), persistent=False)
        self.pixels = (min(PIXEL_GRID, height), min(PIXEL_GRID, width))
        self.n_features = 2 * n_filters * RESPONSE_GRID**2 + channels * math.prod(self.pixels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, H, W) to features of shape (n, n_features)."""
        responses = self.filters(x).permute(0, 2, 3, 1).flatten(1, 2)
        positive = self.means @ F.relu(responses)
        negative = positive - self.means @ responses
        pixels = F.adaptive_avg_pool2d(x, self.pixels)
        return torch.cat([positive.flatten(1), negative.flatten(1), pixels.flatten(1)], dim=1)


class LinearStart(nn.Module):
    """A linear map to logits, to be set from data: from (at most 32 x 32) pixels, or filter responses.

    Parameters
    ----------
    data_shape : tuple of int
        (channels, H, W) of an image or (features,) of a vector.
    latent_dim : int
        Number of bits.
    n_filters : int, default=0
        Filters whose responses are mapped; 0 maps the pixels.
    """

    def __init__(self, data_shape: tuple[int, ...], latent_dim: int, n_filters: int = 0):
        super().__init__()
        self.factor = math.ceil(max(data_shape[1:]) / LINEAR_START_SIDE) if len(data_shape) == 3 else 1
        if self.factor > 1:
            sides = [math.ceil(side / self.factor) for side in data_shape[1:]]
            data_shape = (data_shape[0], *sides)
        self.responses = FilterResponses(data_shape, n_filters) if n_filters else None
        n_features = math.prod(data_shape) if self.responses is None else self.responses.n_features
        self.linear = nn.Linear(n_features, latent_dim)

    def averaged(self, x: Tensor) -> Tensor:
        """Average images to at most 32 pixels a side; leave vectors as they are."""
        return F.avg_pool2d(x, self.factor, ceil_mode=True) if self.factor > 1 else x

    def features(self, x: Tensor) -> Tensor:
        """Turn data into the columns that the map sees, shape (n, features)."""
        x = self.averaged(x)
        return x.flatten(1) if self.responses is None else self.responses(x)

    def forward(self, x: Tensor) -> Tensor:
        """Map data to logits of shape (n, latent_dim)."""
        return self.linear(self.features(x))
