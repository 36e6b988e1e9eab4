"""Augmentation of training images: flips, and augmented views for the encoder."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


def flip(x: Tensor, mirrored: Tensor) -> Tensor:
    """Flip the images for which the boolean tensor `mirrored`, on any device, is True."""
    return torch.where(mirrored.to(x.device).view(-1, 1, 1, 1), x.flip(-1), x)


@dataclass(frozen=True)
class RandomAffine:
    """Shift, scale, rotate and shear each image at random, with border padding.

    Each amount is drawn uniformly from minus to plus its limit.
    """

    #: Largest shift in each direction, as a fraction of the side.
    shift: float = 0.1
    #: Largest scale factor (its logarithm is drawn).
    scale: float = 1.2
    #: Largest angle, in degrees.
    rotation: float = 15.0
    #: Largest shear, in pixels per pixel.
    shear: float = 0.15
    #: Whether half of the images are also flipped horizontally.
    mirror: bool = False

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Transform images of shape (n, channels, H, W), each at random, with a CPU generator."""
        return self.transform(x, self.draw(len(x), generator))

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw affine maps for n images, of shape (n, 2, 3), on the CPU."""
        drawn = 2.0 * torch.rand(n, 5, generator=generator) - 1.0
        angle = drawn[:, 0] * math.radians(self.rotation)
        size = (drawn[:, 1] * math.log(self.scale)).exp()
        cosine, sine = angle.cos() / size, angle.sin() / size
        matrix = torch.stack([cosine, drawn[:, 2] * self.shear - sine, sine, cosine], dim=1).view(-1, 2, 2)
        # Grid coordinates range from -1 to 1, so a fraction of the side is doubled.
        shift = 2.0 * self.shift * drawn[:, 3:, None]
        if self.mirror:
            matrix[:, 0] *= 1.0 - 2.0 * (torch.rand(n, 1, generator=generator) < 0.5).float()
        return torch.cat([matrix, shift], dim=2)

    def transform(self, x: Tensor, maps: Tensor) -> Tensor:
        """Transform images by affine maps from `draw`."""
        grid = F.affine_grid(maps.to(x.device), list(x.shape), False)
        return F.grid_sample(x, grid.to(x.dtype), padding_mode="border", align_corners=False)
