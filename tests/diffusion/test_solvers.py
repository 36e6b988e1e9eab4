"""Orders of convergence and moments of all samplers, on a mixture whose denoiser is known exactly."""

import itertools

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from dmzrep.diffusion._grids import SPACINGS, timestep_grid
from dmzrep.diffusion._objective import Denoised
from dmzrep.diffusion._sampling import SAMPLERS, draws_noise, run_sampler
from dmzrep.diffusion._schedule import NOISE_SCHEDULES, NoiseSchedule

FINE = 20_000


def normal(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def source(like, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(like.shape, generator=generator, dtype=like.dtype)


def even_grid(first, last, n_steps):
    times = np.rint(np.linspace(first, last, n_steps + 1)).astype(int).tolist()
    return list(itertools.pairwise(times))


def exact_end(mixture, schedule, x, first, last):
    """Return the solution of the ODE d(x / s) / d(a / s) = x0 by SciPy."""
    (a, s), (a_end, s_end) = schedule.levels(first), schedule.levels(last)

    def slope(ratio, u):
        s_here = 1.0 / np.sqrt(1.0 + ratio**2)
        u = torch.from_numpy(u).view(-1, 2)
        return mixture.expected_clean(s_here * u, ratio * s_here, s_here).numpy().ravel()

    solved = solve_ivp(
        slope, (a / s, a_end / s_end), (x / s).numpy().ravel(), "DOP853", rtol=1e-10, atol=1e-12
    )
    return torch.from_numpy(solved.y[:, -1]).view(-1, 2) * s_end


@pytest.mark.parametrize("name", NOISE_SCHEDULES)
@pytest.mark.parametrize(
    ("sampler", "lowest", "highest"), [("ddim", 0.85, 1.3), ("dpm++", 1.75, 2.6), ("heun", 1.75, 2.6)]
)
def test_ode_solvers_converge_at_their_order(mixture, name, sampler, lowest, highest):
    schedule = NoiseSchedule.named(name, FINE)
    first, last = int(0.9 * FINE), int(0.1 * FINE)
    x = normal((16, 2))
    expected = exact_end(mixture, schedule, x, first, last)
    counts, errors = (20, 40, 80), []
    for n_steps in counts:
        grid = even_grid(first, last, n_steps)
        end = run_sampler(sampler, mixture.denoiser(schedule), x, grid, schedule, noise=source(x), clip=None)
        errors.append((end - expected).square().mean().sqrt().item())
    order = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert lowest < order < highest, errors
    assert errors[-1] < (5e-2 if sampler == "ddim" else 4e-3)


@pytest.mark.parametrize(("sampler", "eta"), [("ddpm", 0.0), ("dpm++_sde", 0.0), ("ddim", 0.6)])
def test_stochastic_samplers_have_the_moments_of_the_data(mixture, sampler, eta):
    schedule, n = NoiseSchedule.named("cosine", 1000), 10_000
    x = normal((n, 2))
    grid, denoise = timestep_grid(1000, 100, "uniform"), mixture.denoiser(schedule)
    ends = run_sampler(sampler, denoise, x, grid, schedule, eta=eta, noise=source(x), clip=None)
    covariance = mixture.covariance()
    # Six standard errors, and the error of 100 steps.
    slack = 6 * covariance.diagonal().sqrt() / n**0.5 + 0.01
    assert ((ends.mean(dim=0) - mixture.mean()).abs() < slack).all()
    assert (torch.cov(ends.T) - covariance).abs().max() < 6 * covariance.max() * (2 / n) ** 0.5 + 0.02
    assert (ends - ends.flip(0)).norm(dim=1).median() > 0.5


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(("name", "n_timesteps"), [("cosine", 1000), ("linear", 1000), ("cosine", 2)])
def test_samplers_are_stable_in_one_and_two_steps(mixture, sampler, name, n_timesteps):
    schedule = NoiseSchedule.named(name, n_timesteps)
    x = normal((4, 2)).float()
    for n_steps, spacing in itertools.product((1, 2), SPACINGS):
        grid = timestep_grid(n_timesteps, n_steps, spacing, schedule=schedule)
        ends = run_sampler(sampler, mixture.denoiser(schedule), x, grid, schedule, noise=source(x))
        assert ends.shape == x.shape and torch.isfinite(ends).all() and ends.abs().max() <= 1.0
        if n_steps == 1:
            # One step returns the expected clean data.
            expected = mixture.expected_clean(x.double(), *schedule.levels(grid[0][0]))
            torch.testing.assert_close(ends.double(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("sampler", "eta"), [*((name, 0.0) for name in SAMPLERS), ("ddim", 0.5)])
def test_each_step_has_its_network_evaluations_and_noise(mixture, sampler, eta):
    schedule = NoiseSchedule.named("cosine", 100)
    x, grid, exact = normal((2, 2)), timestep_grid(100, 7), mixture.denoiser(schedule)
    evaluated, drawn, observed = [], [], []
    run_sampler(
        sampler,
        lambda x, t: evaluated.append(int(t[0])) or exact(x, t),
        x,
        grid,
        schedule,
        eta=eta,
        noise=lambda: drawn.append(1) or torch.zeros_like(x),
        observe=lambda i, x0: observed.append(i),
    )
    assert len(evaluated) == (13 if sampler == "heun" else 7)
    assert set(evaluated) == {t for t, _ in grid}
    assert observed == list(range(7))
    assert len(drawn) == (6 if draws_noise(sampler, eta) else 0)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_observed_estimates_are_clipped_and_end_in_the_sample(sampler):
    schedule = NoiseSchedule.named("cosine", 100)
    x, observed, grid = normal((4, 2)), [], timestep_grid(100, 5)
    options = {"noise": source(x), "clip": 0.7, "observe": lambda i, x0: observed.append(x0)}
    samples = run_sampler(sampler, lambda x, t: Denoised(3.0 * x, x, None), x, grid, schedule, **options)
    assert all(x0.abs().max() <= 0.7 for x0 in observed)
    torch.testing.assert_close(observed[-1], samples)
