"""Optimal denoisers under input perturbation, in closed form."""

import numpy as np
import pytest
import torch

from dmzrep.diffusion._grids import timestep_grid
from dmzrep.diffusion._objective import OBJECTIVES, Objective
from dmzrep.diffusion._perturbation import matched_levels
from dmzrep.diffusion._samplers import sample_ddim
from dmzrep.diffusion._schedule import NOISE_SCHEDULES, NoiseSchedule

G = 0.4


def trained_network(mixture, schedule, kind, g=G):
    """Return the minimiser of the loss with input perturbation: the target's mean given the input."""
    times = np.arange(schedule.n_timesteps)

    def network(x, network_time, z):
        # Between integer timesteps, linear in the log-SNR.
        tau = network_time[0].item() * schedule.n_timesteps / 1000
        alpha_bar = 1 / (1 + np.exp(-np.interp(tau, times, schedule.log_snr)))
        signal, sigma = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
        x0 = mixture.expected_clean(x, signal, sigma * (1 + g**2) ** 0.5)
        noise = (x - signal * x0) / sigma / (1 + g**2)
        return {"sample": x0, "epsilon": noise, "v": signal * noise - sigma * x0}[kind]

    return network


@pytest.mark.parametrize("kind", OBJECTIVES)
@pytest.mark.parametrize("name", NOISE_SCHEDULES)
def test_matched_estimates_equal_those_of_a_network_trained_without_perturbation(mixture, name, kind):
    schedule = NoiseSchedule.named(name, 1000)
    objective = Objective(schedule, kind, input_perturbation=G)
    network = trained_network(mixture, schedule, kind)
    x = torch.randn(32, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for step in (5, 60, 500, 900, 999):
        t = torch.full((32,), step)
        found = objective.denoise(network, x, t, None, match_perturbation=True)
        expected = mixture.denoiser(schedule)(x, t)
        # Network time is float32.
        torch.testing.assert_close(found.x0, expected.x0, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(found.epsilon, expected.epsilon, rtol=5e-3, atol=5e-3)
    plain = objective.denoise(network, x, torch.full((32,), 500), None)
    assert (plain.x0 - mixture.denoiser(schedule)(x, torch.full((32,), 500)).x0).abs().max() > 0.02


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_matched_ddim_samples_equal_those_without_perturbation(mixture, kind):
    schedule = NoiseSchedule.named("cosine", 1000)
    objective = Objective(schedule, kind, input_perturbation=G)
    network = trained_network(mixture, schedule, kind)
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grid = timestep_grid(1000, 50)
    expected = sample_ddim(mixture.denoiser(schedule), x, grid, schedule, clip=None)
    ends = [
        sample_ddim(
            lambda x, t, match=match: objective.denoise(network, x, t, None, match_perturbation=match),
            x,
            grid,
            schedule,
            clip=None,
        )
        for match in (True, False)
    ]
    matched, plain = ((end - expected).square().mean().sqrt().item() for end in ends)
    assert matched < 5e-3 < plain / 5


@pytest.mark.parametrize("name", NOISE_SCHEDULES)
def test_levels_have_the_matched_signal_to_noise_ratio(name):
    schedule = NoiseSchedule.named(name, 1000)
    tau, alpha_bar = matched_levels(schedule, 0.15)
    inside = alpha_bar < schedule.alpha_bar[0]
    perturbed = alpha_bar / ((1 - alpha_bar) * (1 + 0.15**2))
    expected = schedule.alpha_bar / (1 - schedule.alpha_bar)
    np.testing.assert_allclose(perturbed[inside], expected[inside], rtol=1e-9)
    assert inside[2:].all() and (tau[~inside] == 0).all()
    np.testing.assert_array_equal(matched_levels(schedule, 0.0)[0], np.arange(1000))


def test_matching_keeps_a_learned_variance():
    schedule = NoiseSchedule.named("cosine", 100)
    objective = Objective(schedule, learn_variance=True, input_perturbation=0.1)
    raw = torch.full((2, 6), -0.5)
    denoised = objective.denoise(
        lambda x, time, z: raw, torch.ones(2, 3), torch.tensor([10, 60]), None, match_perturbation=True
    )
    assert denoised.x0.shape == (2, 3)
    torch.testing.assert_close(denoised.variance_fraction, torch.full((2, 3), 0.25))
