"""Detection of spatially aligned images, such as centred faces, whose codes should keep positions."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from dmzrep.training._augmentation import RandomViews

#: Side, in pixels, to which images are average-pooled, and largest number of images used.
ALIGNMENT_SIDE, ALIGNMENT_IMAGES = 16, 4000
#: Fraction of the variance that the principal subspace explains.
EXPLAINED = 0.9
#: Images are aligned if augmented views leave this many times more variance outside that subspace.
ALIGNED_RATIO = 3.0


def residual_ratio(x: Tensor, view: RandomViews, generator: torch.Generator) -> float:
    """Return the variance of augmented views outside the principal subspace, divided by that of the images.

    The subspace with 90 % of the variance is computed from one half of the images and evaluated on the other.
    The ratio is near 1 for objects at any position (photographs) and for constant images, and large for
    aligned images.
    """
    chosen = torch.randperm(len(x), generator=generator)[:ALIGNMENT_IMAGES]
    fitted, held_out = x[chosen].float().cpu().tensor_split(2)
    centre = _averaged(fitted).mean(dim=0)
    centred = (_averaged(fitted) - centre).double()
    values, vectors = torch.linalg.eigh(centred.T @ centred)
    values = values.clamp(min=0.0)
    outside = vectors[:, values.cumsum(0) <= (1.0 - EXPLAINED) * values.sum()]
    distance = ((_averaged(held_out) - centre).double() @ outside).square().sum()
    moved = ((_averaged(view(held_out, generator)) - centre).double() @ outside).square().sum()
    return (moved / distance).item() if distance > 0.0 else 1.0


def are_aligned(x: Tensor, view: RandomViews, generator: torch.Generator) -> bool:
    """Whether images are spatially aligned; see `residual_ratio`."""
    return residual_ratio(x, view, generator) >= ALIGNED_RATIO


def _averaged(x: Tensor) -> Tensor:
    """Average-pool images to at most 16 pixels per side, and flatten them."""
    factor = math.ceil(max(x.shape[2:]) / ALIGNMENT_SIDE)
    return (F.avg_pool2d(x, factor, ceil_mode=True) if factor > 1 else x).flatten(1)
