"""Initialisation by canonical correlation analysis between samples and their nearest neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import scipy.linalg
import torch
from torch import Tensor
from torch.nn import functional as F

from dmzrep._base._batching import batches
from dmzrep.networks._linear_init import LinearInit
from dmzrep.training.init._linear import principal_directions, set_linear_map, staged_rotation

#: Principal components of the features, and neighbours of each sample.
COMPONENTS, NEIGHBOURS = 400, 5
#: Regularisation of the covariance of the components, as a fraction of their mean variance.
REGULARISATION = 0.3
#: Samples whose neighbours are searched at a time.
SEARCHED_AT_A_TIME = 1000


@torch.no_grad()
def init_neighbour_cca(
    branch: LinearInit,
    features: Tensor,
    generator: torch.Generator,
    stages: Sequence[int] | None = None,
    time_left: Callable[[], float] = lambda: math.inf,
) -> None:
    """Initialise the linear map of features so that codes agree between nearest neighbours.

    Among the directions of the features, those are kept that correlate most (Hotelling, "Relations Between
    Two Sets of Variates", 1936) between a sample and the mean of its nearest neighbours by cosine similarity,
    each scaled by its correlation; then rotated by ITQ within each of the `stages` of an ordered code.
    """
    n_bits = branch.linear.out_features
    features = features.cpu().float()
    centre = features.mean(dim=0)
    centred = features - centre
    components = principal_directions(features, max(min(COMPONENTS, features.shape[1]), n_bits), generator)
    own = centred.double() @ components.T
    means = neighbour_means(centred, own, time_left)
    total, cross = own.T @ own / len(own), own[: len(means)].T @ means / len(means)
    total.diagonal().add_(REGULARISATION * total.diagonal().mean().clamp(min=1e-12))
    largest = (len(total) - n_bits, len(total) - 1)
    correlations, vectors = scipy.linalg.eigh(
        (cross + cross.T).numpy() / 2.0, total.numpy(), subset_by_index=largest
    )
    # A direction of no correlation is rotated too, so that every bit depends on the features.
    scaled = torch.from_numpy(vectors[:, ::-1] * correlations[::-1].clip(1e-3))
    rotation = staged_rotation(own @ scaled, stages, generator, time_left)
    directions = (scaled @ rotation).T @ components
    set_linear_map(branch, directions, centre.double(), own @ scaled @ rotation)


def neighbour_means(
    features: Tensor, values: Tensor, time_left: Callable[[], float] = lambda: math.inf
) -> Tensor:
    """Return the mean values of the nearest neighbours of each sample, by cosine similarity of features.

    When no time is left, those of the first samples are returned.
    """
    unit = F.normalize(features, dim=1)
    means: list[Tensor] = []
    for part in batches(len(unit), SEARCHED_AT_A_TIME):
        if means and time_left() <= 0.0:
            break
        similarity = unit[part] @ unit.T
        similarity.diagonal(part.start).fill_(-math.inf)
        nearest = similarity.topk(min(NEIGHBOURS, max(1, len(unit) - 1)), dim=1).indices
        means.append(values[nearest].mean(dim=1))
    return torch.cat(means)
