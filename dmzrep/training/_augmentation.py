"""Augmentation of training images: flips, and augmented views for the encoder."""

from __future__ import annotations

import math
from numbers import Real
from typing import ClassVar

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor
from torch.nn import functional as F

from dmzrep._base._parameters import ParameterGroup
from dmzrep._base._validation import check_int


def flip(x: Tensor, mirrored: Tensor) -> Tensor:
    """Flip the images for which the boolean tensor `mirrored`, on any device, is True."""
    return torch.where(mirrored.to(x.device).view(-1, 1, 1, 1), x.flip(-1), x)


class RandomViews(ParameterGroup):
    """Random views of images: shifted, scaled, rotated, sheared, mirrored, and with other colours.

    Every amount is drawn uniformly from minus to plus its limit, for each image. Positions outside the image
    repeat its border.

    Parameters
    ----------
    shift : float, default=0.1
        Largest shift in each direction, as a fraction of the side.
    scale : float, default=1.2
        Largest scale factor, at least 1; its logarithm is drawn.
    rotation : float, default=15.0
        Largest angle, in degrees.
    shear : float, default=0.15
        Largest shear, in pixels per pixel.
    mirror : bool, default=False
        Mirror half of the images horizontally.
    colour : float, default=0.0
        Largest relative change of brightness, contrast and saturation, in [0, 1).

    See Also
    --------
    DMZEncoder : Takes it as `encoder_augment`.

    Examples
    --------
    >>> import torch
    >>> from dmzrep.training import RandomViews
    >>> views = RandomViews(shift=0.05, mirror=True)
    >>> views(torch.zeros(4, 3, 32, 32), torch.Generator().manual_seed(0)).shape
    torch.Size([4, 3, 32, 32])
    """

    _parameter_constraints: ClassVar[dict] = {
        "shift": [Interval(Real, 0, None, closed="left")],
        "scale": [Interval(Real, 1, None, closed="left")],
        "rotation": [Interval(Real, 0, 180, closed="both")],
        "shear": [Interval(Real, 0, None, closed="left")],
        "mirror": ["boolean"],
        "colour": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(self, *, shift=0.1, scale=1.2, rotation=15.0, shear=0.15, mirror=False, colour=0.0):
        self.shift = shift
        self.scale = scale
        self.rotation = rotation
        self.shear = shear
        self.mirror = mirror
        self.colour = colour

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Transform images of shape (n, channels, H, W) in [-1, 1], each at random, with a CPU generator."""
        return self.transform(x, self.draw(len(x), generator))

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw transformations of n images.

        Parameters
        ----------
        n : int
            Number of images.
        generator : torch.Generator
            Generator on the CPU.

        Returns
        -------
        Tensor of shape (n, 9)
            Affine maps, in 6 columns, and changes of brightness, contrast and saturation; on the CPU.

        Raises
        ------
        TypeError, ValueError
            `n` is not a positive integer.
        """
        n = check_int(n, "n")
        drawn = 2.0 * torch.rand(n, 8, generator=generator) - 1.0
        angle = drawn[:, 0] * math.radians(self.rotation)
        size = (drawn[:, 1] * math.log(self.scale)).exp()
        cosine, sine = angle.cos() / size, angle.sin() / size
        matrix = torch.stack([cosine, drawn[:, 2] * self.shear - sine, sine, cosine], dim=1).view(-1, 2, 2)
        # Grid coordinates range from -1 to 1, so a fraction of the side is doubled.
        shift = 2.0 * self.shift * drawn[:, 3:5, None]
        if self.mirror:
            matrix[:, 0] *= 1.0 - 2.0 * (torch.rand(n, 1, generator=generator) < 0.5).float()
        return torch.cat([torch.cat([matrix, shift], dim=2).flatten(1), self.colour * drawn[:, 5:]], dim=1)

    def transform(self, x: Tensor, drawn: Tensor) -> Tensor:
        """Transform images.

        Parameters
        ----------
        x : Tensor of shape (n, channels, H, W)
            Images in [-1, 1].
        drawn : Tensor of shape (n, 9)
            Transformations that `draw` returned.

        Returns
        -------
        Tensor of the shape of `x`

        Raises
        ------
        ValueError
            `drawn` is not of shape (n, 9).
        """
        if drawn.shape != (len(x), 9):
            raise ValueError(
                f"drawn must be of shape {(len(x), 9)}, one transformation for each image, from draw(len(x), "
                f"generator); got {tuple(drawn.shape)}."
            )
        drawn = drawn.to(x.device, x.dtype)
        grid = F.affine_grid(drawn[:, :6].view(-1, 2, 3), list(x.shape), False)
        x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
        # The memory format of the networks, which `grid_sample` does not keep.
        x = x.contiguous(memory_format=torch.channels_last)
        if not self.colour:
            return x
        brightness, contrast, saturation = (1.0 + drawn[:, 6:, None, None, None]).unbind(dim=1)
        grey = x.mean(dim=1, keepdim=True)
        x = grey + saturation * (x - grey)
        centre = x.mean(dim=(1, 2, 3), keepdim=True)
        return ((centre + 1.0) * brightness - 1.0 + contrast * (x - centre)).clamp(-1.0, 1.0)
