"""Building blocks of the denoisers: time embedding, residual block, attention, resampling."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dmzrep.networks._normalization import ScaleShiftPair, group_norm, normalise


def zero_init(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """Set the weights and bias of a layer to zero."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class TimestepEmbedding(nn.Module):
    """Sinusoidal features of the timestep followed by a two-layer network (Ho et al., 2020, appendix B)."""

    frequencies: Tensor

    def __init__(self, features: int, width: int):
        super().__init__()
        half = features // 2
        # A constant, not persistent, so that files hold only learned values.
        frequencies = torch.exp(-math.log(10_000.0) * torch.arange(half, dtype=torch.float64) / half)
        self.register_buffer("frequencies", frequencies.float(), persistent=False)
        self.network = nn.Sequential(nn.Linear(2 * half, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        """Map timesteps of shape (n,) in [0, 1000] to features of shape (n, width)."""
        angles = t.to(torch.float32)[:, None] * self.frequencies[None]
        return self.network(torch.cat([angles.cos(), angles.sin()], dim=1))


class ScaleShift(nn.Module):
    """One linear layer for the scales and shifts of all residual blocks, which have `widths` channels."""

    def __init__(self, in_features: int, widths: list[int]):
        super().__init__()
        self.widths = list(widths)
        self.linear = nn.Linear(in_features, 2 * sum(widths))

    def forward(self, vector: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Map (n, in_features) to a (scale, shift) pair of shape (n, width) for each block."""
        parts = self.linear(vector).split([2 * width for width in self.widths], dim=1)
        return [part.chunk(2, dim=1) for part in parts]


def modulate(h: Tensor, scale_shift: tuple[Tensor, Tensor]) -> Tensor:
    """Return h * (1 + scale) + shift with one value per channel."""
    scale, shift = scale_shift
    shape = scale.shape + (1,) * (h.dim() - 2)
    return torch.addcmul(shift.reshape(shape), h, 1.0 + scale.reshape(shape))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with group normalisation and scale-shift conditioning.

    Dhariwal, Nichol, "Diffusion Models Beat GANs on Image Synthesis", 2021, section 3.
    """

    def __init__(self, in_channels: int, out_channels: int, dropout: float = 0.0):
        super().__init__()
        self.norm1 = group_norm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = group_norm(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = zero_init(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.skip = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, x: Tensor, time: ScaleShiftPair, code: ScaleShiftPair | None = None) -> Tensor:
        """Map (n, in_channels, H, W) to (n, out_channels, H, W)."""
        h = self.conv1(normalise(self.norm1, x, activate=True))
        h = normalise(self.norm2, h, time, code, activate=True)
        return self.skip(x) + self.conv2(self.dropout(h))


#: Channels of an attention head.
HEAD_CHANNELS = 64
#: Largest number of positions for which attention on CPUs materialises the attention matrix: it is faster.
MATERIALISED_POSITIONS = 256


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return scaled dot-product attention of tensors of shape (n, heads, positions, head channels)."""
    if query.device.type != "cpu" or max(query.shape[2], key.shape[2]) > MATERIALISED_POSITIONS:
        return F.scaled_dot_product_attention(query, key, value)
    scores = torch.matmul(query * query.shape[3] ** -0.5, key.transpose(2, 3))
    return torch.matmul(scores.softmax(dim=3), value)


class SelfAttention(nn.Module):
    """Multi-head self-attention over the positions of a feature map, as a residual branch."""

    def __init__(self, channels: int):
        super().__init__()
        self.n_heads = channels // math.gcd(channels, HEAD_CHANNELS)
        self.norm = group_norm(channels)
        self.query_key_value = nn.Linear(channels, 3 * channels)
        self.out = zero_init(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, H, W) to the same shape."""
        n, channels, height, width = x.shape
        tokens = normalise(self.norm, x).flatten(2).transpose(1, 2)
        split = self.query_key_value(tokens).view(n, height * width, 3, self.n_heads, -1)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = attend(query, key, value)
        mixed = self.out(mixed.transpose(1, 2).reshape(n, height * width, channels))
        return x + mixed.transpose(1, 2).reshape(n, channels, height, width)


class Downsample(nn.Module):
    """Halve height and width by a strided 3x3 convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, H, W) to (n, channels, H / 2, W / 2)."""
        return self.conv(x)


class Upsample(nn.Module):
    """Change channels by a 3x3 convolution, then double height and width by nearest neighbours.

    Convolving first costs a quarter of convolving the enlarged map.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, in_channels, H, W) to (n, out_channels, 2 H, 2 W)."""
        return F.interpolate(self.conv(x), scale_factor=2.0, mode="nearest")
