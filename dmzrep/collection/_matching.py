"""Comparison of the pixels of two pictures, after an alignment.

Two pictures are taken for the same one if an affine map and a linear change of brightness turn one into the
other. Both are found by the Gauss-Newton method from coarse to fine. What decides is the largest remaining
difference at any place, not the mean, since different pictures may agree almost everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional as F

from dmzrep._base._batching import batches

#: Side of the squares to which pictures are resized, and the sides at which they are aligned.
SIDE, LEVELS = 64, (12, 32)
#: Iterations of the Gauss-Newton method per level, and pairs per batch.
ITERATIONS, BATCH = 6, 256
#: Difference at the second side from which pairs are not compared any further.
REJECTED = 3.0
#: Differences that are ignored, as a fraction of the value range, and as a fraction of the local gradient.
NOISE, SLACK = 0.05, 0.5
#: Quantile over places of the relative differences that decides; nearly the largest.
WORST = 0.998
#: Legal alignments: smallest fraction of both pictures that overlaps, smallest and largest scale and gain.
OVERLAP, SCALES, GAINS = 0.55, (0.7, 1.45), (0.5, 2.0)
#: Largest offset of a change of brightness; a larger one maps a figure on white to one of another colour.
OFFSET = 0.1
#: Distance from the middle of the value range beyond which pixels may be clipped.
CLIPPED = 0.48
_DAMPING = 1e-3


class Match(NamedTuple):
    """How well pairs agree: `difference` is infinite where no legal alignment was found."""

    difference: np.ndarray
    mirrored: np.ndarray


def match_pairs(pictures: np.ndarray, first: np.ndarray, second: np.ndarray, mirrored: bool = False) -> Match:
    """Compare pairs of pictures, uint8 of shape (n, SIDE, SIDE, 3), given by two arrays of indices.

    With `mirrored` the second picture of a pair may be mirrored.
    """
    # One thread per batch: threads that share the small operations of a batch mostly wait for each other.
    found = Parallel(-1, prefer="threads")(
        delayed(_match)(pictures[first[part]], pictures[second[part]], mirrored)
        for part in batches(len(first), BATCH)
    )
    found = found or [Match(np.empty(0, np.float32), np.empty(0, bool))]
    return Match(*(np.concatenate(arrays) for arrays in zip(*found, strict=True)))


@torch.inference_mode()
def _match(first: np.ndarray, second: np.ndarray, mirrored: bool) -> Match:
    # OpenMP is limited per thread. The limit of BLAS is global, and concurrent contexts would not restore it.
    with threadpool_limits(1, user_api="openmp"):
        a, b = _units(first), _units(second)
        affine, cost = _align(a, b, LEVELS[0])
        flipped = torch.zeros(len(a), dtype=torch.bool)
        if mirrored:
            other, its_cost = _align(a, b.flip(-1), LEVELS[0])
            flipped = its_cost < cost
            b = torch.where(flipped[:, None, None, None], b.flip(-1), b)
            affine = torch.where(flipped[:, None, None], other, affine)
        affine, _ = _align(a, b, LEVELS[1], affine)
        difference = _difference(_resized(a, LEVELS[1]), _resized(b, LEVELS[1]), affine)
        near = difference < REJECTED
        if near.any():
            a, b = a[near], b[near]
            affine, _ = _align(a, b, SIDE, affine[near])
            difference[near] = torch.maximum(difference[near], _difference(a, b, affine))
        return Match(difference.numpy(), flipped.numpy())


def _units(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255.0


def _grey(x: Tensor) -> Tensor:
    return (x * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)


def _align(a: Tensor, b: Tensor, side: int, affine: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return affine maps (n, 2, 3), in the units of `grid_sample`, from places of `a` to places of `b`.

    The maps begin at `affine`; the second result is the mean absolute difference at the side.
    """
    if affine is None:
        affine = torch.eye(2, 3).repeat(len(a), 1, 1)
    return _gauss_newton(_resized(_grey(a), side), _resized(_grey(b), side), affine)


def _resized(x: Tensor, side: int) -> Tensor:
    return x if x.shape[-1] == side else F.interpolate(x, (side, side), mode="area")


def _warp(x: Tensor, affine: Tensor) -> tuple[Tensor, Tensor]:
    """Return pictures at mapped places, and which of these lie within them."""
    grid = F.affine_grid(affine, list(x.shape), align_corners=False)
    inside = (grid.abs() <= 1.0).all(-1)[:, None].float()
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False), inside


def _gradients(x: Tensor) -> Tensor:
    """Return derivatives along x and y in the units of `grid_sample`, shape (n, 2, side, side)."""
    side = x.shape[-1]
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    along_x = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) * (side / 4.0)
    along_y = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) * (side / 4.0)
    return torch.cat([along_x, along_y], 1)


def _gauss_newton(a: Tensor, b: Tensor, affine: Tensor) -> tuple[Tensor, Tensor]:
    n, side = len(a), a.shape[-1]
    axis = (torch.arange(side) + 0.5) * (2.0 / side) - 1.0
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    places = torch.stack([x, y, torch.ones_like(x)]).reshape(3, -1)
    target = a.reshape(n, -1)
    for _ in range(ITERATIONS):
        warped, inside = _warp(b, affine)
        slopes = _gradients(warped).reshape(n, 2, -1)
        # Derivatives by the parameters, composed with the present map: small steps in the frame of `a`.
        by_affine = (slopes[:, :, None] * places).reshape(n, 6, -1)
        values = warped.reshape(n, 1, -1)
        design = torch.cat([by_affine, values, torch.ones_like(values)], 1)
        weights = inside.reshape(n, 1, -1)
        residual = target - values[:, 0]
        scale = (weights[:, 0] * residual.abs()).sum(1) / weights[:, 0].sum(1).clamp_min(1.0)
        # Large differences, as of a caption, count less.
        weights = weights / (1.0 + (residual / (2.0 * scale[:, None] + 1e-3)).square())[:, None]
        normal = (design * weights) @ design.mT
        normal += _DAMPING * side**2 * torch.eye(8)
        step = torch.linalg.solve(normal, ((design * weights) @ residual[..., None]))[..., 0]
        update = torch.zeros(n, 3, 3)
        update[:, :2] = step[:, :6].reshape(n, 2, 3).clamp(-0.15, 0.15)
        update += torch.eye(3)
        whole = torch.cat([affine, torch.tensor([[[0.0, 0.0, 1.0]]]).expand(n, 1, 3)], 1)
        affine = (whole @ update)[:, :2]
    return affine, scale


def _difference(a: Tensor, b: Tensor, affine: Tensor) -> Tensor:
    """Return the largest difference of aligned pictures at any place, relative to what copying may cause."""
    warped, inside = _warp(b, affine)
    inner = -F.max_pool2d(-F.pad(inside, (1, 1, 1, 1)), 3, 1)
    gain, offset = _brightness(a, warped, inner)
    # A brighter copy is clipped: of each pixel, the unclipped side is compared with the clipped one.
    forward = (a - (gain * warped + offset).clamp(0.0, 1.0)).abs()
    backward = (warped - ((a - offset) / gain).clamp(0.0, 1.0)).abs() * gain
    residual = _smooth(torch.minimum(forward, backward).amax(1, keepdim=True) * inner)
    slopes = torch.maximum(_steepness(a), _steepness(gain * warped))
    relative = residual / (NOISE + SLACK * slopes) * inner
    difference = relative.flatten(1).quantile(WORST, dim=1)
    scales = torch.linalg.svdvals(affine[:, :, :2])
    legal = (
        (inside.flatten(1).mean(1) >= OVERLAP) & (scales >= SCALES[0]).all(1) & (scales <= SCALES[1]).all(1)
    )
    return torch.where(legal, difference, torch.inf)


def _brightness(a: Tensor, b: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Return gain and offset, the same for all colours, from pixels that are not clipped."""
    clipped = torch.maximum((a - 0.5).abs(), (b - 0.5).abs()) > CLIPPED
    weights = inside * (~clipped) + 1e-3 * inside
    count = weights.sum((1, 2, 3), keepdim=True).clamp_min(1e-6)
    mean_a = (a * weights).sum((1, 2, 3), keepdim=True) / count
    mean_b = (b * weights).sum((1, 2, 3), keepdim=True) / count
    centred = (b - mean_b) * weights
    covariance = (centred * (a - mean_a)).sum((1, 2, 3), keepdim=True)
    gain = covariance / (centred * (b - mean_b)).sum((1, 2, 3), keepdim=True).clamp_min(1e-6)
    offset = (mean_a - gain * mean_b).clamp(-OFFSET, OFFSET)
    square = (weights * b.square()).sum((1, 2, 3), keepdim=True).clamp_min(1e-6)
    gain = (weights * b * (a - offset)).sum((1, 2, 3), keepdim=True) / square
    return gain.clamp(*GAINS), offset


def _smooth(x: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)


def _steepness(x: Tensor) -> Tensor:
    """Return the largest change of any colour to a neighbouring pixel, smoothed."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    along_x = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]).abs()
    along_y = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]).abs()
    return _smooth(torch.maximum(along_x, along_y).amax(1, keepdim=True))
