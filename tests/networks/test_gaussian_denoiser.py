import numpy as np
import pytest
import torch

from dmzrep.diffusion._objective import OBJECTIVES, Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.networks._gaussian_denoiser import CorrectedDenoiser, GaussianDenoiser

SHAPE, BITS = (2, 6, 5), 8


def drawn_gaussian(schedule, shape=SHAPE, n_directions=5, seed=0):
    """Return a Gaussian denoiser with random parameters."""
    draws = torch.Generator().manual_seed(seed)
    gaussian = GaussianDenoiser(shape, BITS, "signed", schedule.n_timesteps)
    with torch.no_grad():
        gaussian.log_snr.copy_(torch.from_numpy(schedule.log_snr))
        for parameter in gaussian.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draws))
        n_values = len(gaussian.bias)
        directions = torch.linalg.qr(torch.randn(n_values, n_directions, generator=draws))[0]
        gaussian.directions.zero_()[:, :n_directions] = directions
        gaussian.variances.fill_(1e-3)[:n_directions] = torch.arange(1.0, n_directions + 1.0)
        gaussian.rest.fill_(0.05)
    return gaussian


class Zero(torch.nn.Module):
    """A network that predicts zero."""

    def forward(self, x, t, z):
        return torch.zeros_like(x[:, : x.shape[1] // 3])


@pytest.mark.parametrize("timestep", [0, 300, 999])
def test_the_estimate_is_the_conditional_expectation_of_a_gaussian(timestep):
    schedule = NoiseSchedule.named("cosine")
    gaussian = drawn_gaussian(schedule)
    draws = torch.Generator().manual_seed(1)
    z = (torch.rand(3, BITS, generator=draws) > 0.5).float()
    x_t = torch.randn(3, *SHAPE, generator=draws)
    t = torch.full((3,), timestep)
    mean = gaussian.mean(z, 3, x_t.shape[2:])
    with torch.no_grad():
        found = gaussian(x_t, mean, gaussian.alpha_bar(schedule.network_time(t))).flatten(1).double().numpy()
    signal, sigma = schedule.levels(timestep)
    directions = gaussian.directions[:, :5].double().numpy()
    variances = gaussian.variances[:5].double().numpy() - 0.05
    covariance = directions * variances @ directions.T + 0.05 * np.eye(len(directions))
    centre = mean.flatten(1).detach().double().numpy()
    gain = signal * covariance @ np.linalg.inv(signal**2 * covariance + sigma**2 * np.eye(len(covariance)))
    expected = centre + (x_t.flatten(1).double().numpy() - signal * centre) @ gain.T
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("n_timesteps", [1000, 130])
def test_levels_are_those_of_the_schedule(n_timesteps):
    schedule = NoiseSchedule.named("linear", n_timesteps)
    gaussian = drawn_gaussian(schedule)
    t = torch.arange(n_timesteps)
    levels = gaussian.alpha_bar(schedule.network_time(t)).flatten()
    np.testing.assert_allclose(levels, schedule.alpha_bar, rtol=1e-3, atol=1e-7)
    between = gaussian.alpha_bar(schedule.network_time(t[:-1] + 0.5)).flatten()
    assert (between < levels[:-1]).all() and (between > levels[1:]).all()


@pytest.mark.parametrize("kind", OBJECTIVES)
@pytest.mark.parametrize("with_code", [True, False])
def test_predictions_of_each_kind_stand_for_the_same_estimate(kind, with_code):
    schedule = NoiseSchedule.named("cosine")
    gaussian = drawn_gaussian(schedule)
    denoiser = CorrectedDenoiser(Zero(), gaussian, kind)
    draws = torch.Generator().manual_seed(1)
    z = (torch.rand(4, BITS, generator=draws) > 0.5).float() if with_code else None
    t = torch.tensor([5, 300, 700, 900])
    x_t = torch.randn(4, *SHAPE, generator=draws)
    with torch.no_grad():
        found = Objective(schedule, kind).denoise(denoiser, x_t, t, z)
        levels = gaussian.alpha_bar(schedule.network_time(t))
        expected = gaussian(x_t, gaussian.mean(z, 4, x_t.shape[2:]), levels)
    torch.testing.assert_close(found.x0, expected, atol=2e-3, rtol=1e-3)


def test_large_images_are_modelled_at_lower_resolution():
    schedule = NoiseSchedule.named("cosine")
    shape = (1, 70, 50)
    gaussian = drawn_gaussian(schedule, shape)
    assert gaussian.shape == (1, 24, 17)
    z, size = torch.ones(2, BITS), torch.Size(shape[1:])
    mean = gaussian.mean(z, 2, size)
    assert mean.shape == (2, *shape)
    torch.testing.assert_close(mean[..., 0, 0], mean[..., 2, 2])
    # Where nothing is noise, the image is its own estimate.
    x = torch.randn(2, *shape)
    torch.testing.assert_close(gaussian(x, mean, torch.full((2, 1, 1, 1), 1.0 - 1e-7)), x, atol=1e-3, rtol=0)
