"""Orders of convergence and moments of all samplers, on a mixture whose denoiser is known exactly."""

import itertools

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from dmzrep.diffusion._grids import SPACINGS, timestep_grid
from dmzrep.diffusion._objective import Denoised
from dmzrep.diffusion._samplers import sample_ddim, sample_ddpm
from dmzrep.diffusion._sampling import SAMPLERS, draws_noise, run_sampler
from dmzrep.diffusion._schedule import NOISE_SCHEDULES, NoiseSchedule
from dmzrep.diffusion._solvers import sample_dpm_solver, sample_heun

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
    """The ODE's solution by SciPy, in d(x / s) / d(a / s) = x0, which no sampler is handed."""
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
def test_the_error_of_an_ode_solver_falls_at_its_order(mixture, name, sampler, lowest, highest):
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


@pytest.mark.parametrize("sampler", ["dpm++", "heun"])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_second_order_pays_from_noise_to_clean_data(mixture, sampler, spacing):
    schedule = NoiseSchedule.named("cosine", 1000)
    x, denoise = normal((64, 2)), mixture.denoiser(schedule)
    every = timestep_grid(1000, 1000)
    expected = sample_heun(denoise, x, every, schedule, clip=None)
    grid = timestep_grid(1000, 40, spacing, schedule=schedule)
    options = {"noise": source(x), "clip": None}
    error = (run_sampler(sampler, denoise, x, grid, schedule, **options) - expected).square().mean()
    first_order = (run_sampler("ddim", denoise, x, grid, schedule, **options) - expected).square().mean()
    # "uniform" ends in a step whose log-SNR is three times as wide as the one before: a far extrapolation.
    assert error < (1.0 if spacing == "uniform" else 0.3) * first_order


@pytest.mark.parametrize(("sampler", "eta"), [("ddpm", 0.0), ("dpm++_sde", 0.0), ("ddim", 0.6)])
def test_samples_of_an_sde_have_the_mixtures_moments(mixture, sampler, eta):
    schedule, n = NoiseSchedule.named("cosine", 1000), 10_000
    x = normal((n, 2))
    ends = run_sampler(
        sampler,
        mixture.denoiser(schedule),
        x,
        timestep_grid(1000, 100, "uniform"),
        schedule,
        eta=eta,
        noise=source(x),
        clip=None,
    )
    covariance = mixture.covariance()
    # Six standard errors, and the error of 100 steps.
    slack = 6 * covariance.diagonal().sqrt() / n**0.5 + 0.01
    assert ((ends.mean(dim=0) - mixture.mean()).abs() < slack).all()
    assert (torch.cov(ends.T) - covariance).abs().max() < 6 * covariance.max() * (2 / n) ** 0.5 + 0.02
    assert (ends - ends.flip(0)).norm(dim=1).median() > 0.5


# -- single steps ------------------------------------------------------------------------------------


def single_point(schedule, point):
    """The denoiser of data that are one point: its ODE's paths are straight, and every solver is exact."""

    def denoise(x, t):
        signal, sigma = schedule.levels(int(t[0]))
        x0 = torch.full_like(x, point)
        return Denoised(x0, (x - signal * x0) / sigma, None)

    return denoise


@pytest.mark.parametrize("sampler", ["ddim", "dpm++", "heun"])
@pytest.mark.parametrize("name", NOISE_SCHEDULES)
def test_every_ode_solver_is_exact_where_data_are_a_single_point(sampler, name):
    schedule = NoiseSchedule.named(name, 1000)
    noise = normal((8, 3))
    (a, s), (a_end, s_end) = schedule.levels(999), schedule.levels(120)
    grid = [(999, 700), (700, 690), (690, 120)]
    denoise = single_point(schedule, 0.4)
    found = run_sampler(sampler, denoise, a * 0.4 + s * noise, grid, schedule, noise=source(noise), clip=None)
    torch.testing.assert_close(found, a_end * 0.4 + s_end * noise, rtol=1e-9, atol=1e-9)


def test_the_first_step_of_dpm_solver_is_ddims_or_ddpms(mixture):
    schedule = NoiseSchedule.named("cosine", 1000)
    x, denoise, step = normal((8, 2)), mixture.denoiser(schedule), [(800, 500)]
    ode = sample_dpm_solver(denoise, x, step, schedule, clip=None)
    torch.testing.assert_close(ode, sample_ddim(denoise, x, step, schedule, clip=None))
    sde = sample_dpm_solver(denoise, x, step, schedule, stochastic=True, noise=source(x), clip=None)
    torch.testing.assert_close(sde, sample_ddpm(denoise, x, step, schedule, noise=source(x), clip=None))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(("name", "n_timesteps"), [("cosine", 1000), ("linear", 1000), ("cosine", 2)])
def test_every_sampler_is_stable_from_one_step_to_two(mixture, sampler, spacing, dtype, name, n_timesteps):
    schedule = NoiseSchedule.named(name, n_timesteps)
    x = normal((4, 2)).to(dtype)
    for n_steps in (1, 2):
        grid = timestep_grid(n_timesteps, n_steps, spacing, schedule=schedule)
        ends = run_sampler(sampler, mixture.denoiser(schedule), x, grid, schedule, noise=source(x))
        assert ends.shape == x.shape and torch.isfinite(ends).all() and ends.abs().max() <= 1.0
        if n_steps == 1:
            # One step draws the best guess of clean data, which from noise alone is their mean.
            expected = mixture.expected_clean(x.double(), *schedule.levels(grid[0][0]))
            torch.testing.assert_close(ends.double(), expected, rtol=1e-3, atol=1e-3)


def test_heun_runs_the_network_twice_a_step_but_the_last_and_others_once(mixture):
    schedule = NoiseSchedule.named("cosine", 100)
    x, grid = normal((2, 2)), timestep_grid(100, 7)
    exact = mixture.denoiser(schedule)
    for sampler in SAMPLERS:
        asked, seen = [], []
        run_sampler(
            sampler,
            lambda x, t, asked=asked: asked.append(int(t[0])) or exact(x, t),
            x,
            grid,
            schedule,
            noise=source(x),
            observe=lambda i, x0, seen=seen: seen.append(i),
        )
        assert len(asked) == (13 if sampler == "heun" else 7)
        assert seen == list(range(7))
        assert set(asked) == {t for t, _ in grid}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_last_estimate_that_is_observed_is_the_sample_and_all_are_clipped(sampler):
    schedule = NoiseSchedule.named("cosine", 100)
    x, seen = normal((4, 2)), []
    ends = run_sampler(
        sampler,
        lambda x, t: Denoised(3.0 * x, x, None),
        x,
        timestep_grid(100, 5),
        schedule,
        noise=source(x),
        clip=0.7,
        observe=lambda i, x0: seen.append(x0),
    )
    assert all(x0.abs().max() <= 0.7 for x0 in seen)
    torch.testing.assert_close(seen[-1], ends)


def test_names_say_who_draws_noise(mixture):
    schedule = NoiseSchedule.named("cosine", 100)
    x = normal((2, 2))
    for sampler, eta in [*((name, 0.0) for name in SAMPLERS), ("ddim", 0.5)]:
        drawn = []
        run_sampler(
            sampler,
            mixture.denoiser(schedule),
            x,
            timestep_grid(100, 3),
            schedule,
            eta=eta,
            noise=lambda drawn=drawn: drawn.append(1) or torch.zeros_like(x),
        )
        assert len(drawn) == (2 if draws_noise(sampler, eta) else 0)


def test_what_cannot_be_run_is_refused(mixture):
    schedule, x = NoiseSchedule.named("cosine", 100), normal((2, 2))
    grid, denoise = timestep_grid(100, 3), mixture.denoiser(schedule)
    with pytest.raises(ValueError, match="needs `noise` when stochastic is True"):
        sample_dpm_solver(denoise, x, grid, schedule, stochastic=True)
    with pytest.raises(ValueError, match=r"sampler must be one of .* got 'euler'"):
        run_sampler("euler", denoise, x, grid, schedule, noise=source(x))
