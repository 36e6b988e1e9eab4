"""Augmentation of training images: mirroring, and augmented views for the encoder."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


def flip(x: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror some images left to right.

    Parameters
    ----------
    x : Tensor of shape (n, channels, H, W)
        Images.
    mirrored : Tensor of shape (n,), bool
        Which; on any device.
    """
    return torch.where(mirrored.to(x.device).view(-1, 1, 1, 1), x.flip(-1), x)


@dataclass(frozen=True)
class RandomAffine:
    """Shift, scale, rotate and shear each image at random; positions outside repeat the border.

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
        Largest shear, in pixels per pixel.
    mirror : bool
        Whether half of the images are mirrored left to right too.

    Examples
    --------
    >>> import torch
    >>> from dmzrep.training._augmentation import RandomAffine
    >>> view = RandomAffine()(torch.zeros(2, 1, 8, 8), torch.Generator().manual_seed(0))
    >>> view.shape
    torch.Size([2, 1, 8, 8])

    The same in two parts, of which the first may be drawn for more images than are changed here:

    >>> moves = RandomAffine().draw(2, torch.Generator().manual_seed(0))
    >>> torch.equal(RandomAffine().move(torch.zeros(2, 1, 8, 8), moves), view)
    True
    """

    shift: float = 0.1
    scale: float = 1.2
    rotation: float = 15.0
    shear: float = 0.15
    mirror: bool = False

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Change images of shape (n, channels, H, W), each its own way; draws on the CPU."""
        return self.move(x, self.draw(len(x), generator))

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw the changes of n images on the CPU: affine maps of positions, shape (n, 2, 3)."""
        drawn = 2.0 * torch.rand(n, 5, generator=generator) - 1.0
        angle = drawn[:, 0] * math.radians(self.rotation)
        size = (drawn[:, 1] * math.log(self.scale)).exp()
        cosine, sine = angle.cos() / size, angle.sin() / size
        matrix = torch.stack([cosine, drawn[:, 2] * self.shear - sine, sine, cosine], dim=1).view(-1, 2, 2)
        # The grid runs from -1 to 1: a share of the side is twice that here.
        shift = 2.0 * self.shift * drawn[:, 3:, None]
        if self.mirror:
            matrix[:, 0] *= 1.0 - 2.0 * (torch.rand(n, 1, generator=generator) < 0.5).float()
        return torch.cat([matrix, shift], dim=2)

    def move(self, x: Tensor, maps: Tensor) -> Tensor:
        """Change images of shape (n, channels, H, W) by maps of shape (n, 2, 3)."""
        grid = F.affine_grid(maps.to(x.device), list(x.shape), False)
        return F.grid_sample(x, grid.to(x.dtype), padding_mode="border", align_corners=False)
