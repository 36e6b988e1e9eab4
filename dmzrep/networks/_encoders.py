"""Networks that give the logits of the code."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from dmzrep.networks._blocks import zero_init
from dmzrep.networks._linear_init import LinearStart
from dmzrep.networks._normalization import BatchNorm, group_norm


class BitHead(nn.Module):
    """Linear layer from features to one logit a bit.

    Parameters
    ----------
    in_features : int
        Width of the features.
    latent_dim : int
        Number of bits.
    paired : bool, default=False
        Two outputs a bit whose difference is the logit, as in the authors' code. The same
        function class with twice the parameters.
    zero : bool, default=False
        Start at zero, when another branch gives the first logits.
    """

    def __init__(self, in_features: int, latent_dim: int, *, paired: bool = False, zero: bool = False):
        super().__init__()
        self.paired = paired
        self.linear = nn.Linear(in_features, latent_dim * (2 if paired else 1))
        if zero:
            zero_init(self.linear)

    def forward(self, h: Tensor) -> Tensor:
        """Map (n, in_features) to logits of shape (n, latent_dim)."""
        logits = self.linear(h)
        if self.paired:
            zero, one = logits.chunk(2, dim=1)
            return one - zero
        return logits


class LogitNorm(BatchNorm):
    """Batch normalisation of logits: each bit's have mean zero and one deviation.

    So no bit can come to say the same of all rows, however training goes. A batch of one row, which has no
    deviation, is normalised as in use, by the running statistics.

    Parameters
    ----------
    latent_dim : int
        Number of bits.

    References
    ----------
    Ioffe, Szegedy, "Batch Normalization", 2015, algorithm 1.
    """

    #: Deviation of normalised logits: bits that are mostly sure, yet free to move.
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
    """x + activation(normalisation(convolution(x))), at one size of the feature map."""

    def __init__(self, channels: int, norm: str, slope: float):
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), encoder_norm(channels, norm), nn.LeakyReLU(slope)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, H, W) to the same shape."""
        return x + self.branch(x)


def encoder_norm(channels: int, kind: str) -> nn.Module:
    """Give a normalisation layer of the convolutional encoder by name."""
    return BatchNorm(channels) if kind == "batch" else group_norm(channels)


class ConvEncoder(nn.Module):
    """Strided 3x3 convolutions down to 2x2 pixels, then a linear layer to the logits.

    The number of convolutions follows the image's larger side, as in the paper: widths double
    from `width` until the feature map has at most two pixels a side (4 layers at 32 px, 5 at 64,
    7 at 256).

    Parameters
    ----------
    data_shape : tuple of int
        (channels, H, W), sides from 8 to 256.
    latent_dim : int
        Number of bits.
    width : int, default=32
        Channels after the first convolution.
    depth : int, default=0
        Residual convolutions after each strided one. The paper has none.
    norm : {"batch", "group"}, default="batch"
        Normalisation after each convolution.
    paired : bool, default=False
        Two outputs a bit, as in the authors' code.
    start : {"values", "contrast", "responses"} or None, default=None
        Add a linear map of these features to the logits, to be set from data by
        `dmzrep.training.init._linear`; the convolutional branch then starts at zero.
    normalize_logits : bool, default=False
        Batch normalise the logits; see `LogitNorm`.
    slope : float, default=0.2
        Slope of the activation below zero; 0.01 in the authors' code.
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
        start: str | None = None,
        normalize_logits: bool = False,
        slope: float = 0.2,
    ):
        super().__init__()
        channels, *sides = data_shape
        layers: list[nn.Module] = []
        for i in range(max(1, math.ceil(math.log2(max(sides))) - 1)):
            out = width * 2**i
            layers += [
                nn.Conv2d(channels, out, 3, stride=2, padding=1),
                encoder_norm(out, norm),
                nn.LeakyReLU(slope),
                *(ResidualConvolution(out, norm, slope) for _ in range(depth)),
            ]
            channels, sides = out, [math.ceil(side / 2) for side in sides]
        self.convolutions = nn.Sequential(*layers)
        self.head = BitHead(channels * math.prod(sides), latent_dim, paired=paired, zero=start is not None)
        self.start = None if start is None else LinearStart(data_shape, latent_dim, start)
        self.norm = LogitNorm(latent_dim) if normalize_logits else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map images of shape (n, channels, H, W) in [-1, 1] to logits (n, latent_dim)."""
        logits = self.head(self.convolutions(x).flatten(1))
        return self.norm(logits if self.start is None else logits + self.start(x))


class MLPEncoder(nn.Module):
    """A multilayer perceptron from vectors to the logits.

    Parameters
    ----------
    data_shape : tuple of int
        (features,).
    latent_dim : int
        Number of bits.
    width : int, default=256
        Hidden features.
    start : {"values"} or None, default=None
        Add a linear map of the vector to the logits, to be set from data.
    normalize_logits : bool, default=False
        Batch normalise the logits; see `LogitNorm`.
    """

    def __init__(
        self,
        data_shape: tuple[int],
        latent_dim: int,
        *,
        width: int = 256,
        start: str | None = None,
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
        self.head = BitHead(width, latent_dim, zero=start is not None)
        self.start = None if start is None else LinearStart(data_shape, latent_dim, start)
        self.norm = LogitNorm(latent_dim) if normalize_logits else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map vectors of shape (n, features) to logits (n, latent_dim)."""
        logits = self.head(self.layers(x))
        return self.norm(logits if self.start is None else logits + self.start(x))
