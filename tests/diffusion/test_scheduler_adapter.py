"""Schedulers of diffusers against the built-in samplers with the same grid."""

from functools import partial

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
EPSILON, SDE = {"prediction_type": "epsilon"}, {"algorithm_type": "sde-dpmsolver++"}


def make(name, schedule, **options):
    settings = {
        "num_train_timesteps": schedule.n_timesteps,
        "trained_betas": schedule.betas.tolist(),
        "prediction_type": "sample",
        "timestep_spacing": "trailing",
    }
    return getattr(diffusers, name)(**settings | options)


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


def built_in(function, schedule, n_steps, **options):
    drawn = noise()
    x = drawn.draw()
    if options.pop("noisy", False):
        options["noise"] = drawn.draw
    return function(denoiser(schedule), x, timestep_grid(schedule.n_timesteps, n_steps), schedule, **options)


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
@pytest.mark.parametrize("noise_schedule", NOISE_SCHEDULES)
@pytest.mark.parametrize("n_steps", [1, 10])
@pytest.mark.parametrize(
    ("name", "function", "slack"),
    # The solver's coefficients and noise levels in diffusers are float32.
    [("DDIMScheduler", sample_ddim, 1e-3), ("DPMSolverMultistepScheduler", sample_dpm_solver, 3e-3)],
)
def test_schedulers_equal_built_in_samplers(name, function, slack, noise_schedule, prediction_type, n_steps):
    schedule = NoiseSchedule.named(noise_schedule, 1000)
    found = run(make(name, schedule, prediction_type=prediction_type), schedule, n_steps)
    # At the first timestep of the cosine schedule, clean data lose precision in float32 noise estimates.
    slack *= 10 if prediction_type == "epsilon" else 1
    torch.testing.assert_close(found, built_in(function, schedule, n_steps), rtol=slack, atol=slack)


@pytest.mark.parametrize(
    ("name", "function", "options", "eta"),
    [
        ("DDPMScheduler", sample_ddpm, {}, {}),
        ("DDIMScheduler", sample_ddim, {}, {"eta": 0.7}),
        ("DPMSolverMultistepScheduler", partial(sample_dpm_solver, stochastic=True), SDE, {}),
    ],
)
def test_noise_comes_from_the_generator_of_each_sample(name, function, options, eta):
    schedule = NoiseSchedule.named("cosine", 1000)
    before = torch.get_rng_state()
    found = run(make(name, schedule, **options), schedule, 8, **eta)
    assert torch.equal(before, torch.get_rng_state())
    expected = built_in(function, schedule, 8, noisy=True, **eta)
    torch.testing.assert_close(found, expected, rtol=3e-3, atol=3e-3)


def test_ddpm_scheduler_uses_a_learned_variance():
    schedule = NoiseSchedule.named("cosine", 50)
    plain, drawn, again = denoiser(schedule), noise(), noise()
    fraction = torch.linspace(0, 1, 40).view(1, *SHAPE).expand(4, *SHAPE)

    def denoise(x, t):
        return plain(x, t)._replace(variance_fraction=fraction)

    scheduler = make("DDPMScheduler", schedule, variance_type="learned_range")
    sampler = SchedulerSampler(scheduler, schedule, 50, clip=1.0)
    found = sampler.run(denoise, drawn.draw(), generators=drawn.generators)
    # Over every timestep, since the upper bound in diffusers is the beta of a single one whatever the stride.
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
def test_other_schedulers_agree_with_the_built_in_sampler_of_their_order(name, function, slack):
    schedule = NoiseSchedule.named("linear", 1000)
    seen, drawn, observed = [], noise(), []
    sampler = SchedulerSampler(make(name, schedule), schedule, 100, clip=1.0)
    found = sampler.run(
        denoiser(schedule, seen),
        drawn.draw(),
        generators=drawn.generators,
        observe=lambda i, x0: observed.append(i),
    )
    assert observed == list(range(sampler.n_steps)) and len(seen) == sampler.n_steps
    assert sampler.n_steps == (199 if name.startswith("Heun") else 100)
    assert all(0.5 < spread < 1.3 for _, spread in seen)
    assert (found - built_in(function, schedule, 100)).abs().max() < slack


def test_runs_are_independent_and_leave_the_scheduler_unchanged():
    schedule = NoiseSchedule.named("cosine", 100)
    scheduler = make("DPMSolverMultistepScheduler", schedule)
    before = scheduler.timesteps.clone(), scheduler.alphas_cumprod.clone()
    first = run(scheduler, schedule, 7)
    assert torch.equal(run(scheduler, schedule, 7), first)
    assert torch.equal(scheduler.timesteps, before[0]) and torch.equal(scheduler.alphas_cumprod, before[1])
    assert is_scheduler(scheduler) and not is_scheduler("ddim") and not is_scheduler(None)


@pytest.mark.parametrize(
    ("name", "options", "clip", "eta", "message"),
    [
        (
            "DDIMScheduler",
            {"trained_betas": None},
            1,
            0,
            r"another noise schedule .* timestep \d+.*trained_betas=",
        ),
        ("DDIMScheduler", {"num_train_timesteps": 50, "trained_betas": None}, 1, 0, "50 training timesteps"),
        ("DDIMScheduler", {"prediction_type": "flow"}, 1, 0, "prediction_type='flow'; one of .*Make it with"),
        ("DDIMScheduler", {}, 4, 0, "clips clean data to 1, but these data reach 4"),
        ("UniPCMultistepScheduler", {}, 1, 0.5, "UniPCMultistepScheduler has no option eta, got eta=0.5"),
    ],
)
def test_unsuitable_settings_are_refused(name, options, clip, eta, message):
    schedule = NoiseSchedule.named("cosine", 100)
    with pytest.raises(ValueError, match=message):
        SchedulerSampler(make(name, schedule, **options), schedule, 5, clip=clip, eta=eta)


@pytest.mark.parametrize(
    ("name", "noise_schedule", "n_steps", "options"),
    [
        # From data to noise.
        ("DDIMInverseScheduler", "cosine", 10, {}),
        ("DDIMInverseScheduler", "linear", 2, {"prediction_type": "v_prediction"}),
        ("DPMSolverMultistepInverseScheduler", "linear", 20, {}),
        # Unstable in few steps.
        ("HeunDiscreteScheduler", "cosine", 10, EPSILON),
        ("HeunDiscreteScheduler", "linear", 3, {"timestep_spacing": "linspace"}),
        ("KDPM2DiscreteScheduler", "linear", 2, EPSILON | {"timestep_spacing": "linspace"}),
        ("PNDMScheduler", "cosine", 50, EPSILON),
        # A single step that begins at timestep 0.
        ("DDIMScheduler", "cosine", 1, {"timestep_spacing": "leading"}),
        # Errors raised by diffusers: timesteps, indices or shapes for this number of steps, prediction type.
        ("DEISMultistepScheduler", "cosine", 10, {"use_karras_sigmas": True}),
        ("PNDMScheduler", "cosine", 2, EPSILON),
        ("EulerAncestralDiscreteScheduler", "linear", 10, {"prediction_type": "sample"}),
        ("FlowMatchEulerDiscreteScheduler", "linear", 10, None),
    ],
)
@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
def test_schedulers_that_cannot_sample_are_refused_by_name(name, noise_schedule, n_steps, options):
    schedule = NoiseSchedule.named(noise_schedule, 1000)
    scheduler = getattr(diffusers, name)() if options is None else make(name, schedule, **options)
    with pytest.raises(ValueError, match=rf"^{name} .*Use for instance DDIMScheduler"):
        SchedulerSampler(scheduler, schedule, n_steps, clip=1.0)


@pytest.mark.parametrize("n_steps", [5, 50])
@pytest.mark.parametrize("noise_schedule", NOISE_SCHEDULES)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("DDIMScheduler", {"set_alpha_to_one": False}),
        ("DDPMScheduler", {"variance_type": "fixed_large"}),
        ("DPMSolverMultistepScheduler", SDE),
        ("TCDScheduler", {}),
        ("EulerAncestralDiscreteScheduler", EPSILON),
        ("LCMScheduler", {}),
        ("PNDMScheduler", EPSILON | {"timestep_spacing": "leading"}),
        ("UniPCMultistepScheduler", {"timestep_spacing": "linspace"}),
    ],
)
def test_schedulers_that_sample_are_accepted(name, options, noise_schedule, n_steps):
    schedule = NoiseSchedule.named(noise_schedule, 1000)
    samples = run(make(name, schedule, **options), schedule, n_steps)
    assert torch.isfinite(samples).all() and samples.std() < 1.0


def test_a_scheduler_that_draws_from_the_global_generator_is_refused():
    class Careless(diffusers.DDIMScheduler):
        def step(self, model_output, timestep, sample, return_dict=True):
            return super().step(model_output + 0 * torch.randn(1), timestep, sample, return_dict=return_dict)

    schedule, before = NoiseSchedule.named("cosine", 100), torch.get_rng_state()
    scheduler = Careless(100, trained_betas=schedule.betas.tolist(), prediction_type="sample")
    with pytest.raises(ValueError, match="Careless draws noise from torch's global generator"):
        SchedulerSampler(scheduler, schedule, 3, clip=1.0)
    assert torch.equal(before, torch.get_rng_state())
