"""The convolutional denoiser."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dmzrep.networks._blocks import (
    Downsample,
    ResidualBlock,
    ScaleShift,
    SelfAttention,
    TimestepEmbedding,
    Upsample,
    zero_init,
)
from dmzrep.networks._conditioning import CrossAttention, build_code_layers
from dmzrep.networks._normalization import group_norm, normalise


class UNet(nn.Module):
    """A UNet conditioned on a timestep and a binary code.

    `widths` are the channels at each level, from the finest to the coarsest. `depth` is the number of
    residual blocks at each level, (down, up): up equals down (each block takes one skip connection) or is one
    more (which takes the input of the level, as in DDPM). `attention_levels` (0 is the finest) have
    self-attention and, with ``conditioning="cross_attention"``, cross-attention to the code.
    ``"spatial_bias"`` adds maps of the code at every level and needs `image_size`. Otherwise
    images may have any size: the input is padded to a multiple of ``patch_size * 2 ** (n_levels - 1)``, and
    the output is cropped.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        latent_dim: int,
        widths: tuple[int, ...],
        *,
        depth: tuple[int, int] = (1, 1),
        attention_levels: tuple[int, ...] = (),
        conditioning: str = "bias",
        code_input: str = "signed",
        patch_size: int = 1,
        dropout: float = 0.0,
        image_size: tuple[int, int] | None = None,
    ):
        super().__init__()
        self.patch_size = patch_size
        self.multiple = patch_size * 2 ** (len(widths) - 1)
        self.conditioning = conditioning
        time_width = 4 * widths[0]
        self.time_embedding = TimestepEmbedding(widths[0], time_width)
        self.conv_in = nn.Conv2d(in_channels * patch_size**2, widths[0], 3, padding=1)

        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.downsample, self.upsample = nn.ModuleList(), nn.ModuleList()
        block_widths: list[int] = []
        block_levels: list[int] = []

        def stage(channels: int, width: int, level: int) -> nn.ModuleDict:
            block_widths.append(width)
            block_levels.append(level)
            parts: dict[str, nn.Module] = {"block": ResidualBlock(channels, width, dropout)}
            if level in attention_levels:
                parts["attention"] = SelfAttention(width)
                if conditioning == "cross_attention":
                    parts["cross_attention"] = CrossAttention(width, time_width)
            return nn.ModuleDict(parts)

        depth_down, depth_up = depth
        # Whether a level's input is also a skip connection.
        self.skip_inputs = depth_up > depth_down
        skips, channels = [widths[0]] if self.skip_inputs else [], widths[0]
        for level, width in enumerate(widths):
            if level:
                self.downsample.append(Downsample(channels))
                if self.skip_inputs:
                    skips.append(channels)
            stages = nn.ModuleList()
            for _ in range(depth_down):
                stages.append(stage(channels, width, level))
                channels = width
                skips.append(channels)
            self.down.append(stages)
        self.middle = nn.ModuleList([stage(channels, channels, len(widths) - 1)])
        for level, width in reversed(list(enumerate(widths))):
            stages = nn.ModuleList()
            for _ in range(depth_up):
                stages.append(stage(channels + skips.pop(), width, level))
                channels = width
            self.up.append(stages)
            if level:
                self.upsample.append(Upsample(channels, widths[level - 1]))
                channels = widths[level - 1]
        self.norm_out = group_norm(channels)
        self.conv_out = zero_init(nn.Conv2d(channels, out_channels * patch_size**2, 3, padding=1))

        self.n_blocks = len(block_widths)
        self.time_scale_shift = ScaleShift(time_width, block_widths)
        coarsest = [i for i, level in enumerate(block_levels) if level == len(widths) - 1]
        last_block = {level: i for i, level in enumerate(block_levels)}
        finer = [last_block[level] for level in reversed(range(len(widths) - 1))]
        grid = None
        if image_size is not None:
            grid = tuple(math.ceil(side / self.multiple) for side in image_size)
        self.code_layers = build_code_layers(
            conditioning, latent_dim, block_widths, code_input, time_width, coarsest, grid, finer
        )

    def forward(self, x: Tensor, t: Tensor, z: Tensor | None) -> Tensor:
        """Map noised images (n, in_channels, H, W), timesteps (n,) in [0, 1000) and codes to predictions.

        `z` of shape (n, latent_dim) holds bits or relaxed bits; it is ignored by an unconditional network.
        """
        height, width = x.shape[2:]
        h = F.pad(x, (0, -width % self.multiple, 0, -height % self.multiple))
        if self.patch_size > 1:
            h = F.pixel_unshuffle(h, self.patch_size)
        terms: Any = None if self.code_layers is None else self.code_layers(z)
        embedding = self.time_embedding(t)
        if self.conditioning == "timestep":
            embedding, terms = embedding + terms[0], None
        time = iter(self.time_scale_shift(F.silu(embedding)))
        code = iter(terms if isinstance(terms, list) else [terms] * self.n_blocks)

        h = self.conv_in(h)
        skips = [h] if self.skip_inputs else []
        for level, stages in enumerate(self.down):
            if level:
                h = self.downsample[level - 1](h)
                if self.skip_inputs:
                    skips.append(h)
            for stage in stages:  # type: ignore[attr-defined]
                h = self._run(stage, h, next(time), next(code))
                skips.append(h)
        for stage in self.middle:
            h = self._run(stage, h, next(time), next(code))  # type: ignore[arg-type]
        for level, stages in enumerate(self.up):
            for stage in stages:  # type: ignore[attr-defined]
                h = self._run(stage, torch.cat([h, skips.pop()], dim=1), next(time), next(code))
            if level < len(self.upsample):
                h = self.upsample[level](h)
        h = self.conv_out(normalise(self.norm_out, h, activate=True))
        if self.patch_size > 1:
            h = F.pixel_shuffle(h, self.patch_size)
        return h[:, :, :height, :width]

    def _run(self, stage: nn.ModuleDict, h: Tensor, time: tuple[Tensor, Tensor], code: Any) -> Tensor:
        """Run a residual block, its attention and its conditioning."""
        h = stage["block"](h, time, code if self.conditioning == "adagn" else None)
        if "attention" in stage:
            h = stage["attention"](h)
        if self.conditioning == "bias":
            h = h + code[:, :, None, None]
        elif self.conditioning == "spatial_bias":
            h = h + code
        elif "cross_attention" in stage:
            h = stage["cross_attention"](h, code)
        return h
