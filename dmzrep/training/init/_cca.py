"""Initialisation invariant to small affine transforms: what augmented views of an image have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dmzrep.networks._linear_init import LinearInit
from dmzrep.training._augmentation import RandomAffine
from dmzrep.training.init._linear import set_linear_map, staged_rotation

#: Images whose patches become filters, patches that their whitening is computed from, images at a time.
PATCH_IMAGES, PATCHES, IMAGES_AT_A_TIME = 1000, 20_000, 500
#: Images between two checks of the clock.
IMAGES_BETWEEN_CHECKS = 64
#: Added to the variance of patches before whitening, as a share of their mean variance.
PATCH_REGULARISATION = 0.1
#: Added to the variance of features before correlating, as a share of their mean variance.
VIEW_REGULARISATION = 0.03


@torch.no_grad()
def set_invariant_start(
    start: LinearInit,
    x: Tensor,
    view: RandomAffine,
    generator: torch.Generator,
    stages: Sequence[int] | None = None,
    time_left: Callable[[], float] = lambda: math.inf,
) -> None:
    """Set filters and linear map so that initial codes agree between augmented views of an image.

    Filters are whitened patches of the images. The map takes their responses to the directions that
    correlate most between two augmented views of the same images (canonical correlations), rotated to be
    close to their signs.

    Parameters
    ----------
    start : LinearInit
        The branch, with filters.
    x : Tensor of shape (n, channels, H, W)
        Images in model units.
    view : RandomAffine
        Moves images.
    generator : torch.Generator
        A CPU generator.
    stages : sequence of int, optional
        Lengths of the prefixes of an ordered code; see `staged_rotation`.
    time_left : callable
        Returns the seconds that are left; the fewer, the fewer images are used.

    References
    ----------
    Coates, Lee, Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", 2011
    (whitened patches); Hotelling, "Relations Between Two Sets of Variates", 1936; Gong, Lazebnik,
    "Iterative Quantization", 2011.
    """
    assert start.responses is not None
    filters = start.responses.filters
    filters.weight.copy_(whitened_patches(start.averaged(x[:PATCH_IMAGES]), filters, generator))
    features: list[list[Tensor]] = [[], [], []]
    size = IMAGES_AT_A_TIME if math.isinf(time_left()) else IMAGES_BETWEEN_CHECKS
    for part in x.split(size):
        for images, found in zip((part, view(part, generator), view(part, generator)), features, strict=True):
            found.append(start.features(images))
        if time_left() <= 0:
            break
    own, first, second = (torch.cat(found) for found in features)
    centre = own.mean(dim=0)
    first, second = first - centre, second - centre
    directions = common_directions(first, second, min(start.linear.out_features, own.shape[1]))
    projected = (own - centre).double() @ directions
    missing = start.linear.out_features - directions.shape[1]
    if missing > 0:
        random = torch.randn(own.shape[1], missing, generator=generator, dtype=torch.float64)
        directions = torch.cat([directions, random], dim=1)
        projected = (own - centre).double() @ directions
        projected /= projected.std(dim=0).clamp(min=1e-12)
    rotation = staged_rotation(projected, stages or [projected.shape[1]], generator, time_left)
    set_linear_map(start, (directions @ rotation).T, centre.double(), projected @ rotation)


def common_directions(first: Tensor, second: Tensor, n_directions: int) -> Tensor:
    """Directions, as columns, whose projections correlate most between two sets of paired samples.

    Both sets have the same covariance in expectation, so that one map serves both. Projections have unit
    variance over both sets, or less where regularisation counts.
    """
    n = len(first)
    total = (first.T @ first + second.T @ second).double() / (2 * n)
    cross = (first.T @ second + second.T @ first).double() / (2 * n)
    # Fewer samples than features leave directions without noise: the fewer, the more is added.
    share = VIEW_REGULARISATION * max(1.0, 5.0 * first.shape[1] / n) ** 2
    total.diagonal().add_(share * total.diagonal().mean().clamp(min=1e-12))
    lower = torch.linalg.cholesky(total)
    half = torch.linalg.solve_triangular(lower, cross, upper=False)
    correlation = torch.linalg.solve_triangular(lower, half.T, upper=False)
    _, vectors = torch.linalg.eigh((correlation + correlation.T) / 2.0)
    return torch.linalg.solve_triangular(lower.T, vectors[:, -n_directions:].flip(1), upper=True)


def whitened_patches(x: Tensor, filters: nn.Conv2d, generator: torch.Generator) -> Tensor:
    """Filters of unit length and mean zero, from patches of images after whitening."""
    n_filters, channels, side, _ = filters.weight.shape
    patches = F.unfold(x, side, padding=side // 2).transpose(1, 2).reshape(-1, channels * side * side)
    patches = patches[torch.randperm(len(patches), generator=generator)[:PATCHES]].double()
    patches = patches - patches.mean(dim=1, keepdim=True)
    centred = patches - patches.mean(dim=0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    floor = PATCH_REGULARISATION * values.mean().clamp(min=1e-12)
    whitening = (vectors * (values.clamp(min=0.0) + floor).rsqrt()) @ vectors.T
    white = centred @ whitening
    lengths = white.norm(dim=1)
    # Filters come from the half of the patches with more contrast.
    lively = white[lengths >= lengths.median()]
    chosen = lively[torch.randint(len(lively), (n_filters,), generator=generator)]
    weight = (chosen / chosen.norm(dim=1, keepdim=True).clamp(min=1e-12)) @ whitening
    weight = weight - weight.mean(dim=1, keepdim=True)
    weight = weight / weight.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return weight.view(n_filters, channels, side, side).to(filters.weight)
