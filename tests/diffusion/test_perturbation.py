"""Optimal denoisers under input perturbation, in closed form."""

import numpy as np
import pytest
import torch

from dmzrep.diffusion._objective import OBJECTIVES, Objective
from dmzrep.diffusion._schedule import NOISE_SCHEDULES, NoiseSchedule

G = 0.4


def trained_network(mixture, schedule, kind, learn_variance=False):
    """Return the minimiser of the loss with input perturbation: the mean of the target given the input."""
    times = np.arange(schedule.n_timesteps)

    def network(x, network_time, z):
        # The log-SNR is interpolated linearly between integer timesteps.
        tau = network_time[0].item() * schedule.n_timesteps / 1000
        alpha_bar = 1 / (1 + np.exp(-np.interp(tau, times, schedule.log_snr)))
        signal, sigma = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
        x0 = mixture.expected_clean(x, signal, sigma * (1 + G**2) ** 0.5)
        noise = (x - signal * x0) / sigma / (1 + G**2)
        out = {"sample": x0, "epsilon": noise, "v": signal * noise - sigma * x0}[kind]
        return torch.cat([out, torch.full_like(out, -0.5)], dim=1) if learn_variance else out

    return network


@pytest.mark.parametrize("learn_variance", [False, True])
@pytest.mark.parametrize("kind", OBJECTIVES)
@pytest.mark.parametrize("name", NOISE_SCHEDULES)
def test_matched_estimates_equal_those_without_perturbation(mixture, name, kind, learn_variance):
    schedule = NoiseSchedule.named(name, 1000)
    objective = Objective(schedule, kind, learn_variance, input_perturbation=G)
    network = trained_network(mixture, schedule, kind, learn_variance)
    x = torch.randn(32, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for step in (5, 60, 500, 900, 999):
        t = torch.full((32,), step)
        found = objective.denoise(network, x, t, None, match_perturbation=True)
        expected = mixture.denoiser(schedule)(x, t)
        # Network time is float32.
        torch.testing.assert_close(found.x0, expected.x0, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(found.epsilon, expected.epsilon, rtol=5e-3, atol=5e-3)
        if learn_variance:
            torch.testing.assert_close(found.variance_fraction, torch.full_like(x, 0.25))
    plain = objective.denoise(network, x, torch.full((32,), 500), None)
    assert (plain.x0 - mixture.denoiser(schedule)(x, torch.full((32,), 500)).x0).abs().max() > 0.02
