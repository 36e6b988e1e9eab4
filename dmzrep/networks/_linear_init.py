"""The linear branch of the encoder, which is initialised from data."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Largest height and width of the images of the linear branch; larger images are average-pooled.
LINEAR_INIT_SIDE = 32
#: Side of a filter, of the grid to which responses are pooled, and of the pooled image.
FILTER_SIDE, RESPONSE_GRID, PIXEL_GRID = 5, 3, 8
#: Images whose responses are computed at a time, so that they stay in the cache of a CPU.
CACHED_IMAGES = 8
#: Weight of the differences from the mean image relative to the local ones, and offset in the square root.
PLAIN_WEIGHT, ROOT_OFFSET = 0.3, 0.02


class FilterResponses(nn.Module):
    """Positive and negative parts of filter responses, pooled to a coarse grid, and pooled pixels.

    The `n_filters` filters of 5 x 5 pixels are set from data and not trained. Coates, Lee, Ng, "An Analysis
    of Single-Layer Networks in Unsupervised Feature Learning", 2011.
    """

    filters: Tensor
    means: Tensor

    def __init__(self, data_shape: tuple[int, ...], n_filters: int):
        super().__init__()
        channels, height, width = data_shape
        size = (n_filters, channels, FILTER_SIDE, FILTER_SIDE)
        self.register_buffer("filters", torch.randn(size) / math.sqrt(math.prod(size[1:])))
        sides = math.ceil(height / 2), math.ceil(width / 2)
        positions = torch.eye(math.prod(sides)).view(-1, 1, *sides)
        # A constant; a matrix product is much faster than pooling to a grid of odd size.
        means = F.adaptive_avg_pool2d(positions, RESPONSE_GRID).flatten(1).T
        self.register_buffer("means", means.contiguous(), persistent=False)
        self.pixels = (min(PIXEL_GRID, height), min(PIXEL_GRID, width))
        self.n_features = 2 * n_filters * RESPONSE_GRID**2 + channels * math.prod(self.pixels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, H, W) to features of shape (n, n_features)."""
        if x.device.type == "cpu" and not torch.compiler.is_compiling():
            pooled = torch.cat([self._pooled(part) for part in x.split(CACHED_IMAGES)])
        else:
            pooled = self._pooled(x)
        pixels = F.adaptive_avg_pool2d(x, self.pixels)
        return torch.cat([pooled, pixels.flatten(1)], dim=1)

    def _pooled(self, x: Tensor) -> Tensor:
        """Return the pooled positive and negative parts of responses, (n, 2 * n_filters * 9)."""
        responses = F.conv2d(x, self.filters, stride=2, padding=FILTER_SIDE // 2)
        responses = responses.permute(0, 2, 3, 1).flatten(1, 2)
        positive = self.means @ F.relu(responses)
        negative = positive - self.means @ responses
        return torch.cat([positive.flatten(1), negative.flatten(1)], dim=1)


class Contrast(nn.Module):
    """Signed square roots of differences from the mean image, with and without their local mean subtracted.

    The roots compress large differences; subtracting local means removes uniform areas. Perronnin, Sanchez,
    Mensink, "Improving the Fisher Kernel for Large-Scale Image Classification", 2010, section 3.3.
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
    """Return the signed square root, with a finite slope at 0."""
    return x * (x.abs() + ROOT_OFFSET).rsqrt()


class LinearInit(nn.Module):
    """A linear map from features of the data to logits, to be initialised from data.

    Features are ``"values"`` (of vectors or pixels), or `Contrast` or `FilterResponses` of images, which are
    average-pooled to at most 32 x 32 pixels.
    """

    def __init__(
        self,
        data_shape: tuple[int, ...],
        latent_dim: int,
        features: str = "values",
        n_filters: int = 64,
    ):
        super().__init__()
        # Per axis, so that the shorter side of an elongated image is kept.
        self.block = tuple(math.ceil(side / LINEAR_INIT_SIDE) for side in data_shape[1:])
        sides = (math.ceil(side / block) for side, block in zip(data_shape[1:], self.block, strict=True))
        data_shape = (data_shape[0], *sides)
        self.responses = FilterResponses(data_shape, n_filters) if features == "responses" else None
        self.contrast = Contrast(data_shape) if features == "contrast" else None
        extractor = self.responses or self.contrast
        n_features = math.prod(data_shape) if extractor is None else extractor.n_features
        self.linear = nn.Linear(n_features, latent_dim)

    def averaged(self, x: Tensor) -> Tensor:
        """Average-pool images to at most 32 x 32 pixels; return vectors unchanged."""
        return F.avg_pool2d(x, self.block, ceil_mode=True) if max(self.block, default=1) > 1 else x

    def features(self, x: Tensor) -> Tensor:
        """Map data to features of shape (n, n_features)."""
        x = self.averaged(x)
        extractor = self.responses or self.contrast
        return x.flatten(1) if extractor is None else extractor(x)

    def forward(self, x: Tensor) -> Tensor:
        """Map data to logits of shape (n, latent_dim)."""
        return self.linear(self.features(x))
