import pytest
import torch

from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.networks._gaussian_denoiser import GaussianDenoiser
from dmzrep.training import init_gaussian
from tests.training.trainers import generator

SCHEDULE = NoiseSchedule.named("cosine")
LOG_SNR = torch.from_numpy(SCHEDULE.log_snr)


def test_means_and_variances_of_a_gaussian_are_recovered():
    draws = generator()
    bits = torch.rand(4000, 6, generator=draws) > 0.5
    weight, bias = torch.randn(16, 6, generator=draws), torch.randn(16, generator=draws)
    directions = torch.linalg.qr(torch.randn(16, 16, generator=draws))[0]
    scales = torch.tensor([2.0, 1.0, 0.5, *[0.1] * 13])
    errors = torch.randn(4000, 16, generator=draws) * scales @ directions.T
    x = ((2.0 * bits - 1.0) @ weight.T + bias + errors).view(-1, 1, 4, 4)
    gaussian = GaussianDenoiser((1, 4, 4), 6, "signed", SCHEDULE.n_timesteps)
    init_gaussian(gaussian, x, bits, LOG_SNR, generator())
    torch.testing.assert_close(gaussian.weight.detach(), weight, atol=0.1, rtol=0.05)
    torch.testing.assert_close(gaussian.bias.detach(), bias, atol=0.1, rtol=0.05)
    torch.testing.assert_close(gaussian.variances[:3], scales[:3].square(), atol=0, rtol=0.1)
    assert (gaussian.directions[:, :3] * directions[:, :3]).sum(dim=0).abs().min() > 0.98


def test_variances_are_those_of_new_images():
    draws = generator()
    bits, x = torch.rand(60, 64, generator=draws) > 0.5, torch.randn(60, 1, 8, 8, generator=draws)
    gaussian = GaussianDenoiser((1, 8, 8), 64, "signed", SCHEDULE.n_timesteps)
    init_gaussian(gaussian, x, bits, LOG_SNR, generator())
    n_found = int((gaussian.directions.abs().sum(dim=0) > 0).sum())
    total = gaussian.variances[:n_found].sum() + gaussian.rest * (64 - n_found)
    # Random bits explain nothing, though a regression on 60 images fits them nearly exactly.
    assert total / 64 > 0.9


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("with_code", [True, False])
def test_few_or_constant_images_lead_to_finite_values(n, with_code):
    bits = torch.ones(n, 12) > 0 if with_code else None
    gaussian = GaussianDenoiser((3, 8, 8), 12 if with_code else 0, "one_hot", SCHEDULE.n_timesteps)
    init_gaussian(gaussian, torch.ones(n, 3, 8, 8), bits, LOG_SNR, generator())
    assert all(torch.isfinite(value).all() for value in gaussian.state_dict().values())
    assert gaussian.rest > 0 and (gaussian.variances > 0).all()
    z = torch.ones(2, 12) if with_code else None
    torch.testing.assert_close(gaussian.mean(z, 2, torch.Size((8, 8))), torch.ones(2, 3, 8, 8))
