"""Random changes of training images: mirroring, and other views for the encoder."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


def random_flip(x: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability 0.5.

    Parameters
    ----------
    x : Tensor of shape (n, channels, H, W)
        Images.
    generator : torch.Generator
        A CPU generator.
    """
    mirrored = torch.rand(len(x), generator=generator) < 0.5
    return torch.where(mirrored.to(x.device).view(-1, 1, 1, 1), x.flip(-1), x)


@dataclass(frozen=True)
class RandomAffine:
    """Move, scale, turn and shear each image at random; what comes in from outside repeats the border.

    All amounts are drawn uniformly between their limit and its opposite.

    Parameters
    ----------
    shift : float
        Largest shift each way, as a share of the side.
    scale : float
        Largest factor of size (its logarithm is drawn).
    rotation : float
        Largest angle, in degrees.
    shear : float
        Largest shear, in pixels a pixel.
    mirror : bool
        Whether half of the images are mirrored left to right too.

    Examples
    --------
    >>> import torch
    >>> from dmzrep.training.augmentation import RandomAffine
    >>> view = RandomAffine()(torch.zeros(2, 1, 8, 8), torch.Generator().manual_seed(0))
    >>> view.shape
    torch.Size([2, 1, 8, 8])
    """

    shift: float = 0.1
    scale: float = 1.2
    rotation: float = 15.0
    shear: float = 0.15
    mirror: bool = False

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Change images of shape (n, channels, H, W), each its own way; draws on the CPU."""
        drawn = 2.0 * torch.rand(len(x), 5, generator=generator) - 1.0
        angle = drawn[:, 0] * math.radians(self.rotation)
        size = (drawn[:, 1] * math.log(self.scale)).exp()
        cosine, sine = angle.cos() / size, angle.sin() / size
        matrix = torch.stack([cosine, drawn[:, 2] * self.shear - sine, sine, cosine], dim=1).view(-1, 2, 2)
        # The grid runs from -1 to 1: a share of the side is twice that here.
        shift = 2.0 * self.shift * drawn[:, 3:, None]
        if self.mirror:
            matrix[:, 0] *= 1.0 - 2.0 * (torch.rand(len(x), 1, generator=generator) < 0.5).float()
        grid = F.affine_grid(torch.cat([matrix, shift], dim=2).to(x.device), list(x.shape), False)
        return F.grid_sample(x, grid.to(x.dtype), padding_mode="border", align_corners=False)
