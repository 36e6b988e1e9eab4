"""Initialisation by canonical correlation analysis of augmented views."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dmzrep.networks._linear_init import LinearInit
from dmzrep.training._augmentation import RandomAffine
from dmzrep.training.init._linear import set_linear_map, staged_rotation

#: Images from which patches are taken, patches that are whitened, and images processed at a time.
PATCH_IMAGES, PATCHES, IMAGES_AT_A_TIME = 1000, 20_000, 500
#: Images processed at a time if time is limited.
IMAGES_BETWEEN_CHECKS = 64
#: Regularisation of the covariance of patches before whitening, as a fraction of the mean variance.
PATCH_REGULARISATION = 0.1
#: Regularisation of the covariance of features, as a fraction of their mean variance.
VIEW_REGULARISATION = 0.03


@torch.no_grad()
def init_cca(
    branch: LinearInit,
    x: Tensor,
    view: RandomAffine,
    generator: torch.Generator,
    stages: Sequence[int] | None = None,
    time_left: Callable[[], float] = lambda: math.inf,
) -> None:
    """Initialise filters and linear map so that codes agree between augmented views of an image.

    Filters are whitened patches of the images (Coates, Lee, Ng, "An Analysis of Single-Layer Networks in
    Unsupervised Feature Learning", 2011). The map takes their responses to the directions that correlate most
    between two augmented views (Hotelling, "Relations Between Two Sets of Variates", 1936), rotated by ITQ
    within each of the `stages` of an ordered code. The less time is left, the fewer images are used.
    """
    assert branch.responses is not None
    filters = branch.responses.filters
    filters.weight.copy_(whitened_patches(branch.averaged(x[:PATCH_IMAGES]), filters, generator))
    features: list[list[Tensor]] = [[], [], []]
    size = IMAGES_AT_A_TIME if math.isinf(time_left()) else IMAGES_BETWEEN_CHECKS
    for part in x.split(size):
        for images, found in zip((part, view(part, generator), view(part, generator)), features, strict=True):
            found.append(branch.features(images))
        if time_left() <= 0:
            break
    own, first, second = (torch.cat(found) for found in features)
    centre = own.mean(dim=0)
    first, second = first - centre, second - centre
    directions = common_directions(first, second, min(branch.linear.out_features, own.shape[1]))
    projected = (own - centre).double() @ directions
    missing = branch.linear.out_features - directions.shape[1]
    if missing > 0:
        random = torch.randn(own.shape[1], missing, generator=generator, dtype=torch.float64)
        directions = torch.cat([directions, random], dim=1)
        projected = (own - centre).double() @ directions
        projected /= projected.std(dim=0).clamp(min=1e-12)
    rotation = staged_rotation(projected, stages, generator, time_left)
    set_linear_map(branch, (directions @ rotation).T, centre.double(), projected @ rotation)


def common_directions(first: Tensor, second: Tensor, n_directions: int) -> Tensor:
    """Return directions, as columns, whose projections correlate most between two sets of paired samples.

    The sets have the same covariance in expectation. Projections have unit variance over both sets, or less
    with much regularisation.
    """
    n = len(first)
    total = (first.T @ first + second.T @ second).double() / (2 * n)
    cross = (first.T @ second + second.T @ first).double() / (2 * n)
    # The fewer samples per feature, the more regularisation.
    share = VIEW_REGULARISATION * max(1.0, 5.0 * first.shape[1] / n) ** 2
    total.diagonal().add_(share * total.diagonal().mean().clamp(min=1e-12))
    lower = torch.linalg.cholesky(total)
    half = torch.linalg.solve_triangular(lower, cross, upper=False)
    correlation = torch.linalg.solve_triangular(lower, half.T, upper=False)
    _, vectors = torch.linalg.eigh((correlation + correlation.T) / 2.0)
    return torch.linalg.solve_triangular(lower.T, vectors[:, -n_directions:].flip(1), upper=True)


def whitened_patches(x: Tensor, filters: nn.Conv2d, generator: torch.Generator) -> Tensor:
    """Return filters of unit norm and zero mean from whitened patches of images."""
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
    # Only patches with more contrast than the median.
    candidates = white[lengths >= lengths.median()]
    chosen = candidates[torch.randint(len(candidates), (n_filters,), generator=generator)]
    weight = (chosen / chosen.norm(dim=1, keepdim=True).clamp(min=1e-12)) @ whitening
    weight = weight - weight.mean(dim=1, keepdim=True)
    weight = weight / weight.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return weight.view(n_filters, channels, side, side).to(filters.weight)
