"""Conditioning of the denoiser on the code: a bias, cross-attention, AdaGN, or the time embedding."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dmzrep.networks._blocks import HEAD_CHANNELS, ScaleShift, attend, zero_init
from dmzrep.networks._normalization import group_norm
from dmzrep.networks._relaxation import code_columns, code_features

CONDITIONINGS = ("bias", "spatial_bias", "cross_attention", "adagn", "timestep", "none")
#: Largest number of context tokens for cross-attention.
MAX_TOKENS = 64


class CodeBias(nn.Module):
    """The paper's cross-attention to one token, computed as the equivalent bias.

    Softmax over a single key is one, so cross-attention to one token z adds ``to_out(to_v(z))`` at every
    position, independently of queries and keys. One matrix product computes this map for all layers.
    """

    def __init__(self, latent_dim: int, widths: list[int], code_input: str = "signed"):
        super().__init__()
        self.widths = list(widths)
        self.code_input = code_input
        # Zero, since relaxed bits are uninformative at initialisation.
        self.linear = zero_init(nn.Linear(code_columns(latent_dim, code_input), sum(widths)))

    def forward(self, z: Tensor) -> list[Tensor]:
        """Map codes (n, latent_dim) to one bias of shape (n, width) for each layer."""
        return list(self.linear(code_features(z, self.code_input)).split(self.widths, dim=1))


class CodeMap(CodeBias):
    """A bias per layer and, for some layers, also per position of their feature maps.

    Unlike a bias that is constant over positions, a map of biases holds spatial information. The maps of
    `layers`, whose feature maps have size `grid`, are the sum of a linear map of the code and of a small
    convolutional decoder of it, in which bits interact. The decoder goes on to the layers `finer`, each with
    feature maps of twice the size of those before.
    """

    def __init__(
        self,
        latent_dim: int,
        widths: list[int],
        code_input: str = "signed",
        *,
        layers: list[int],
        grid: tuple[int, int],
        finer: list[int],
    ):
        super().__init__(latent_dim, widths, code_input)
        self.layers, self.grid, self.finer = list(layers), tuple(grid), list(finer)
        n_columns, channels = code_columns(latent_dim, code_input), widths[layers[0]]
        n_channels = sum(widths[layer] for layer in layers)
        self.maps = zero_init(nn.Linear(n_columns, n_channels * grid[0] * grid[1], bias=False))
        self.dense = nn.Sequential(
            nn.Linear(n_columns, 4 * channels),
            nn.SiLU(),
            nn.Linear(4 * channels, channels * grid[0] * grid[1]),
        )
        self.convolutions = nn.Sequential(
            group_norm(channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
        )
        self.out = zero_init(nn.Conv2d(channels, n_channels, 1))
        self.upsample, self.out_finer = nn.ModuleList(), nn.ModuleList()
        for layer in finer:
            half = max(1, channels // 2)
            doubled = (
                nn.Conv2d(channels, 4 * half, 1),
                nn.PixelShuffle(2),
                nn.Conv2d(half, half, 3, padding=1),
                nn.SiLU(),
            )
            channels = half
            self.upsample.append(nn.Sequential(*doubled))
            self.out_finer.append(zero_init(nn.Conv2d(channels, widths[layer], 1)))

    def forward(self, z: Tensor) -> list[Tensor]:
        """Map codes (n, latent_dim) to biases of shape (n, width, 1, 1) or (n, width, H, W)."""
        terms = [bias[:, :, None, None] for bias in super().forward(z)]
        features = code_features(z, self.code_input)
        h = self.dense(features).view(len(z), -1, *self.grid)
        h = self.convolutions(h.contiguous(memory_format=torch.channels_last))
        maps = self.maps(features).view(len(z), -1, *self.grid) + self.out(h)
        widths = [self.widths[layer] for layer in self.layers]
        for layer, map_ in zip(self.layers, maps.split(widths, dim=1), strict=True):
            terms[layer] = terms[layer] + map_
        for layer, upsample, out in zip(self.finer, self.upsample, self.out_finer, strict=True):
            h = upsample(h)
            terms[layer] = terms[layer] + out(h)
        return terms


class CodeScaleShift(nn.Module):
    """Adaptive group normalisation by the code: a scale and a shift for each block.

    Preechakul et al., "Diffusion Autoencoders", 2022, section 3 (AdaGN).
    """

    def __init__(self, latent_dim: int, widths: list[int], code_input: str = "signed"):
        super().__init__()
        self.code_input = code_input
        self.scale_shift = ScaleShift(code_columns(latent_dim, code_input), widths)
        zero_init(self.scale_shift.linear)

    def forward(self, z: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Map codes (n, latent_dim) to a (scale, shift) pair for each block."""
        return self.scale_shift(code_features(z, self.code_input))


class CodeTokens(nn.Module):
    """At most `MAX_TOKENS` context tokens, each the sum of learned embeddings of a group of adjacent bits."""

    def __init__(self, latent_dim: int, token_dim: int):
        super().__init__()
        self.group = math.ceil(latent_dim / MAX_TOKENS)
        self.n_tokens = math.ceil(latent_dim / self.group)
        self.embedding = nn.Parameter(torch.randn(2, latent_dim, token_dim) * token_dim**-0.5)

    def forward(self, z: Tensor) -> Tensor:
        """Map codes (n, latent_dim) to tokens of shape (n, n_tokens, token_dim)."""
        off, on = self.embedding
        tokens = off[None] + z[:, :, None] * (on - off)[None]
        missing = self.n_tokens * self.group - z.shape[1]
        if missing:
            tokens = F.pad(tokens, (0, 0, 0, missing))
        return tokens.view(z.shape[0], self.n_tokens, self.group, -1).sum(dim=2)


class CrossAttention(nn.Module):
    """Multi-head attention from the positions of a feature map to the code's tokens."""

    def __init__(self, channels: int, token_dim: int):
        super().__init__()
        self.n_heads = channels // math.gcd(channels, HEAD_CHANNELS)
        self.norm = group_norm(channels)
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(token_dim, 2 * channels)
        self.out = zero_init(nn.Linear(channels, channels))

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Map (n, channels, *positions) and (n, n_tokens, token_dim) to the shape of x."""
        n, channels = x.shape[:2]
        positions = self.norm(x).reshape(n, channels, -1).transpose(1, 2)
        query = self.query(positions).view(n, -1, self.n_heads, channels // self.n_heads).transpose(1, 2)
        key_value = self.key_value(tokens).view(n, tokens.shape[1], 2, self.n_heads, -1)
        key, value = key_value.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = attend(query, key, value).transpose(1, 2)
        mixed = self.out(mixed.reshape(n, -1, channels))
        return x + mixed.transpose(1, 2).reshape(x.shape)


def build_code_layers(
    conditioning: str,
    latent_dim: int,
    widths: list[int],
    code_input: str,
    token_dim: int,
    layers: list[int] | None = None,
    grid: tuple[int, int] | None = None,
    finer: Sequence[int] = (),
) -> CodeBias | CodeScaleShift | CodeTokens | None:
    """Build the layers that map a code to the inputs of a denoiser's blocks, of `widths` channels.

    `token_dim` is also the width of the timestep's embedding. `layers`, `grid` and `finer` are those
    of `CodeMap`.
    """
    if conditioning == "bias":
        return CodeBias(latent_dim, widths, code_input)
    if conditioning == "spatial_bias":
        if layers is None or grid is None:
            raise ValueError("conditioning='spatial_bias' needs images of a known size, got none.")
        return CodeMap(latent_dim, widths, code_input, layers=layers, grid=grid, finer=list(finer))
    if conditioning == "adagn":
        return CodeScaleShift(latent_dim, widths, code_input)
    if conditioning == "timestep":
        return CodeBias(latent_dim, [token_dim], code_input)
    return CodeTokens(latent_dim, token_dim) if conditioning == "cross_attention" else None
