"""Encoders: networks from data to the logits of the code."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from dmzrep.networks._blocks import zero_init
from dmzrep.networks._linear_init import LinearInit
from dmzrep.networks._normalization import BatchNorm, group_norm

#: Largest number of channels, in multiples of that of the first convolution; reached at 64 px.
MAX_WIDENING = 16


class BitHead(nn.Module):
    """Linear layer from features to one logit per bit.

    With `paired`, the logit is the difference of two outputs per bit, as in the authors' code: the same
    function class with twice the parameters. With `zero`, the layer is initialised to zero.
    """

    def __init__(self, in_features: int, latent_dim: int, *, paired: bool = False, zero: bool = False):
        super().__init__()
        self.paired = paired
        self.linear = nn.Linear(in_features, latent_dim * (2 if paired else 1))
        if zero:
            zero_init(self.linear)

    def forward(self, h: Tensor) -> Tensor:
        """Map (n, in_features) to logits of shape (n, latent_dim)."""
        if not self.paired:
            return self.linear(h)
        zero, one = self.linear(h).chunk(2, dim=1)
        return one - zero


class LogitNorm(BatchNorm):
    """Batch normalisation of logits to mean zero and standard deviation `SCALE`, so that no bit is constant.

    A batch of one sample is normalised by the running statistics, as at inference.
    """

    #: Standard deviation of normalised logits: most bits are near 0 or 1, but their gradient does not vanish.
    SCALE = 5.0

    def __init__(self, latent_dim: int):
        super().__init__(latent_dim, affine=False)

    def forward(self, logits: Tensor) -> Tensor:
        """Map logits of shape (n, latent_dim) to normalised ones."""
        logits = logits.float()
        if self.training and len(logits) == 1 and self.all_reduce is None:
            return self.SCALE * F.batch_norm(logits, self.running_mean, self.running_var, eps=self.eps)
        return self.SCALE * super().forward(logits)


class ResidualConvolution(nn.Module):
    """x + activation(normalisation(convolution(x)))."""

    def __init__(self, channels: int, norm: str, slope: float):
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), encoder_norm(channels, norm), nn.LeakyReLU(slope)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, H, W) to the same shape."""
        return x + self.branch(x)


def encoder_norm(channels: int, kind: str) -> nn.Module:
    """Return a normalisation layer of the convolutional encoder by name."""
    return BatchNorm(channels) if kind == "batch" else group_norm(channels)


def convolution_plan(
    sides: tuple[int, int], width: int
) -> tuple[list[tuple[int, tuple[int, int]]], tuple[int, int]]:
    """Return channels and strides of the convolutions of `ConvEncoder`, and the last sides, at most 2 x 2.

    Channels double whenever the number of positions has decreased by a factor of four, from `width` to at
    most ``MAX_WIDENING * width``. Square images of up to 64 px give the paper's network. Only sides above 2
    are halved: the bf16 weight gradient of a strided convolution over a side of 1 reads uninitialised memory
    on CPUs (torch 2.13, oneDNN).

    Examples
    --------
    >>> from dmzrep.networks._encoders import convolution_plan
    >>> convolution_plan((8, 32), 4)
    ([(4, (2, 2)), (8, (2, 2)), (8, (1, 2)), (16, (1, 2))], (2, 2))
    """
    plan: list[tuple[int, tuple[int, int]]] = []
    left, halvings = sides, 0
    while not plan or max(left) > 2:
        strides = (1 + (left[0] > 2), 1 + (left[1] > 2))
        halvings += sum(strides) - 2
        widening = min(MAX_WIDENING, 2 ** max(0, halvings // 2 - 1))
        plan.append((width * widening, strides))
        left = (-(-left[0] // strides[0]), -(-left[1] // strides[1]))
    return plan, left


class ConvEncoder(nn.Module):
    """Strided 3x3 convolutions by `convolution_plan`, then a linear layer to the logits.

    `width` is the number of channels of the first convolution, `depth` the number of residual convolutions
    after each strided one (0 in the paper), `norm` "batch" or "group", `slope` the negative slope of the
    activation (0.01 in the authors' code), `paired` as in `BitHead`. `init_features` ("values", "contrast" or
    "responses", of `init_filters` filters) adds a linear map of these features to the logits, which is
    initialised from data; the head then starts at zero. `normalize_logits` adds a `LogitNorm`.
    """

    def __init__(
        self,
        data_shape: tuple[int, int, int],
        latent_dim: int,
        *,
        width: int = 32,
        depth: int = 0,
        norm: str = "batch",
        paired: bool = False,
        init_features: str | None = None,
        init_filters: int = 64,
        normalize_logits: bool = False,
        slope: float = 0.2,
    ):
        super().__init__()
        plan, sides = convolution_plan(data_shape[1:], width)
        layers: list[nn.Module] = []
        for (channels, _), (out, strides) in pairwise([(data_shape[0], (1, 1)), *plan]):
            layers += [
                nn.Conv2d(channels, out, 3, stride=strides, padding=1),
                encoder_norm(out, norm),
                nn.LeakyReLU(slope),
                *(ResidualConvolution(out, norm, slope) for _ in range(depth)),
            ]
        self.convolutions = nn.Sequential(*layers)
        n_features = plan[-1][0] * math.prod(sides)
        self.head = BitHead(n_features, latent_dim, paired=paired, zero=init_features is not None)
        self.linear_init = (
            None if init_features is None else LinearInit(data_shape, latent_dim, init_features, init_filters)
        )
        self.norm = LogitNorm(latent_dim) if normalize_logits else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map images of shape (n, channels, H, W) in [-1, 1] to logits (n, latent_dim)."""
        return self.with_initial(x)[0]

    def with_initial(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the logits, and those of the initialisation from data, if any."""
        logits = self.head(self.convolutions(x).flatten(1))
        initial = None if self.linear_init is None else self.linear_init(x)
        return self.norm(logits if initial is None else logits + initial), initial


class MLPEncoder(nn.Module):
    """A multilayer perceptron from vectors to logits; options as in `ConvEncoder`."""

    def __init__(
        self,
        data_shape: tuple[int],
        latent_dim: int,
        *,
        width: int = 256,
        init_features: str | None = None,
        normalize_logits: bool = False,
    ):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(data_shape[0], width),
            nn.LayerNorm(width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.LayerNorm(width),
            nn.SiLU(),
        )
        self.head = BitHead(width, latent_dim, zero=init_features is not None)
        self.linear_init = (
            None if init_features is None else LinearInit(data_shape, latent_dim, init_features)
        )
        self.norm = LogitNorm(latent_dim) if normalize_logits else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map vectors of shape (n, features) to logits (n, latent_dim)."""
        logits = self.head(self.layers(x))
        return self.norm(logits if self.linear_init is None else logits + self.linear_init(x))
