"""Schedulers of diffusers against our samplers with the same grid."""

import pytest
import torch

from dmzrep._base._random import ImageNoise
from dmzrep.diffusion._grids import timestep_grid
from dmzrep.diffusion._objective import Denoised
from dmzrep.diffusion._samplers import sample_ddim, sample_ddpm
from dmzrep.diffusion._schedule import NOISE_SCHEDULES, NoiseSchedule
from dmzrep.diffusion._scheduler_adapter import PREDICTION_TYPES, SchedulerSampler, is_scheduler
from dmzrep.diffusion._solvers import sample_dpm_solver

diffusers = pytest.importorskip("diffusers", reason="needs diffusers (pip install diffusers)")

SHAPE = (2, 4, 5)


def made(name, schedule, **options):
    return getattr(diffusers, name)(
        num_train_timesteps=schedule.n_timesteps,
        trained_betas=schedule.betas.tolist(),
        **{"prediction_type": "sample", "timestep_spacing": "trailing", **options},
    )


def denoiser(schedule, seen=None):
    def denoise(x, t):
        signal, sigma = schedule.levels(int(t[0]))
        if seen is not None:
            seen.append((int(t[0]), x.std().item()))
        x0 = torch.sin(signal * x + 0.3 * x.roll(1, dims=-1))
        return Denoised(x0, (x - signal * x0) / sigma, None)

    return denoise


def noise(n=4):
    return ImageNoise(range(n), SHAPE, torch.device("cpu"))


def run(scheduler, schedule, n_steps, **options):
    drawn = noise()
    sampler = SchedulerSampler(scheduler, schedule, n_steps, clip=1.0, **options)
    return sampler.run(denoiser(schedule), drawn.draw(), generators=drawn.generators)


def ours(function, schedule, n_steps, **options):
    drawn = noise()
    x = drawn.draw()
    if options.pop("noisy", False):
        options["noise"] = drawn.draw
    return function(denoiser(schedule), x, timestep_grid(schedule.n_timesteps, n_steps), schedule, **options)


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("name", NOISE_SCHEDULES)
@pytest.mark.parametrize("n_steps", [1, 10])
def test_ddim_and_dpm_solver_are_ours(name, prediction_type, n_steps):
    schedule = NoiseSchedule.named(name, 1000)
    scheduler = made("DDIMScheduler", schedule, prediction_type=prediction_type)
    expected = ours(sample_ddim, schedule, n_steps)
    # At the first timestep of the cosine schedule noise estimates in float32 leave little of clean data.
    slack = 1e-2 if prediction_type == "epsilon" else 1e-3
    torch.testing.assert_close(run(scheduler, schedule, n_steps), expected, rtol=slack, atol=slack)
    scheduler = made("DPMSolverMultistepScheduler", schedule, prediction_type=prediction_type)
    # Their solver's coefficients and noise levels are float32.
    expected = ours(sample_dpm_solver, schedule, n_steps)
    torch.testing.assert_close(run(scheduler, schedule, n_steps), expected, rtol=3 * slack, atol=3 * slack)


@pytest.mark.parametrize(
    ("name", "function", "options", "our_options"),
    [
        ("DDPMScheduler", sample_ddpm, {}, {}),
        ("DDIMScheduler", sample_ddim, {}, {"eta": 0.7}),
        (
            "DPMSolverMultistepScheduler",
            sample_dpm_solver,
            {"algorithm_type": "sde-dpmsolver++"},
            {"stochastic": True},
        ),
    ],
)
def test_noise_comes_from_the_same_generator_of_each_row(name, function, options, our_options):
    schedule = NoiseSchedule.named("cosine", 1000)
    before = torch.get_rng_state()
    eta = {"eta": 0.7} if name == "DDIMScheduler" else {}
    found = run(made(name, schedule, **options), schedule, 8, **eta)
    assert torch.equal(before, torch.get_rng_state())
    expected = ours(function, schedule, 8, noisy=True, **our_options)
    torch.testing.assert_close(found, expected, rtol=3e-3, atol=3e-3)


def test_ddpms_scheduler_gets_a_learned_variance():
    schedule = NoiseSchedule.named("cosine", 50)
    plain = denoiser(schedule)
    fraction = torch.linspace(0, 1, 40).view(1, *SHAPE).expand(4, *SHAPE)

    def denoise(x, t):
        return plain(x, t)._replace(variance_fraction=fraction)

    sampler = SchedulerSampler(
        made("DDPMScheduler", schedule, variance_type="learned_range"), schedule, 50, clip=1.0
    )
    drawn, again = noise(), noise()
    found = sampler.run(denoise, drawn.draw(), generators=drawn.generators)
    # Over every timestep, since their upper bound is the beta of a single one whatever the stride.
    expected = sample_ddpm(denoise, again.draw(), timestep_grid(50, 50), schedule, noise=again.draw)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="the model has no learned variance"):
        sampler.run(plain, again.draw(), generators=again.generators)


@pytest.mark.parametrize(
    ("name", "function", "slack"),
    [
        ("EulerDiscreteScheduler", sample_ddim, 1e-3),
        ("HeunDiscreteScheduler", sample_dpm_solver, 0.02),
        ("UniPCMultistepScheduler", sample_dpm_solver, 0.02),
    ],
)
def test_other_schedulers_see_unit_variance_and_end_where_ours_of_their_order_do(name, function, slack):
    schedule = NoiseSchedule.named("linear", 1000)
    seen, drawn, observed = [], noise(), []
    sampler = SchedulerSampler(made(name, schedule), schedule, 100, clip=1.0)
    found = sampler.run(
        denoiser(schedule, seen),
        drawn.draw(),
        generators=drawn.generators,
        observe=lambda i, x0: observed.append(i),
    )
    assert observed == list(range(sampler.n_steps)) and len(seen) == sampler.n_steps
    assert sampler.n_steps == (199 if name.startswith("Heun") else 100)
    assert all(0.5 < spread < 1.3 for _, spread in seen)
    assert (found - ours(function, schedule, 100)).abs().max() < slack


def test_the_users_scheduler_is_left_as_it_was_and_runs_do_not_follow_each_other():
    schedule = NoiseSchedule.named("cosine", 100)
    scheduler = made("DPMSolverMultistepScheduler", schedule)
    before = scheduler.timesteps.clone(), scheduler.alphas_cumprod.clone()
    first = run(scheduler, schedule, 7)
    assert torch.equal(run(scheduler, schedule, 7), first)
    assert torch.equal(scheduler.timesteps, before[0]) and torch.equal(scheduler.alphas_cumprod, before[1])
    assert is_scheduler(scheduler) and not is_scheduler("ddim") and not is_scheduler(None)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "DDIMScheduler",
            {"trained_betas": None},
            r"other noise than the model's: at timestep \d+.*trained_betas=",
        ),
        (
            "DDIMScheduler",
            {"num_train_timesteps": 50, "trained_betas": None},
            "50 training timesteps, the model 100",
        ),
        ("DDIMScheduler", {"prediction_type": "flow"}, "prediction_type='flow'; one of .*Make it with"),
    ],
)
def test_schedulers_that_do_not_suit_the_model_are_refused(name, options, message):
    schedule = NoiseSchedule.named("cosine", 100)
    settings = {"num_train_timesteps": 100, "trained_betas": schedule.betas.tolist()} | options
    with pytest.raises(ValueError, match=message):
        SchedulerSampler(getattr(diffusers, name)(**settings), schedule, 5, clip=1.0)


def test_other_misfits_are_refused():
    schedule = NoiseSchedule.named("cosine", 100)
    with pytest.raises(ValueError, match="has no alphas_cumprod"):
        SchedulerSampler(diffusers.FlowMatchEulerDiscreteScheduler(100), schedule, 5, clip=1.0)
    with pytest.raises(ValueError, match="clips clean data to 1, but these data reach 4"):
        SchedulerSampler(made("DDIMScheduler", schedule), schedule, 5, clip=4.0)
    with pytest.raises(ValueError, match=r"eta=0.5 is not for UniPCMultistepScheduler"):
        SchedulerSampler(made("UniPCMultistepScheduler", schedule), schedule, 5, clip=1.0, eta=0.5)


def test_a_scheduler_that_draws_from_the_global_generator_is_stopped():
    schedule = NoiseSchedule.named("cosine", 100)

    class Careless(diffusers.DDIMScheduler):
        def step(self, model_output, timestep, sample, return_dict=True):
            return super().step(model_output + 0 * torch.randn(1), timestep, sample, return_dict=return_dict)

    scheduler = Careless(100, trained_betas=schedule.betas.tolist(), prediction_type="sample")
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match="Careless draws noise from torch's global generator"):
        run(scheduler, schedule, 3)
    assert torch.equal(before, torch.get_rng_state())
