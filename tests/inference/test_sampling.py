"""Sampling options: samplers, grids, guidance, schedulers, callbacks and trajectories."""

import copy
import re

import numpy as np
import pytest
import torch

from dmzrep._base._batching import DENOISER_BATCH
from dmzrep._base._random import image_seeds
from dmzrep.diffusion._sampling import SAMPLERS
from dmzrep.inference import Sampling
from tests.encoders import make_encoder

TINY = {"width": (8, 16), "encoder_width": 8, "max_iter": 1, "n_timesteps": 50, "random_state": 0}


def perturbed(encoder):
    """Perturb the denoiser's weights, so that layers initialised at zero have an effect."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in encoder.model_.denoiser.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    return encoder


@pytest.fixture(scope="module")
def small(digits):
    return perturbed(make_encoder(8, **TINY, prior="uniform").fit(digits[:64]))


@pytest.fixture(scope="module")
def dropped(small):
    """A model that accepts guidance, as one trained with code dropout."""
    encoder = copy.deepcopy(small)
    encoder.code_dropout_ = 0.1
    return encoder


@pytest.fixture(scope="module")
def bits():
    return np.random.default_rng(0).integers(0, 2, (5, 8))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samples_depend_on_their_seed_and_position_only(small, sampler):
    many = small.sample(DENOISER_BATCH + 4, sampler=sampler, n_steps=3, random_state=3)
    assert many.shape == (DENOISER_BATCH + 4, 8, 8) and many.dtype == np.uint8
    few = small.sample(3, sampler=sampler, n_steps=3, random_state=3)
    assert np.abs(few.astype(int) - many[:3]).max() <= 1
    assert not np.array_equal(small.sample(3, sampler=sampler, n_steps=3, random_state=4), many[:3])


def test_samplers_and_spacings_are_passed_on(small, bits):
    seeds = image_seeds(0, 5)
    options = {"sampler": "dpm++", "spacing": "log_snr", "n_steps": 6}
    expected = small.decoder_.decode(bits, seeds, Sampling(**options))
    assert np.array_equal(small.inverse_transform(bits, **options, random_state=0), expected)
    default = small.inverse_transform(bits, n_steps=6, random_state=0)
    explicit = Sampling(sampler="ddim", spacing="trailing", n_steps=6)
    assert np.array_equal(default, small.decoder_.decode(bits, seeds, explicit))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "dpm"}, r"sampler must be one of .* scheduler of diffusers, got 'dpm'. Did you mean"),
        ({"spacing": "karras"}, "spacing must be one of"),
        ({"eta": 0.5, "sampler": "dpm++"}, r"eta=0.5 is an option of DDIM; pass sampler='ddim'"),
        ({"guidance": 2.0}, "needs a model that was trained with code dropout"),
    ],
    ids=str,
)
def test_invalid_options_are_rejected(small, bits, options, message):
    with pytest.raises(ValueError, match=message):
        small.inverse_transform(bits, **options)


def test_guidance_extrapolates_estimates(dropped, bits):
    model = dropped.decoder_
    x = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    t, z = torch.full((5,), 30), torch.from_numpy(bits).float()
    with torch.inference_mode():
        guided = Sampling(guidance=2.5)._plan(model).denoiser(model, z)(x, t)
        known = model.objective.denoise(model.network, x, t, z)
        unknown = model.objective.denoise(model.network, x, t, torch.full((5, 8), 0.5))
        for found, conditional, unconditional in zip(guided[:2], known[:2], unknown[:2], strict=True):
            torch.testing.assert_close(found, -1.5 * unconditional + 2.5 * conditional)
        # The guided estimates still combine to x.
        signal, sigma = model.objective.schedule.levels(30)
        torch.testing.assert_close(signal * guided.x0 + sigma * guided.epsilon, x, rtol=1e-4, atol=1e-4)


def test_guidance_of_zero_and_one(dropped, bits):
    options = {"n_steps": 4, "random_state": 0}
    plain = dropped.inverse_transform(bits, **options)
    assert np.array_equal(dropped.inverse_transform(bits, guidance=1, **options), plain)
    without = dropped.inverse_transform(np.full((5, 8), 0.5), **options)
    assert np.array_equal(dropped.inverse_transform(bits, guidance=0.0, **options), without)
    assert not np.array_equal(dropped.inverse_transform(bits, guidance=4.0, **options), plain)


def test_guided_sampling_is_batch_invariant(dropped, digits):
    many = dropped.sample(DENOISER_BATCH + 3, guidance=3.0, n_steps=2, random_state=1)
    few = dropped.sample(2, guidance=3.0, n_steps=2, random_state=1)
    assert np.abs(few.astype(int) - many[:2]).max() <= 1
    X = digits[: DENOISER_BATCH + 2]
    whole = dropped.reconstruct(X, noise="inverted", guidance=1.5, n_steps=3, random_state=0)
    few = dropped.reconstruct(X[:2], noise="inverted", guidance=1.5, n_steps=3, random_state=0)
    assert np.abs(few.astype(int) - whole[:2]).max() <= 1


def test_ode_samplers_match_the_input_perturbation_by_default(digits):
    encoder = perturbed(make_encoder(8, **TINY, input_perturbation=0.4, prior="uniform").fit(digits[:64]))

    def drawn(**options):
        return encoder.sample(4, n_steps=5, random_state=0, **options)

    for sampler in ("ddim", "dpm++", "heun"):
        assert np.array_equal(drawn(sampler=sampler), drawn(sampler=sampler, match_perturbation=True))
        message = f"trained with input perturbation.*'{re.escape(sampler)}'.*eta=0.5"
        with pytest.warns(UserWarning, match=message):
            unmatched = drawn(sampler=sampler, match_perturbation=False)
        assert not np.array_equal(drawn(sampler=sampler), unmatched)
    for options in ({"sampler": "ddpm"}, {"sampler": "dpm++_sde"}, {"sampler": "ddim", "eta": 0.5}):
        assert np.array_equal(drawn(**options), drawn(**options, match_perturbation=False))
        assert not np.array_equal(drawn(**options), drawn(**options, match_perturbation=True))
    assert np.array_equal(drawn(), drawn(sampler="ddim"))
    assert np.array_equal(drawn(match_perturbation=False), drawn(sampler="ddpm"))


def test_diffusers_scheduler_replaces_the_sampler(small, bits):
    diffusers = pytest.importorskip("diffusers", reason="needs diffusers (pip install diffusers)")
    betas = small.objective_.schedule.betas.tolist()
    settings = {"trained_betas": betas, "prediction_type": "sample", "timestep_spacing": "trailing"}
    scheduler = diffusers.DDIMScheduler(50, **settings)
    expected = small.inverse_transform(bits, n_steps=5, random_state=0)
    found = small.inverse_transform(bits, n_steps=5, sampler=scheduler, random_state=0)
    # Rounding may differ by a grey level.
    assert np.abs(expected.astype(int) - found).max() <= 1
    noisy = diffusers.DDPMScheduler(50, **settings)
    many = small.sample(DENOISER_BATCH + 2, sampler=noisy, n_steps=3, random_state=5)
    few = small.sample(2, sampler=noisy, n_steps=3, random_state=5)
    assert np.abs(few.astype(int) - many[:2]).max() <= 1
    # It evaluates the denoiser more often than once per step.
    steps, settings["timestep_spacing"] = [], "leading"
    pndm = diffusers.PNDMScheduler(50, **settings | {"prediction_type": "epsilon"})

    def callback(step, n_steps, samples):
        steps.append((step, n_steps))

    path = small.sample(2, sampler=pndm, n_steps=5, callback=callback, return_trajectory=True, random_state=0)
    assert steps == [(i + 1, len(steps)) for i in range(len(steps))] and len(path) == len(steps) > 5
    like = {"like": np.zeros((5, 8, 8), np.uint8)}
    for options, message in (
        ({"spacing": "uniform"}, "spacing='uniform' is not for DDIMScheduler, which has its own"),
        (like | {"strength": 0.5}, "DDIMScheduler begins from noise only"),
        (like | {"noise": "inverted"}, "DDIMScheduler begins from noise only"),
    ):
        with pytest.raises(ValueError, match=message):
            small.inverse_transform(bits, sampler=scheduler, **options)
    with pytest.raises(ValueError, match=r"trained_betas=encoder.objective_.schedule.betas"):
        small.sample(1, sampler=diffusers.DDIMScheduler(50))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_trajectory_ends_with_the_samples_and_equals_callbacks(small, sampler):
    n = DENOISER_BATCH + 3
    options = {"sampler": sampler, "n_steps": 4, "random_state": 2}
    calls = []
    trajectory = small.sample(n, return_trajectory=True, callback=lambda *args: calls.append(args), **options)
    samples = small.sample(n, **options)
    assert trajectory.shape == (4, n, 8, 8) and trajectory.dtype == samples.dtype
    assert np.array_equal(trajectory[-1], samples)
    assert [(step, n_steps) for step, n_steps, _ in calls] == 2 * [(s, 4) for s in (1, 2, 3, 4)]
    for i, (step, _, images) in enumerate(calls):
        part = slice(0, DENOISER_BATCH) if i < 4 else slice(DENOISER_BATCH, n)
        assert np.array_equal(images, trajectory[step - 1, part])
    assert not np.array_equal(trajectory[0], trajectory[-1])


def test_progress_bar_is_optional(small, capsys):
    small.sample(2, n_steps=3, random_state=0)
    assert capsys.readouterr().err == ""
    small.sample(2, n_steps=3, random_state=0, progress=True)
    assert "3/3" in capsys.readouterr().err
