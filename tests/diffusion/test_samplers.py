import pytest
import torch

from dmzrep.diffusion._grids import timestep_grid
from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._samplers import invert_ddim, sample_ddim, sample_ddpm
from dmzrep.diffusion._schedule import NOISE_SCHEDULES, NoiseSchedule


def network(x, time, z):
    """Return a smooth nonlinear prediction that depends on position and time."""
    mixed = torch.sin(1.5 * x + x.roll(1, dims=-1)) + 0.3 * torch.cos(x.flip(-2))
    return mixed * (1.0 + time.to(x.dtype) / 1000).view(-1, 1, 1, 1) / 2


def dummy_denoiser(schedule, kind):
    objective = Objective(schedule, kind)
    return lambda x, t: objective.denoise(network, x, t, None)


def unit_noise():
    return torch.randn(2, 2, 4, 5, dtype=torch.float64)


def noise_source(seed, like):
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(like.shape, generator=generator, dtype=like.dtype)


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
