"""The denoiser for vectors: a residual multilayer perceptron."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from dmzrep.networks._blocks import ScaleShift, TimestepEmbedding, modulate, zero_init
from dmzrep.networks._conditioning import CrossAttention, build_code_layers


class ResidualMLP(nn.Module):
    """A residual network on vectors, conditioned on a timestep and a binary code.

    `depth` blocks of `width` hidden features, a multiple of 4; other options as in `UNet`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        latent_dim: int,
        *,
        width: int = 256,
        depth: int = 3,
        conditioning: str = "bias",
        code_input: str = "signed",
        dropout: float = 0.0,
    ):
        super().__init__()
        self.conditioning = conditioning
        self.time_embedding = TimestepEmbedding(64, width)
        self.linear_in = nn.Linear(in_features, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.expand = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(depth))
        self.reduce = nn.ModuleList(zero_init(nn.Linear(2 * width, width)) for _ in range(depth))
        self.dropout = nn.Dropout(dropout)
        self.norm_out = nn.LayerNorm(width)
        self.linear_out = zero_init(nn.Linear(width, out_features))

        widths = [width] * depth
        self.time_scale_shift = ScaleShift(width, widths)
        self.code_layers = build_code_layers(conditioning, latent_dim, widths, code_input, width)
        if conditioning == "cross_attention":
            self.cross_attention = nn.ModuleList(CrossAttention(width, width) for _ in range(depth))

    def forward(self, x: Tensor, t: Tensor, z: Tensor | None) -> Tensor:
        """Map noised vectors (n, in_features), timesteps in [0, 1000) and codes to (n, out_features)."""
        code: Any = self.code_layers(z) if self.code_layers is not None else None
        embedding = self.time_embedding(t)
        if self.conditioning == "timestep":
            embedding = embedding + code[0]
        time = self.time_scale_shift(F.silu(embedding))
        h = self.linear_in(x)
        for i, (norm, expand, reduce) in enumerate(zip(self.norms, self.expand, self.reduce, strict=True)):
            inner = modulate(norm(h), time[i])
            if self.conditioning == "adagn":
                inner = modulate(inner, code[i])
            elif self.conditioning == "bias":
                inner = inner + code[i]
            h = h + reduce(self.dropout(F.silu(expand(inner))))
            if self.conditioning == "cross_attention":
                h = self.cross_attention[i](h, code)
        return self.linear_out(F.silu(self.norm_out(h)))
