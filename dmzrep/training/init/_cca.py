"""Initialisation by canonical correlation analysis of augmented views."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from scipy.linalg.blas import ssyrk
from torch import Tensor
from torch.nn import functional as F

from dmzrep.networks._device import autocast, resolve_precision
from dmzrep.networks._linear_init import LinearInit
from dmzrep.training._augmentation import RandomViews
from dmzrep.training.init._linear import set_linear_map, staged_rotation

#: Images from which patches are taken, patches that are whitened, and images whose codes are rotated.
PATCH_IMAGES, PATCHES, ROTATION_IMAGES = 1000, 20_000, 10_000
#: Power of the correlations by which projections are scaled before the rotation, and smallest correlation.
CORRELATION_POWER, SMALLEST_CORRELATION = 2.0, 0.1
#: Images processed at a time, and before the first check of the time.
IMAGES_AT_A_TIME, FIRST_IMAGES = 512, 64
#: Further directions and iterations of the subspace iteration.
OVERSAMPLING, SUBSPACE_ITERATIONS = 64, 6
#: Regularisation of the covariance of patches before whitening, as a fraction of the mean variance.
PATCH_REGULARISATION = 0.1
#: Regularisation of the covariance of features, as a fraction of their mean variance; it is larger for fewer
#: images than `ENOUGH_IMAGES` for each feature. Largest number of images for each feature.
VIEW_REGULARISATION, ENOUGH_IMAGES, IMAGES_PER_FEATURE = 0.03, 5, 8


@torch.no_grad()
def init_cca(
    branch: LinearInit,
    x: Tensor,
    view: RandomViews,
    generator: torch.Generator,
    stages: Sequence[int] | None = None,
    time_left: Callable[[], float] = lambda: math.inf,
) -> None:
    """Initialise filters and linear map so that codes agree between augmented views of an image.

    Filters are whitened patches of the images (Coates, Lee, Ng, "An Analysis of Single-Layer Networks in
    Unsupervised Feature Learning", 2011). The map takes their responses to the directions that correlate most
    between two augmented views (Hotelling, "Relations Between Two Sets of Variates", 1936), scaled by a power
    of their correlations (Gong, Ke, Isard, Lazebnik, "A Multi-View Embedding Space for Modeling Internet
    Images, Tags, and Their Semantics", 2014), so that the bits depend most on what views have in
    common, and rotated by ITQ, for each of the `stages` of an ordered code. The less time is left, the
    fewer images are used.
    """
    assert branch.responses is not None
    filters = branch.responses.filters
    filters.copy_(whitened_patches(branch.averaged(x[:PATCH_IMAGES]), filters, generator))
    # bf16 is several times as fast where processors have instructions for it.
    precision = resolve_precision("auto", x.device)
    covariances: ViewCovariances | None = None
    own: list[Tensor] = []
    for part in _growing_parts(x[: IMAGES_PER_FEATURE * branch.linear.in_features]):
        with autocast(precision, x.device):
            first, second = (branch.features(view(part, generator)).float() for _ in range(2))
        if covariances is None:
            covariances = ViewCovariances(torch.cat([first, second]).mean(dim=0))
        covariances.update(first, second)
        if sum(map(len, own)) < ROTATION_IMAGES:
            own.append(branch.features(part))
        if time_left() <= 0:
            break
    assert covariances is not None
    n_bits, features = branch.linear.out_features, torch.cat(own)
    centre = features.mean(dim=0)
    within, between = covariances.within_and_between()
    directions = common_directions(within, between, covariances.n, n_bits, generator)
    missing = n_bits - directions.shape[1]
    if missing > 0:
        random = torch.randn(len(centre), missing, generator=generator, dtype=torch.float64)
        directions = torch.cat([directions, random], dim=1)
    directions = scaled_by_correlation(within, between, directions)
    parts = (part - centre for part in features.split(IMAGES_AT_A_TIME))
    projected = torch.cat([part.double() @ directions for part in parts])
    rotation = staged_rotation(projected, stages, generator, time_left)
    set_linear_map(branch, (directions @ rotation).T, centre.double(), projected @ rotation)


def _growing_parts(x: Tensor) -> Iterator[Tensor]:
    """Yield parts of images: small ones first, so that little time passes before the first check of it."""
    begin, size = 0, FIRST_IMAGES
    while begin < len(x):
        yield x[begin : begin + size]
        begin, size = begin + size, min(2 * size, IMAGES_AT_A_TIME)


class ViewCovariances:
    """Covariances of the mean of two views of a sample, and of half their difference, batch by batch.

    Their sum is the covariance of a view, their difference that between two views of a sample. `centre` is
    near the mean of the features.
    """

    def __init__(self, centre: Tensor):
        self.centre, self.n = centre, 0
        self.sum = torch.zeros_like(centre)
        # Lower triangles, by columns; the symmetric product takes half of the time of a general one.
        self.between, self.within = (np.zeros((len(centre),) * 2, np.float32, order="F") for _ in range(2))

    def update(self, first: Tensor, second: Tensor) -> None:
        """Add features of two views of the same samples, each (n, n_features)."""
        mean = (first + second) / 2.0 - self.centre
        self.sum += mean.sum(dim=0)
        self.n += len(mean)
        for product, values in ((self.between, mean), (self.within, (first - second) / 2.0)):
            ssyrk(1.0, values.numpy().T, beta=1.0, c=product, lower=True, overwrite_c=True)

    def within_and_between(self) -> tuple[Tensor, Tensor]:
        """Return the covariance of half the differences, and that of the means."""
        within, between = (torch.from_numpy(product) / self.n for product in (self.within, self.between))
        mean = self.sum / self.n
        return symmetric(within), symmetric(between) - mean[:, None] * mean


def symmetric(lower: Tensor) -> Tensor:
    """Return the symmetric matrix with this lower triangle."""
    return lower.tril() + lower.tril(-1).T


def common_directions(
    within: Tensor, between: Tensor, n: int, n_directions: int, generator: torch.Generator
) -> Tensor:
    """Return directions, as columns, whose projections correlate most between two views of a sample.

    `within` and `between` are covariances by `ViewCovariances` of n samples. The leading eigenvectors come
    from subspace iteration (Halko, Martinsson, Tropp, "Finding Structure with Randomness", 2011, algorithm
    4.4).
    """
    total, cross = within + between, between - within
    size = len(total)
    # The fewer samples per feature, the more regularisation.
    share = VIEW_REGULARISATION * max(1.0, ENOUGH_IMAGES * size / n) ** 2
    total.diagonal().add_(share * total.diagonal().mean().clamp(min=1e-12))
    # float32 could lose definiteness, but suffices for the iterations.
    lower = torch.linalg.cholesky(total.double()).float()

    def whitened(basis: Tensor) -> Tensor:
        basis = cross @ torch.linalg.solve_triangular(lower.T, basis, upper=True)
        return torch.linalg.solve_triangular(lower, basis, upper=False)

    n_found = min(n_directions, size)
    basis = torch.randn(size, min(n_found + OVERSAMPLING, size), generator=generator, dtype=total.dtype)
    basis = torch.linalg.qr(basis)[0]
    for _ in range(SUBSPACE_ITERATIONS if basis.shape[1] < size else 0):
        basis = torch.linalg.qr(whitened(basis))[0]
    compressed = basis.T @ whitened(basis)
    _, vectors = torch.linalg.eigh((compressed + compressed.T) / 2.0)
    leading = basis @ vectors[:, -n_found:].flip(1)
    return torch.linalg.solve_triangular(lower.T, leading, upper=True).double()


def scaled_by_correlation(within: Tensor, between: Tensor, directions: Tensor) -> Tensor:
    """Return directions, as columns, whose projections have the power of their correlation as deviation.

    Correlations are those of two views of a sample, of which `within` and `between` are covariances.
    """
    basis = directions.float()
    own, shared = ((basis * (matrix @ basis)).sum(dim=0).double() for matrix in (within, between))
    variances = (own + shared).clamp(min=1e-12)
    correlations = ((shared - own) / variances).clamp(SMALLEST_CORRELATION, 1.0)
    return directions * correlations**CORRELATION_POWER / variances.sqrt()


def whitened_patches(x: Tensor, filters: Tensor, generator: torch.Generator) -> Tensor:
    """Return filters of the shape of `filters`, of unit norm and zero mean, from whitened patches."""
    n_filters, channels, side, _ = filters.shape
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
    return weight.view(n_filters, channels, side, side).to(filters)
