"""The branch of the encoder that data set before training: a linear map to the logits."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from dmzrep.networks._defaults import default_start_filters
from dmzrep.networks._init_features import Contrast, FilterResponses

#: Side, in pixels, to which images are averaged before the linear start.
LINEAR_START_SIDE = 32


class LinearStart(nn.Module):
    """A linear map to logits, to be set from data: from (at most 32 x 32) pixels, or features of them.

    Parameters
    ----------
    data_shape : tuple of int
        (channels, H, W) of an image or (features,) of a vector.
    latent_dim : int
        Number of bits.
    features : {"values", "contrast", "responses"}, default="values"
        What is mapped: pixels or a vector's values, or of images `Contrast` or `FilterResponses`.
    n_filters : int, optional
        Filters of the responses; by default as `default_start_filters` says.
    """

    def __init__(
        self,
        data_shape: tuple[int, ...],
        latent_dim: int,
        features: str = "values",
        n_filters: int | None = None,
    ):
        super().__init__()
        self.factor = math.ceil(max(data_shape[1:]) / LINEAR_START_SIDE) if len(data_shape) == 3 else 1
        filters = n_filters or (default_start_filters(data_shape) if features == "responses" else 0)
        if self.factor > 1:
            sides = [math.ceil(side / self.factor) for side in data_shape[1:]]
            data_shape = (data_shape[0], *sides)
        self.responses = FilterResponses(data_shape, filters) if features == "responses" else None
        self.contrast = Contrast(data_shape) if features == "contrast" else None
        own = self.responses or self.contrast
        self.linear = nn.Linear(math.prod(data_shape) if own is None else own.n_features, latent_dim)

    def averaged(self, x: Tensor) -> Tensor:
        """Average images to at most 32 pixels a side; leave vectors as they are."""
        return F.avg_pool2d(x, self.factor, ceil_mode=True) if self.factor > 1 else x

    def features(self, x: Tensor) -> Tensor:
        """Turn data into the columns that the map sees, shape (n, features)."""
        x = self.averaged(x)
        own = self.responses or self.contrast
        return x.flatten(1) if own is None else own(x)

    def forward(self, x: Tensor) -> Tensor:
        """Map data to logits of shape (n, latent_dim)."""
        return self.linear(self.features(x))
