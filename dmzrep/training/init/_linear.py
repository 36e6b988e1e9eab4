"""Data-dependent initialisation of the encoder: PCA or ITQ, of values or of contrast."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from dmzrep.networks._linear_init import LinearInit

#: Mean absolute initial logit: most bits are certain, yet free to change.
MEAN_LOGIT = 3.0
#: Features up to which principal directions are computed exactly; beyond, by randomised SVD.
EXACT_FEATURES = 1024


def principal_directions(features: Tensor, n_directions: int, generator: torch.Generator) -> Tensor:
    """Leading principal directions as rows, shape (n_directions, n_features).

    Where the data have fewer directions than asked, random ones fill up.
    """
    centred = (features - features.mean(dim=0)).double()
    if centred.shape[1] > EXACT_FEATURES:
        seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
        n_found = min(n_directions, *centred.shape)
        _, singular, found = randomized_svd(centred.numpy(), n_found, n_iter=4, random_state=seed)
        values, vectors = torch.from_numpy(singular**2 / len(centred)), torch.from_numpy(found.T)
    else:
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
    n_iterations: int = 50,
    time_left: Callable[[], float] = lambda: math.inf,
) -> Tensor:
    """Rotation of PCA projections that brings them closest to their signs, iterated while time is left.

    References
    ----------
    Gong, Lazebnik, "Iterative Quantization: A Procrustean Approach to Learning Binary Codes",
    2011, section 2.2.
    """
    size = projected.shape[1]
    rotation, _ = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=projected.dtype))
    for _ in range(n_iterations):
        if time_left() <= 0:
            break
        signs = torch.sign(projected @ rotation)
        left, _, right = torch.linalg.svd(projected.T @ signs)
        rotation = left @ right
    return rotation


def staged_rotation(
    projected: Tensor,
    stages: Sequence[int],
    generator: torch.Generator,
    time_left: Callable[[], float] = lambda: math.inf,
) -> Tensor:
    """Rotation by ITQ within each stage of an ordered code, so that every prefix keeps its directions.

    Parameters
    ----------
    projected : Tensor of shape (n, latent_dim)
        Projections, those that matter most first.
    stages : sequence of int
        Ascending lengths of prefixes, the last latent_dim; a single one rotates all bits together.
    generator : torch.Generator
        A CPU generator.
    time_left : callable
        Returns the seconds that are left; iterations end when there are none.
    """
    blocks = [
        itq_rotation(projected[:, begin:end], generator, time_left=time_left)
        for begin, end in itertools.pairwise([0, *stages])
    ]
    return torch.block_diag(*blocks)


@torch.no_grad()
def set_linear_start(
    start: LinearInit,
    x: Tensor,
    kind: str,
    generator: torch.Generator,
    stages: Sequence[int] | None = None,
    time_left: Callable[[], float] = lambda: math.inf,
) -> None:
    """Set the encoder's linear branch from data.

    Parameters
    ----------
    start : LinearInit
        The branch.
    x : Tensor of shape (n, *data_shape)
        Data in model units.
    kind : {"pca", "itq"}
        Signs of principal components, or of their ITQ rotation.
    generator : torch.Generator
        A CPU generator.
    stages : sequence of int, optional
        Lengths of the prefixes of an ordered code; see `staged_rotation`.
    time_left : callable
        See `staged_rotation`.
    """
    features = start.features(x).cpu().float()
    directions = principal_directions(features, start.linear.out_features, generator)
    centre = features.double().mean(dim=0)
    projected = (features.double() - centre) @ directions.T
    if kind == "itq":
        directions = (
            staged_rotation(projected, stages or [len(directions)], generator, time_left).T @ directions
        )
        projected = (features.double() - centre) @ directions.T
    set_linear_map(start, directions, centre, projected)


@torch.no_grad()
def set_layout_start(start: LinearInit, x: Tensor, generator: torch.Generator) -> None:
    """Set the linear branch to the principal components of the contrast of spatially aligned images.

    Parameters
    ----------
    start : LinearInit
        The branch, with contrast.
    x : Tensor of shape (n, channels, H, W)
        Images in model units.
    generator : torch.Generator
        A CPU generator.
    """
    assert start.contrast is not None
    start.contrast.centre.copy_(start.averaged(x).mean(dim=0))
    set_linear_start(start, x, "pca", generator)


@torch.no_grad()
def set_linear_map(start: LinearInit, directions: Tensor, centre: Tensor, projected: Tensor) -> None:
    """Set the linear layer to directions, as rows, scaled to logits of a mean size.

    Parameters
    ----------
    start : LinearInit
        The branch.
    directions : Tensor of shape (latent_dim, n_features)
        One direction per bit.
    centre : Tensor of shape (n_features,)
        Features whose logits are zero.
    projected : Tensor of shape (n, latent_dim)
        Projections of some samples.
    """
    scale = MEAN_LOGIT / projected.abs().mean(dim=0).clamp(min=1e-12)
    weight = directions * scale[:, None]
    start.linear.weight.copy_(weight)
    start.linear.bias.copy_(-(weight @ centre))
