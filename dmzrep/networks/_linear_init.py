"""The branch of the encoder that is initialised from data: a linear map to the logits."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from dmzrep.networks._defaults import default_init_filters
from dmzrep.networks._init_features import Contrast, FilterResponses

#: Largest height and width of the images that the linear map sees; larger ones are averaged.
LINEAR_INIT_SIDE = 32


class LinearInit(nn.Module):
    """A linear map from features of the data to logits, to be initialised from data.

    Parameters
    ----------
    data_shape : tuple of int
        (channels, H, W) of an image or (features,) of a vector.
    latent_dim : int
        Number of bits.
    features : {"values", "contrast", "responses"}, default="values"
        Features: a vector's values or pixels (at most 32 x 32), or `Contrast` or `FilterResponses` of pixels.
    n_filters : int, optional
        Number of filters of the responses; `default_init_filters` by default.
    """

    def __init__(
        self,
        data_shape: tuple[int, ...],
        latent_dim: int,
        features: str = "values",
        n_filters: int | None = None,
    ):
        super().__init__()
        # A block per axis, so that an elongated image keeps its shorter side.
        self.block = tuple(math.ceil(side / LINEAR_INIT_SIDE) for side in data_shape[1:])
        filters = n_filters or (default_init_filters(data_shape) if features == "responses" else 0)
        sides = (math.ceil(side / block) for side, block in zip(data_shape[1:], self.block, strict=True))
        data_shape = (data_shape[0], *sides)
        self.responses = FilterResponses(data_shape, filters) if features == "responses" else None
        self.contrast = Contrast(data_shape) if features == "contrast" else None
        extractor = self.responses or self.contrast
        n_features = math.prod(data_shape) if extractor is None else extractor.n_features
        self.linear = nn.Linear(n_features, latent_dim)

    def averaged(self, x: Tensor) -> Tensor:
        """Average images to at most 32 x 32 pixels; leave vectors as they are."""
        return F.avg_pool2d(x, self.block, ceil_mode=True) if max(self.block, default=1) > 1 else x

    def features(self, x: Tensor) -> Tensor:
        """Map data to features of shape (n, n_features)."""
        x = self.averaged(x)
        extractor = self.responses or self.contrast
        return x.flatten(1) if extractor is None else extractor(x)

    def forward(self, x: Tensor) -> Tensor:
        """Map data to logits of shape (n, latent_dim)."""
        return self.linear(self.features(x))
