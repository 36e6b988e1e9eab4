"""Initialisation of the denoiser: the best linear one given the code."""

from __future__ import annotations

import torch
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from dmzrep.networks._gaussian_denoiser import GaussianDenoiser
from dmzrep.networks._relaxation import code_features

#: Largest number of images, and images for each principal direction.
GAUSSIAN_IMAGES, IMAGES_PER_DIRECTION = 10_000, 4
#: Ridge penalty of the map from codes to images, to which the number of bits per image is added.
RIDGE = 0.01
#: Smallest variance, about that of rounding to 8 bits.
SMALLEST_VARIANCE = 1e-5


@torch.no_grad()
def init_gaussian(
    gaussian: GaussianDenoiser,
    x: Tensor,
    bits: Tensor | None,
    log_snr: Tensor,
    generator: torch.Generator,
) -> None:
    """Set the mean and the covariance of images, (n, channels, H, W) in model units, given their codes.

    The mean is the ridge regression of images on bits of shape (n, latent_dim); without codes it is the mean
    image. The covariance is that of the errors of regressions on the other half of the images, since errors
    on the images of the regression itself would be too small.
    """
    gaussian.log_snr.copy_(log_snr)
    values = gaussian.pooled(x).cpu()
    centre = values.mean(dim=0)
    values = values - centre
    codes = torch.zeros(len(x), 0) if bits is None else code_features(bits.cpu().float(), gaussian.code_input)
    mean_code = codes.mean(dim=0)
    codes = codes - mean_code
    weight = _ridge(codes, values)
    gaussian.weight.copy_(weight.T)
    gaussian.bias.copy_(centre - mean_code @ weight)
    errors = values.clone()
    for fitted, scored in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
        errors[scored] -= codes[scored] @ _ridge(codes[fitted], values[fitted])
    total = errors.square().mean(dim=0).sum()
    n_directions = min(gaussian.directions.shape[1], len(x) // IMAGES_PER_DIRECTION)
    gaussian.directions.zero_()
    gaussian.variances.fill_(SMALLEST_VARIANCE)
    found = torch.zeros(())
    if n_directions:
        seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
        _, singular, directions = randomized_svd(errors.numpy(), n_directions, n_iter=3, random_state=seed)
        variances = torch.from_numpy(singular) ** 2 / len(errors)
        gaussian.directions[:, :n_directions] = torch.from_numpy(directions.T)
        gaussian.variances[:n_directions] = variances.clamp(min=SMALLEST_VARIANCE)
        found = variances.sum()
    rest = (total - found) / max(1, len(centre) - n_directions)
    gaussian.rest.copy_(rest.clamp(min=SMALLEST_VARIANCE))


def _ridge(codes: Tensor, values: Tensor) -> Tensor:
    """Return the weights (n_columns, n_values) of the ridge regression of centred values on centred codes."""
    n, n_columns = codes.shape
    covariance = (codes.T @ codes / max(n, 1)).double()
    covariance.diagonal().add_(RIDGE + n_columns / max(n, 1))
    return torch.linalg.solve(covariance, (codes.T @ values / max(n, 1)).double()).float()
