import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep.diffusion._grids import timestep_grid
from dmzrep.diffusion._objective import OBJECTIVES, Denoised, Objective
from dmzrep.diffusion._samplers import invert_ddim, sample_ddim, sample_ddpm
from dmzrep.diffusion._schedule import NOISE_SCHEDULES, NoiseSchedule

quick = settings(deadline=None, max_examples=60)
PREDICTION_TYPES = {"v": "v_prediction", "epsilon": "epsilon", "sample": "sample"}


# -- against diffusers -----------------------------------------------------------------------------


def network(x, time, z):
    """A smooth nonlinear prediction that depends on place and time."""
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
    # Their float32 products of a thousand factors would be the larger part of any difference.
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


def start(seed=None):
    generator = torch.Generator().manual_seed(torch.seed() % 2**31 if seed is None else seed)
    return torch.randn(2, 2, 4, 5, generator=generator, dtype=torch.float64)


def noise_source(seed, like):
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(like.shape, generator=generator, dtype=like.dtype)


@pytest.mark.parametrize("n_steps", [10, 50])
@pytest.mark.parametrize("kind", OBJECTIVES)
@pytest.mark.parametrize("name", NOISE_SCHEDULES)
def test_deterministic_ddim_is_that_of_diffusers(name, kind, n_steps):
    schedule = NoiseSchedule.named(name, 1000)
    x = start()
    expected = run_oracle(
        oracle("DDIMScheduler", schedule, kind, n_steps, set_alpha_to_one=True), schedule, x, dict
    )
    found = sample_ddim(dummy_denoiser(schedule, kind), x, timestep_grid(1000, n_steps), schedule, clip=None)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("eta", [0.5, 1.0])
@pytest.mark.parametrize("kind", OBJECTIVES)
def test_ddim_with_noise_is_that_of_diffusers_with_the_same_noise(kind, eta):
    schedule = NoiseSchedule.named("cosine", 1000)
    x = start()
    draw = noise_source(7, x)
    expected = run_oracle(
        oracle("DDIMScheduler", schedule, kind, 10, set_alpha_to_one=True),
        schedule,
        x,
        lambda: {"eta": eta, "variance_noise": draw()},
    )
    found = sample_ddim(
        dummy_denoiser(schedule, kind),
        x,
        timestep_grid(1000, 10),
        schedule,
        eta=eta,
        noise=noise_source(7, x),
        clip=None,
    )
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n_steps", [10, 50])
@pytest.mark.parametrize("kind", OBJECTIVES)
@pytest.mark.parametrize("name", NOISE_SCHEDULES)
def test_ddpm_is_that_of_diffusers_with_the_same_noise(name, kind, n_steps):
    schedule = NoiseSchedule.named(name, 1000)
    x = start()
    generator = torch.Generator().manual_seed(5)
    expected = run_oracle(
        oracle("DDPMScheduler", schedule, kind, n_steps, variance_type="fixed_small"),
        schedule,
        x,
        lambda: {"generator": generator},
    )
    found = sample_ddpm(
        dummy_denoiser(schedule, kind),
        x,
        timestep_grid(1000, n_steps),
        schedule,
        noise=noise_source(5, x),
        clip=None,
    )
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_ddim_with_all_of_the_noise_is_ddpm():
    schedule = NoiseSchedule.named("cosine", 100)
    x, grid, denoise = start(), timestep_grid(100, 13), dummy_denoiser(schedule, "v")
    ddim = sample_ddim(denoise, x, grid, schedule, eta=1.0, noise=noise_source(1, x), clip=None)
    ddpm = sample_ddpm(denoise, x, grid, schedule, noise=noise_source(1, x), clip=None)
    torch.testing.assert_close(ddim, ddpm)


def test_ddim_asks_for_the_noise_that_it_needs():
    schedule = NoiseSchedule.named("cosine", 100)
    with pytest.raises(ValueError, match="needs `noise` when eta is above 0"):
        sample_ddim(dummy_denoiser(schedule, "v"), start(), timestep_grid(100, 3), schedule, eta=0.1)


def test_the_last_step_draws_no_noise():
    schedule = NoiseSchedule.named("cosine", 100)
    x, drawn = start(), []
    for sampler, options in ((sample_ddpm, {}), (sample_ddim, {"eta": 1.0})):
        drawn.clear()
        sampler(
            dummy_denoiser(schedule, "v"),
            x,
            timestep_grid(100, 4),
            schedule,
            noise=lambda: drawn.append(1) or torch.zeros_like(x),
            **options,
        )
        assert len(drawn) == 3


@pytest.mark.parametrize("sampler", [sample_ddpm, sample_ddim])
def test_clipped_estimates_end_in_the_range_of_images_and_agree_with_their_noise(sampler):
    schedule = NoiseSchedule.named("cosine", 100)
    objective = Objective(schedule, "sample")
    x = start()

    def denoise(x, t):
        return objective.denoise(lambda x, time, z: 3.0 * torch.sign(x), x, t, None)

    options = {"noise": noise_source(0, x)}
    clipped = sampler(denoise, x, timestep_grid(100, 10), schedule, **options)
    assert clipped.abs().max() == 1.0
    reference = sampler(
        lambda x, t: objective.denoise(lambda x, time, z: torch.sign(x), x, t, None),
        x,
        timestep_grid(100, 10),
        schedule,
        clip=None,
        noise=noise_source(0, x),
    )
    torch.testing.assert_close(clipped, reference)
    free = sampler(denoise, x, timestep_grid(100, 10), schedule, clip=None, noise=noise_source(0, x))
    assert free.abs().max() > 1.0


def test_a_learned_variance_sets_the_noise_of_a_step():
    schedule = NoiseSchedule.named("cosine", 100)
    x = torch.zeros(1, 1, 1, 3, dtype=torch.float64)
    fractions = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64).view(1, 1, 1, 3)

    def denoise(x, t):
        return Denoised(torch.zeros_like(x), torch.zeros_like(x), fractions)

    out = sample_ddpm(denoise, x, [(60, 30)], schedule, noise=lambda: torch.ones_like(x), clip=None)
    _, _, variance, beta = schedule.posterior(torch.tensor(60), torch.tensor(30))
    expected = torch.stack([variance, (variance * beta).sqrt(), beta]).sqrt()
    torch.testing.assert_close(out.flatten(), expected)


def test_rows_are_sampled_independently():
    schedule = NoiseSchedule.named("cosine", 100)
    x = start()
    whole = sample_ddim(dummy_denoiser(schedule, "v"), x, timestep_grid(100, 7), schedule)
    alone = sample_ddim(dummy_denoiser(schedule, "v"), x[1:], timestep_grid(100, 7), schedule)
    torch.testing.assert_close(whole[1:], alone)


# -- against exact answers -------------------------------------------------------------------------


def gaussian_denoiser(schedule, mean, spread):
    """The best denoiser of data from N(mean, spread^2)."""

    def denoise(x, t):
        a, s = schedule.signal_and_noise(t, x)
        x0 = mean + a * spread**2 / (a**2 * spread**2 + s**2) * (x - a * mean)
        return Denoised(x0, (x - a * x0) / s, None)

    return denoise


@settings(deadline=None, max_examples=6)
@given(name=st.sampled_from(NOISE_SCHEDULES), mean=st.floats(-2, 2), spread=st.floats(0.3, 2))
def test_ddim_in_many_steps_maps_noise_to_the_data_distribution(name, mean, spread):
    schedule = NoiseSchedule.named(name, 500)
    # The map is affine, so that two points tell the mean and the spread of all samples.
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    denoise = gaussian_denoiser(schedule, mean, spread)
    ends = sample_ddim(denoise, x, timestep_grid(500, 500), schedule, clip=None)
    assert ends[0].item() == pytest.approx(mean, abs=0.05)
    assert (ends[1] - ends[0]).item() == pytest.approx(spread, rel=0.04)


@pytest.mark.parametrize("name", NOISE_SCHEDULES)
def test_ddpm_in_many_steps_draws_from_the_data_distribution(name):
    schedule = NoiseSchedule.named(name, 200)
    x = torch.randn(10_000, 1, dtype=torch.float64)
    ends = sample_ddpm(
        gaussian_denoiser(schedule, 0.5, 0.7),
        x,
        timestep_grid(200, 200),
        schedule,
        noise=lambda: torch.randn_like(x),
        clip=None,
    )
    # Six standard errors, and the error of 200 steps.
    assert ends.mean().item() == pytest.approx(0.5, abs=6 * 0.7 / 10_000**0.5 + 0.01)
    assert ends.std().item() == pytest.approx(0.7, rel=6 / 20_000**0.5 + 0.02)


@pytest.mark.parametrize("n_steps", [50, 100])
@pytest.mark.parametrize("name", NOISE_SCHEDULES)
def test_ddim_from_inverted_noise_gives_the_data_back(name, n_steps):
    schedule = NoiseSchedule.named(name, 1000)
    x0, grid, denoise = start().clamp(-1, 1), timestep_grid(1000, n_steps), dummy_denoiser(schedule, "v")
    noise = invert_ddim(denoise, x0, grid, schedule)
    back = sample_ddim(denoise, noise, grid, schedule, clip=None)
    torch.testing.assert_close(back, x0, rtol=0, atol=1e-3)


@pytest.mark.parametrize("share", [0.1, 0.6, 1.0])
@pytest.mark.parametrize("name", NOISE_SCHEDULES)
def test_inversion_becomes_exact_with_more_refinements(name, share):
    schedule = NoiseSchedule.named(name, 1000)
    grid = timestep_grid(1000, 50, strength=share)
    x0, denoise = start().clamp(-1, 1), dummy_denoiser(schedule, "v")
    noise = invert_ddim(denoise, x0, grid, schedule, n_refinements=20)
    back = sample_ddim(denoise, noise, grid, schedule, clip=None)
    torch.testing.assert_close(back, x0, rtol=0, atol=1e-7)


def test_inversion_finds_the_very_noise_that_the_data_came_from():
    schedule = NoiseSchedule.named("cosine", 1000)
    grid, denoise = timestep_grid(1000, 200), gaussian_denoiser(schedule, 0.3, 0.6)
    noise = torch.randn(500, 1, dtype=torch.float64)
    data = sample_ddim(denoise, noise, grid, schedule, clip=None)
    torch.testing.assert_close(invert_ddim(denoise, data, grid, schedule), noise, rtol=0, atol=1e-2)
