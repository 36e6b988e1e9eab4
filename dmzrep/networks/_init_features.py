"""Features that the linear branch of the encoder can use in place of pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Side of a filter, of the grid on which responses are averaged, and of the averaged image beside them.
FILTER_SIDE, RESPONSE_GRID, PIXEL_GRID = 5, 3, 8
#: Weight of the plain differences from the mean image relative to the local ones, and the root's offset.
PLAIN_WEIGHT, ROOT_OFFSET = 0.3, 0.02


class FilterResponses(nn.Module):
    """Means of the positive and negative parts of filter responses on a coarse grid, and coarse pixels.

    Parameters
    ----------
    data_shape : tuple of int
        (channels, H, W).
    n_filters : int
        Filters of 5 x 5 pixels, to be initialised from data.

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
        # A constant, not a weight; multiplying by it is much faster than pooling to an odd grid.
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


class Contrast(nn.Module):
    """Signed square roots of differences from the mean image, relative to their neighbourhood and plain.

    The roots compress large differences, and the neighbourhood's mean takes out large areas.

    Parameters
    ----------
    data_shape : tuple of int
        (channels, H, W).

    References
    ----------
    Perronnin, Sanchez, Mensink, "Improving the Fisher Kernel for Large-Scale Image Classification",
    2010, section 3.3 (the signed root).
    """

    centre: Tensor

    def __init__(self, data_shape: tuple[int, ...]):
        super().__init__()
        self.register_buffer("centre", torch.zeros(data_shape))
        self.n_features = 2 * math.prod(data_shape)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, H, W) to features of shape (n, n_features)."""
        plain = x - self.centre
        local = plain - F.avg_pool2d(plain, 3, stride=1, padding=1, count_include_pad=False)
        return torch.cat([_root(local).flatten(1), PLAIN_WEIGHT * _root(plain).flatten(1)], dim=1)


def _root(x: Tensor) -> Tensor:
    """Signed square root with a finite slope at 0."""
    return x * (x.abs() + ROOT_OFFSET).rsqrt()
