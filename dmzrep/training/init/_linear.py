"""Initialisation by PCA or ITQ, of values or of contrast."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from sklearn.utils.extmath import randomized_svd
from torch import Tensor
from torch.nn import functional as F

from dmzrep.networks._linear_init import LinearInit

#: Mean absolute initial logit: most bits are near 0 or 1, but can still change.
MEAN_LOGIT = 3.0
#: Largest number of features for exact principal directions; for more, randomised SVD is used.
EXACT_FEATURES = 1024
#: Iterations of ITQ, the number of them that is made even when no time is left, and the largest number of
#: bits for which it is: 25 iterations take 1 s of one core for 128 bits, 10 s for 512 and 60 s for 1,024.
ITERATIONS, LEAST_ITERATIONS, QUICK_BITS = 50, 25, 512
#: Weight, in the bits that a longer prefix of an ordered code adds, of the directions of the shorter one.
REFINEMENT = 0.5
#: Samples whose features are computed and projected at a time.
SAMPLES_AT_A_TIME = 512


def principal_directions(features: Tensor, n_directions: int, generator: torch.Generator) -> Tensor:
    """Return leading principal directions of shape (n_directions, n_features), padded with random ones.

    They are float64; more than `EXACT_FEATURES` features are processed in their own precision.
    """
    centred = features - features.mean(dim=0)
    if centred.shape[1] > EXACT_FEATURES:
        seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
        n_found = min(n_directions, *centred.shape)
        _, singular, found = randomized_svd(centred.numpy(), n_found, n_iter=4, random_state=seed)
        values = torch.from_numpy(singular).double() ** 2 / len(centred)
        vectors = torch.from_numpy(found.T).double()
    else:
        centred = centred.double()
        values, vectors = torch.linalg.eigh(centred.T @ centred / max(len(centred) - 1, 1))
    order = values.argsort(descending=True)[:n_directions]
    significant = order[values[order] > 1e-9 * values.max().clamp(min=1e-30)]
    directions = vectors[:, significant].T
    missing = n_directions - len(directions)
    if missing > 0:
        random = torch.randn(missing, features.shape[1], generator=generator, dtype=torch.float64)
        directions = torch.cat([directions, random / random.norm(dim=1, keepdim=True)])
    return directions


def itq_rotation(
    projected: Tensor,
    generator: torch.Generator,
    n_iterations: int = ITERATIONS,
    time_left: Callable[[], float] = lambda: math.inf,
    n_columns: int | None = None,
) -> Tensor:
    """Return the rotation of PCA projections that brings them closest to their signs.

    Gong, Lazebnik, "Iterative Quantization: A Procrustean Approach to Learning Binary Codes", 2011,
    section 2.2. When no time is left, the iteration stops, for at most `QUICK_BITS` bits not before
    `LEAST_ITERATIONS`: the codes of a random rotation are worse. With fewer columns than projections, the
    columns are orthonormal.
    """
    size = projected.shape[1]
    rotation, _ = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=projected.dtype))
    rotation = rotation[:, :n_columns]
    least = LEAST_ITERATIONS if size <= QUICK_BITS else 0
    for iteration in range(n_iterations):
        if iteration >= least and time_left() <= 0:
            break
        signs = torch.sign(projected @ rotation)
        left, _, right = torch.linalg.svd(projected.T @ signs, full_matrices=False)
        rotation = left @ right
    return rotation


def staged_rotation(
    projected: Tensor,
    stages: Sequence[int] | None,
    generator: torch.Generator,
    time_left: Callable[[], float] = lambda: math.inf,
) -> Tensor:
    """Return directions by ITQ as columns, (latent_dim, latent_dim): a rotation, unless codes are ordered.

    `stages` are the ascending lengths of the prefixes of an ordered code, the last one latent_dim. The bits
    that a stage adds are a rotation of as many leading projections as its prefix has bits. Those of the
    shorter prefix count half, so that the bits also refine them.
    """
    columns = []
    for begin, end in itertools.pairwise([0, *(stages or [projected.shape[1]])]):
        weights = torch.ones(end, 1, dtype=projected.dtype)
        weights[:begin] = REFINEMENT
        part = projected[:, :end] * weights[:, 0]
        added = itq_rotation(part, generator, time_left=time_left, n_columns=end - begin)
        columns.append(F.pad(weights * added, (0, 0, 0, projected.shape[1] - end)))
    return torch.cat(columns, dim=1)


@torch.no_grad()
def init_linear(
    branch: LinearInit,
    x: Tensor,
    kind: str,
    generator: torch.Generator,
    stages: Sequence[int] | None = None,
    time_left: Callable[[], float] = lambda: math.inf,
) -> None:
    """Initialise the linear branch by signs of principal components, or of their rotation by "itq".

    With "scaled_itq", components are divided by the square roots of their deviations before the rotation, so
    that no few components determine all bits. Contrast features are relative to the mean image.
    """
    if branch.contrast is not None:
        branch.contrast.centre.copy_(branch.averaged(x).mean(dim=0))
    features = torch.cat([branch.features(part).cpu().float() for part in x.split(SAMPLES_AT_A_TIME)])
    directions = principal_directions(features, branch.linear.out_features, generator)
    centre = features.mean(dim=0)
    features -= centre
    projected = torch.cat([part.double() @ directions.T for part in features.split(SAMPLES_AT_A_TIME)])
    if kind == "scaled_itq":
        scale = projected.std(dim=0, correction=0).clamp(min=1e-12).rsqrt()
        directions, projected = scale[:, None] * directions, scale * projected
    if kind != "pca":
        rotation = staged_rotation(projected, stages, generator, time_left)
        directions, projected = rotation.T @ directions, projected @ rotation
    set_linear_map(branch, directions, centre.double(), projected)


@torch.no_grad()
def set_linear_map(branch: LinearInit, directions: Tensor, centre: Tensor, projected: Tensor) -> None:
    """Set the linear layer to directions (latent_dim, n_features) with logits of mean size MEAN_LOGIT."""
    scale = MEAN_LOGIT / projected.abs().mean(dim=0).clamp(min=1e-12)
    weight = directions * scale[:, None]
    branch.linear.weight.copy_(weight)
    branch.linear.bias.copy_(-(weight @ centre))
