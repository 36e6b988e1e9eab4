import pytest
import torch

from dmzrep.diffusion._grids import timestep_grid
from dmzrep.diffusion._objective import OBJECTIVES, Objective
from dmzrep.diffusion._samplers import invert_ddim, sample_ddim, sample_ddpm
from dmzrep.diffusion._schedule import NOISE_SCHEDULES, NoiseSchedule

PREDICTION_TYPES = {"v": "v_prediction", "epsilon": "epsilon", "sample": "sample"}


def network(x, time, z):
    """A smooth nonlinear prediction that depends on position and time."""
    mixed = torch.sin(1.5 * x + x.roll(1, dims=-1)) + 0.3 * torch.cos(x.flip(-2))
    return mixed * (1.0 + time.to(x.dtype) / 1000).view(-1, 1, 1, 1) / 2


def dummy_denoiser(schedule, kind):
    objective = Objective(schedule, kind)
    return lambda x, t: objective.denoise(network, x, t, None)


def oracle(name, schedule, kind, n_steps, **options):
    diffusers = pytest.importorskip("diffusers")
    scheduler = getattr(diffusers, name)(
        schedule.n_timesteps,
        trained_betas=schedule.betas.tolist(),
        prediction_type=PREDICTION_TYPES[kind],
        timestep_spacing="trailing",
        clip_sample=False,
        **options,
    )
    # The float32 products of diffusers would dominate any difference.
    scheduler.betas = torch.from_numpy(schedule.betas)
    scheduler.alphas = 1.0 - scheduler.betas
    scheduler.alphas_cumprod = torch.from_numpy(schedule.alpha_bar)
    if hasattr(scheduler, "final_alpha_cumprod"):
        scheduler.final_alpha_cumprod = torch.ones((), dtype=torch.float64)
    scheduler.one = torch.ones((), dtype=torch.float64)
    scheduler.set_timesteps(n_steps)
    return scheduler


def run_oracle(scheduler, schedule, x, step_options):
    for t in scheduler.timesteps:
        time = schedule.network_time(t.expand(len(x)))
        x = scheduler.step(network(x, time, None), t, x, **step_options()).prev_sample
    return x


def unit_noise():
    return torch.randn(2, 2, 4, 5, dtype=torch.float64)


def noise_source(seed, like):
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(like.shape, generator=generator, dtype=like.dtype)


@pytest.mark.parametrize("n_steps", [10, 50])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("kind", OBJECTIVES)
@pytest.mark.parametrize("name", NOISE_SCHEDULES)
def test_ddim_equals_that_of_diffusers_with_the_same_noise(name, kind, eta, n_steps):
    schedule = NoiseSchedule.named(name, 1000)
    x = unit_noise()
    draw = noise_source(7, x)
    scheduler = oracle("DDIMScheduler", schedule, kind, n_steps, set_alpha_to_one=True)
    options = (lambda: {"eta": eta, "variance_noise": draw()}) if eta else dict
    expected = run_oracle(scheduler, schedule, x, options)
    grid, noise = timestep_grid(1000, n_steps), noise_source(7, x)
    found = sample_ddim(dummy_denoiser(schedule, kind), x, grid, schedule, eta=eta, noise=noise, clip=None)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n_steps", [10, 50])
@pytest.mark.parametrize("kind", OBJECTIVES)
@pytest.mark.parametrize("name", NOISE_SCHEDULES)
def test_ddpm_equals_that_of_diffusers_with_the_same_noise(name, kind, n_steps):
    schedule = NoiseSchedule.named(name, 1000)
    x = unit_noise()
    generator = torch.Generator().manual_seed(5)
    scheduler = oracle("DDPMScheduler", schedule, kind, n_steps, variance_type="fixed_small")
    expected = run_oracle(scheduler, schedule, x, lambda: {"generator": generator})
    grid, noise = timestep_grid(1000, n_steps), noise_source(5, x)
    found = sample_ddpm(dummy_denoiser(schedule, kind), x, grid, schedule, noise=noise, clip=None)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sampler", [sample_ddpm, sample_ddim])
def test_clipping_equals_a_denoiser_that_clips(sampler):
    schedule = NoiseSchedule.named("cosine", 100)
    objective = Objective(schedule, "sample")
    x, grid = unit_noise(), timestep_grid(100, 10)

    def run(scale, clip):
        def denoise(x, t):
            return objective.denoise(lambda x, time, z: scale * torch.sign(x), x, t, None)

        return sampler(denoise, x, grid, schedule, clip=clip, noise=noise_source(0, x))

    assert run(3.0, 1.0).abs().max() == 1.0
    torch.testing.assert_close(run(3.0, 1.0), run(1.0, None))
    assert run(3.0, None).abs().max() > 1.0


@pytest.mark.parametrize(("n_refinements", "tolerance"), [(2, 1e-3), (20, 1e-7)])
@pytest.mark.parametrize("strength", [0.1, 0.6, 1.0])
@pytest.mark.parametrize("name", NOISE_SCHEDULES)
def test_ddim_from_inverted_noise_reconstructs_the_data(name, strength, n_refinements, tolerance):
    schedule = NoiseSchedule.named(name, 1000)
    grid = timestep_grid(1000, 50, strength=strength)
    x0, denoise = unit_noise().clamp(-1, 1), dummy_denoiser(schedule, "v")
    noise = invert_ddim(denoise, x0, grid, schedule, n_refinements=n_refinements)
    samples = sample_ddim(denoise, noise, grid, schedule, clip=None)
    torch.testing.assert_close(samples, x0, rtol=0, atol=tolerance)
