"""Conditioning of the denoiser on the code: a bias, cross-attention, AdaGN, or the time embedding."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dmzrep.networks._blocks import ScaleShift, attend, zero_init
from dmzrep.networks._normalization import group_norm
from dmzrep.networks._relaxation import code_columns, code_features

CONDITIONINGS = ("bias", "spatial_bias", "cross_attention", "adagn", "timestep", "none")


class CodeBias(nn.Module):
    """The paper's one-token cross-attention, which is exactly a bias.

    Softmax over a single key is one, so a cross-attention layer whose context is one token z adds
    ``to_out(to_v(z))`` at every position, whatever its queries and keys: a linear map of z. One matrix
    product computes the maps of all layers.

    Parameters
    ----------
    latent_dim : int
        Number of bits.
    widths : list of int
        Number of channels of each conditioned layer.
    code_input : {"signed", "one_hot"}, default="signed"
        Encoding of each bit fed to the denoiser.
    """

    def __init__(self, latent_dim: int, widths: list[int], code_input: str = "signed"):
        super().__init__()
        self.widths = list(widths)
        self.code_input = code_input
        # Zero at first, when relaxed bits are noise to the denoiser.
        self.linear = nn.Linear(code_columns(latent_dim, code_input), sum(widths))
        zero_init(self.linear)

    def forward(self, z: Tensor) -> list[Tensor]:
        """Map codes (n, latent_dim) to one bias of shape (n, width) for each layer."""
        return list(self.linear(code_features(z, self.code_input)).split(self.widths, dim=1))

    @torch.no_grad()
    def set_layer(self, layer: int, to_v: Tensor, to_out: Tensor, to_out_bias: Tensor) -> None:
        """Load the weights of a cross-attention layer.

        Parameters
        ----------
        layer : int
            Which conditioned layer.
        to_v : Tensor of shape (inner, code columns)
            Weight of the value projection (without bias, as is usual in cross-attention).
        to_out : Tensor of shape (width, inner)
            Weight of the output projection.
        to_out_bias : Tensor of shape (width,)
            Bias of the output projection.
        """
        start = sum(self.widths[:layer])
        part = slice(start, start + self.widths[layer])
        self.linear.weight[part] = to_out @ to_v
        assert self.linear.bias is not None
        self.linear.bias[part] = to_out_bias


class CodeMap(CodeBias):
    """A bias per layer and, in some layers, per position.

    A bias that is the same at all positions holds no spatial information; a map of biases does.

    Parameters
    ----------
    latent_dim : int
        Number of bits.
    widths : list of int
        Number of channels of each conditioned layer.
    code_input : {"signed", "one_hot"}, default="signed"
        Encoding of each bit fed to the denoiser.
    layers : list of int
        Layers with a bias per position, in ascending order.
    grid : tuple of two int
        Height and width of those layers' feature maps.
    """

    def __init__(
        self,
        latent_dim: int,
        widths: list[int],
        code_input: str = "signed",
        *,
        layers: list[int],
        grid: tuple[int, int],
    ):
        super().__init__(latent_dim, widths, code_input)
        self.layers, self.grid = list(layers), tuple(grid)
        numbers = sum(widths[layer] for layer in layers) * grid[0] * grid[1]
        self.maps = nn.Linear(code_columns(latent_dim, code_input), numbers, bias=False)
        zero_init(self.maps)

    def forward(self, z: Tensor) -> list[Tensor]:
        """Map codes (n, latent_dim) to biases of shape (n, width, 1, 1) or (n, width, *grid)."""
        terms = [bias[:, :, None, None] for bias in super().forward(z)]
        maps = self.maps(code_features(z, self.code_input)).view(len(z), -1, *self.grid)
        widths = [self.widths[layer] for layer in self.layers]
        for layer, map_ in zip(self.layers, maps.split(widths, dim=1), strict=True):
            terms[layer] = terms[layer] + map_
        return terms


class CodeScaleShift(nn.Module):
    """Adaptive group normalisation by the code: a scale and a shift for each block.

    References
    ----------
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


class CodeEmbedding(nn.Module):
    """A linear map of the code that is added to the timestep's embedding.

    Parameters
    ----------
    latent_dim : int
        Number of bits.
    width : int
        Features of the timestep's embedding.
    code_input : {"signed", "one_hot"}, default="signed"
        Encoding of each bit fed to the denoiser.
    """

    def __init__(self, latent_dim: int, width: int, code_input: str = "signed"):
        super().__init__()
        self.code_input = code_input
        self.linear = nn.Linear(code_columns(latent_dim, code_input), width)
        zero_init(self.linear)

    def forward(self, z: Tensor) -> Tensor:
        """Map codes (n, latent_dim) to features (n, width)."""
        return self.linear(code_features(z, self.code_input))


class CodeTokens(nn.Module):
    """Several context tokens, each the sum of learned embeddings of the bits in its group.

    Parameters
    ----------
    latent_dim : int
        Number of bits.
    token_dim : int
        Width of a token.
    max_tokens : int, default=64
        Largest number of tokens; up to it, each bit is one token.
    """

    def __init__(self, latent_dim: int, token_dim: int, max_tokens: int = 64):
        super().__init__()
        self.n_tokens = min(latent_dim, max_tokens)
        self.group = math.ceil(latent_dim / self.n_tokens)
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
    """Multi-head attention from the positions of a feature map to the code's tokens.

    Parameters
    ----------
    channels : int
        Channels of the feature map.
    token_dim : int
        Width of a token.
    head_channels : int, default=64
        Channels of a head, reduced to a divisor of `channels`.
    """

    def __init__(self, channels: int, token_dim: int, head_channels: int = 64):
        super().__init__()
        self.n_heads = max(1, channels // math.gcd(channels, head_channels))
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
) -> CodeBias | CodeScaleShift | CodeEmbedding | CodeTokens | None:
    """Build the layers that map a code to the inputs of a denoiser's blocks.

    Parameters
    ----------
    conditioning : {"bias", "spatial_bias", "cross_attention", "adagn", "timestep", "none"}
        How the code enters.
    latent_dim : int
        Number of bits.
    widths : list of int
        Channels of each block.
    code_input : {"signed", "one_hot"}
        Encoding of each bit fed to the denoiser.
    token_dim : int
        Width of a token of cross-attention, and of the timestep's embedding.
    layers, grid : list of int, tuple of two int
        Blocks with a bias per position, and the shape of their feature maps; for ``"spatial_bias"`` only.

    Returns
    -------
    CodeBias, CodeScaleShift, CodeEmbedding, CodeTokens or None
        Biases, scales and shifts per block, features for the timestep's embedding, or tokens for all blocks.
    """
    if conditioning == "bias":
        return CodeBias(latent_dim, widths, code_input)
    if conditioning == "spatial_bias":
        if layers is None or grid is None:
            raise ValueError("conditioning='spatial_bias' needs images of a known size, got none.")
        return CodeMap(latent_dim, widths, code_input, layers=layers, grid=grid)
    if conditioning == "adagn":
        return CodeScaleShift(latent_dim, widths, code_input)
    if conditioning == "timestep":
        return CodeEmbedding(latent_dim, token_dim, code_input)
    return CodeTokens(latent_dim, token_dim) if conditioning == "cross_attention" else None
