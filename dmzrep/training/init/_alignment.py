"""Whether images are spatially aligned, as centred faces are: then codes should keep positions."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from dmzrep.training._augmentation import RandomAffine

#: Side, in pixels, to which images are averaged, and images looked at, at most.
ALIGNMENT_SIDE, ALIGNMENT_IMAGES = 16, 4000
#: Share of the variance that the principal subspace holds.
EXPLAINED = 0.9
#: Images are aligned where augmented views leave as many times more outside that subspace.
ALIGNED_RATIO = 3.0


def misfit_of_views(x: Tensor, view: RandomAffine, generator: torch.Generator) -> float:
    """Return how much worse the principal subspace of images explains augmented views of them.

    The subspace with 90 % of the variance of one half of the images is measured on the other half: the
    mean squared distance from it of augmented views, divided by that of the images as they are. It is near
    1 where objects may be anywhere (photographs), and large where all images are spatially aligned.

    Parameters
    ----------
    x : Tensor of shape (n, channels, H, W)
        Images in model units, at least two.
    view : RandomAffine
        Moves images.
    generator : torch.Generator
        A CPU generator.

    Returns
    -------
    float
        The ratio, above 0; 1 where the images do not differ.

    Examples
    --------
    >>> import torch
    >>> from dmzrep.training.init._alignment import misfit_of_views
    >>> from dmzrep.training._augmentation import RandomAffine
    >>> noise = torch.randn(100, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> ratio = misfit_of_views(noise, RandomAffine(), torch.Generator().manual_seed(0))
    >>> 0.3 < ratio < 1.5
    True
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


def are_aligned(x: Tensor, view: RandomAffine, generator: torch.Generator) -> bool:
    """Whether images are spatially aligned; see `misfit_of_views`."""
    return misfit_of_views(x, view, generator) >= ALIGNED_RATIO


def _averaged(x: Tensor) -> Tensor:
    """Average images to at most 16 pixels per side, flattened."""
    factor = math.ceil(max(x.shape[2:]) / ALIGNMENT_SIDE)
    return (F.avg_pool2d(x, factor, ceil_mode=True) if factor > 1 else x).flatten(1)
