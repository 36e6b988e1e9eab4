"""Sampling as users ask for it: names, grids, guidance, schedulers, and following its steps."""

import copy

import numpy as np
import pytest
import torch

from dmzrep._base._batching import DENOISER_BATCH
from dmzrep._base._random import image_seeds
from dmzrep.diffusion._sampling import SAMPLERS
from dmzrep.inference import Sampling
from dmzrep.inference._guidance import code_denoiser
from tests.encoders import make_encoder

TINY = {"width": (8, 16), "encoder_width": 8, "max_iter": 1, "n_timesteps": 50, "random_state": 0}


def lively(encoder):
    """Give the denoiser weights as after long training: layers that start at zero have an effect."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in encoder.model_.denoiser.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    return encoder


@pytest.fixture(scope="module")
def small(digits):
    return lively(make_encoder(8, **TINY, prior="uniform").fit(digits[:64]))


@pytest.fixture(scope="module")
def dropped(small):
    """Stands for a model trained with code dropout: what it draws without a code is what it draws."""
    encoder = copy.deepcopy(small)
    encoder.code_dropout_ = 0.1
    return encoder


@pytest.fixture(scope="module")
def bits():
    return np.random.default_rng(0).integers(0, 2, (5, 8))


# -- samplers and grids ------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_draws_rows_that_depend_on_their_seed_and_place_only(small, sampler):
    many = small.sample(DENOISER_BATCH + 4, sampler=sampler, n_steps=3, random_state=3)
    assert many.shape == (DENOISER_BATCH + 4, 8, 8) and many.dtype == np.uint8
    few = small.sample(3, sampler=sampler, n_steps=3, random_state=3)
    assert np.abs(few.astype(int) - many[:3]).max() <= 1
    assert not np.array_equal(small.sample(3, sampler=sampler, n_steps=3, random_state=4), many[:3])


def test_names_and_grids_reach_the_samplers(small, bits):
    seeds = image_seeds(0, 5)
    for sampler in SAMPLERS:
        for spacing in ("uniform", "log_snr"):
            sampling = Sampling(sampler=sampler, spacing=spacing, n_steps=6)
            expected = small.decoder_.decode(bits, seeds, sampling)
            found = small.inverse_transform(bits, sampler=sampler, spacing=spacing, n_steps=6, random_state=0)
            assert np.array_equal(found, expected)
    default = small.inverse_transform(bits, n_steps=6, random_state=0)
    assert np.array_equal(
        default, small.inverse_transform(bits, sampler="ddim", spacing="trailing", n_steps=6, random_state=0)
    )


def test_reconstructions_take_the_same_options(small, digits):
    codes = small.transform(digits[:3]) > 0.5
    for options in ({"sampler": "dpm++", "spacing": "quadratic"}, {"return_trajectory": True}):
        assert np.array_equal(
            small.reconstruct(digits[:3], n_steps=4, random_state=0, **options),
            small.inverse_transform(codes, n_steps=4, random_state=0, **options),
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"sampler": "dpm"},
            r"sampler must be one of .* or a scheduler of diffusers, got 'dpm'. Did you mean",
        ),
        ({"sampler": "hein"}, "Did you mean 'heun'"),
        ({"sampler": 3}, "sampler must be one of .* got 3"),
        ({"spacing": "trailling"}, "spacing must be one of .* Did you mean 'trailing'"),
        ({"spacing": None}, "spacing must be one of"),
        ({"eta": -0.1}, "eta must be a float in the range .*, got -0.1"),
        ({"eta": True}, "eta must be a float in the range .*, got True"),
        ({"eta": "half"}, r"got 'half'"),
        ({"eta": 0.5, "sampler": "dpm++"}, r"eta=0.5 is an option of DDIM; pass sampler='ddim'"),
        ({"eta": 0.5, "sampler": "dpm++_sde"}, r"eta=0.5 is an option of DDIM"),
        ({"eta": 0.5, "sampler": "heun"}, r"eta=0.5 is an option of DDIM"),
        ({"n_steps": 51}, "n_steps must be an integer from 1 to n_timesteps=50, got 51"),
        ({"guidance": -1.0}, "guidance must be a finite number of at least 0, got -1.0"),
        ({"guidance": float("inf")}, "guidance must be a finite number"),
        ({"guidance": float("nan")}, "guidance must be a finite number"),
        ({"guidance": "strong"}, "guidance must be a finite number"),
        (
            {"guidance": 2.0},
            r"needs a model that was trained with code dropout",
        ),
        ({"match_perturbation": "yes"}, "match_perturbation must be True, False or 'auto', got 'yes'"),
        ({"callback": "print"}, r"callback must be a function of \(step, n_steps, samples\) or None"),
    ],
    ids=str,
)
def test_bad_options_are_refused(small, bits, options, message):
    with pytest.raises(ValueError, match=message):
        small.inverse_transform(bits, **options)


@pytest.mark.parametrize("sampler", ["dpm++", "heun", "ddpm"])
def test_inversion_needs_ddim(small, digits, sampler):
    with pytest.raises(ValueError, match=r"needs sampler='ddim'"):
        small.reconstruct(digits[:2], noise="inverted", sampler=sampler, random_state=0)


# -- guidance ----------------------------------------------------------------------------------------


def test_guidance_mixes_estimates_with_and_without_the_code(dropped, bits):
    model = dropped.decoder_
    x = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    t, z = torch.full((5,), 30), torch.from_numpy(bits).float()
    with torch.inference_mode():
        guided = code_denoiser(model, z, guidance=2.5)(x, t)
        known = model.objective.denoise(model.network, x, t, z)
        unknown = model.objective.denoise(model.network, x, t, torch.full((5, 8), 0.5))
        velocity = {"x0": known.x0, "epsilon": known.epsilon}
        for name, with_code in velocity.items():
            without = getattr(unknown, name)
            torch.testing.assert_close(getattr(guided, name), -1.5 * without + 2.5 * with_code)
        # What is mixed still belongs to x.
        signal, sigma = model.objective.schedule.levels(30)
        torch.testing.assert_close(signal * guided.x0 + sigma * guided.epsilon, x, rtol=1e-4, atol=1e-4)


def test_guidance_goes_from_no_code_past_the_code(dropped, bits):
    options = {"n_steps": 4, "random_state": 0}
    plain = dropped.inverse_transform(bits, **options)
    assert np.array_equal(dropped.inverse_transform(bits, guidance=1, **options), plain)
    without = dropped.inverse_transform(np.full((5, 8), 0.5), **options)
    assert np.array_equal(dropped.inverse_transform(bits, guidance=0.0, **options), without)
    assert not np.array_equal(dropped.inverse_transform(bits, guidance=4.0, **options), plain)


def test_guided_rows_do_not_depend_on_their_company(dropped, digits):
    many = dropped.sample(DENOISER_BATCH + 3, guidance=3.0, n_steps=2, random_state=1)
    assert np.array_equal(dropped.sample(2, guidance=3.0, n_steps=2, random_state=1), many[:2])
    rows = digits[: DENOISER_BATCH + 2]
    whole = dropped.reconstruct(rows, noise="inverted", guidance=1.5, n_steps=3, random_state=0)
    few = dropped.reconstruct(rows[:2], noise="inverted", guidance=1.5, n_steps=3, random_state=0)
    assert np.array_equal(whole[:2], few)


def test_a_model_without_codes_has_nothing_to_guide_by(digits):
    encoder = make_encoder(8, **TINY, conditioning="none").fit(digits[:32])
    with pytest.raises(ValueError, match="guidance=2 needs a model with codes"):
        encoder.sample(1, guidance=2)
    assert encoder.sample(1, n_steps=2, sampler="dpm++").shape == (1, 8, 8)


# -- input perturbation ------------------------------------------------------------------------------


def test_ode_samplers_match_the_perturbation_and_those_that_draw_noise_do_not(digits):
    encoder = lively(make_encoder(8, **TINY, input_perturbation=0.4, prior="uniform").fit(digits[:64]))

    def drawn(**options):
        return encoder.sample(4, n_steps=5, random_state=0, **options)

    for sampler in ("ddim", "dpm++", "heun"):
        assert np.array_equal(drawn(sampler=sampler), drawn(sampler=sampler, match_perturbation=True))
        with pytest.warns(UserWarning, match="trained with input perturbation"):
            unmatched = drawn(sampler=sampler, match_perturbation=False)
        assert not np.array_equal(drawn(sampler=sampler), unmatched)
    for options in ({"sampler": "ddpm"}, {"sampler": "dpm++_sde"}, {"sampler": "ddim", "eta": 0.5}):
        assert np.array_equal(drawn(**options), drawn(**options, match_perturbation=False))
        assert not np.array_equal(drawn(**options), drawn(**options, match_perturbation=True))
    assert np.array_equal(drawn(), drawn(sampler="ddim"))
    assert np.array_equal(drawn(match_perturbation=False), drawn(sampler="ddpm"))


# -- schedulers --------------------------------------------------------------------------------------


def test_a_scheduler_of_diffusers_takes_a_samplers_place(small, bits):
    diffusers = pytest.importorskip("diffusers", reason="needs diffusers (pip install diffusers)")
    betas = small.objective_.schedule.betas.tolist()
    settings = {"trained_betas": betas, "prediction_type": "sample", "timestep_spacing": "trailing"}
    scheduler = diffusers.DDIMScheduler(50, **settings)
    ours = small.inverse_transform(bits, n_steps=5, random_state=0)
    theirs = small.inverse_transform(bits, n_steps=5, sampler=scheduler, random_state=0)
    # A grey level, where rounding falls on the other side.
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    noisy = diffusers.DDPMScheduler(50, **settings)
    many = small.sample(DENOISER_BATCH + 2, sampler=noisy, n_steps=3, random_state=5)
    assert np.array_equal(small.sample(2, sampler=noisy, n_steps=3, random_state=5), many[:2])
    for options, message in (
        ({"spacing": "uniform"}, "spacing='uniform' is not for DDIMScheduler, which has its own"),
        ({"strength": 0.5, "like": np.zeros((5, 8, 8), np.uint8)}, "DDIMScheduler begins from noise only"),
        (
            {"noise": "inverted", "like": np.zeros((5, 8, 8), np.uint8)},
            "DDIMScheduler begins from noise only",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            small.inverse_transform(bits, sampler=scheduler, **options)
    with pytest.raises(ValueError, match=r"trained_betas=encoder.objective_.schedule.betas"):
        small.sample(1, sampler=diffusers.DDIMScheduler(50))


# -- following the steps -----------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_trajectory_holds_the_estimates_of_every_step_and_ends_in_the_rows(small, sampler):
    n = DENOISER_BATCH + 3
    options = {"sampler": sampler, "n_steps": 4, "random_state": 2}
    heard = []
    trajectory = small.sample(n, return_trajectory=True, callback=lambda *args: heard.append(args), **options)
    rows = small.sample(n, **options)
    assert trajectory.shape == (4, n, 8, 8) and trajectory.dtype == rows.dtype
    assert np.array_equal(trajectory[-1], rows)
    assert [(step, n_steps) for step, n_steps, _ in heard] == 2 * [(s, 4) for s in (1, 2, 3, 4)]
    for i, (step, _, images) in enumerate(heard):
        part = slice(0, DENOISER_BATCH) if i < 4 else slice(DENOISER_BATCH, n)
        assert np.array_equal(images, trajectory[step - 1, part])
    assert not np.array_equal(trajectory[0], trajectory[-1])


def test_progress_is_shown_when_asked_for(small, capsys):
    small.sample(2, n_steps=3, random_state=0)
    assert capsys.readouterr().err == ""
    small.sample(2, n_steps=3, random_state=0, progress=True)
    assert "3/3" in capsys.readouterr().err


def test_what_a_callback_raises_ends_sampling(small):
    def stop(step, n_steps, rows):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small.sample(2, n_steps=3, callback=stop)
