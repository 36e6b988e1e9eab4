"""Trials beside the defaults: each trains, and each does what its name says."""

from functools import partial

import numpy as np
import pytest
import torch

from benchmarks.contenders import CONTENDERS, BinaryCode, Trial
from benchmarks.report_time_to_quality import label
from benchmarks.time_to_quality import arguments_of
from benchmarks.trials import TRIALS, MovedImages, ScaledViews, min_snr_weights
from dmzrep import DMZEncoder
from dmzrep.data import learn_image_format
from dmzrep.datasets import load_digits_images
from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.estimator._fit import build_trainer
from dmzrep.training import Trainer

pytestmark = pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")

#: Eleven steps an epoch, so that the encoder rests in the last.
SMALL = {"width": (8, 16), "encoder_width": 4, "batch_size": 8, "max_iter": 1}
BITS = 32
LOSSES = ["loss", "validation_loss", "validation_loss_hard", "validation_loss_shuffled"]


@pytest.fixture(scope="module")
def images():
    return np.rint(load_digits_images().images[:96] * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def by_default(images):
    """Logits by default, and losses."""
    fitted = BinaryCode(BITS, 0, **SMALL).fit(images)
    return fitted.transform(images)["logits"], fitted.history_[LOSSES]


@pytest.fixture
def batch(images):
    return learn_image_format(images).to_model(torch.from_numpy(images))


@pytest.fixture
def make(images):
    """Make a trainer, by a trial's name or itself, as fitting would."""

    def made(trainer, **params):
        encoder = DMZEncoder(params.pop("latent_dim", BITS), random_state=0, **SMALL, **params)
        own, _ = build_trainer(encoder, images, learn_image_format(images), 0, False)
        trainer = TRIALS[trainer] if isinstance(trainer, str) else trainer
        return trainer(own.model, own.objective, own.config, 0)

    return made


@pytest.mark.parametrize("name", TRIALS)
def test_trials_train_and_differ_from_the_default(name, images, by_default):
    assert arguments_of(["--data", ".", "--set", "mnist", "--configs", name]).configs == [name]
    trial = CONTENDERS[name](BITS, 0, **SMALL).fit(images)
    losses = trial.history_[LOSSES]
    assert np.isfinite(losses).all(axis=None)
    forms = trial.transform(images)
    assert {form: codes.shape for form, codes in forms.items()} == dict.fromkeys(
        ("logits", "probabilities", "bits"), (96, BITS)
    )
    # Some change only what the denoiser learns.
    same_codes = np.allclose(forms["logits"], by_default[0])
    assert np.isfinite(forms["logits"]).all() and not (same_codes and np.allclose(losses, by_default[1]))


def test_with_the_usual_trainer_a_trial_is_the_default(images, by_default):
    trial = Trial(BITS, 0, trainer=Trainer, **SMALL).fit(images)
    assert np.array_equal(trial.transform(images)["logits"], by_default[0])
    assert trial.reconstruct(images[:2]).shape == (2, 8, 8) and trial.decoded_from == "bits"


def test_the_start_counts_as_training_time_of_a_trial(images, monkeypatch):
    begun = []

    class Watched(Trainer):
        def fit(self, *arguments, **options):
            begun.append(self.seconds)
            return super().fit(*arguments, **options)

    Trial(BITS, 0, trainer=Watched, **SMALL).fit(images)
    Trial(BITS, 0, trainer=Watched, **SMALL | {"init": "random"}).fit(images)
    assert begun[0] > 0.0 == begun[1]


def test_the_results_page_counts_trials_as_ours():
    assert label([{"name": "ordered code", "parameters": {}}]) == "DMZEncoder, ordered code"
    assert label([{"name": "convolutional VAE", "parameters": {}}]) == "convolutional VAE"


# -- timesteps -------------------------------------------------------------------------------------


def test_the_default_draws_one_timestep_in_each_stratum_and_independent_timesteps_do_not(make):
    n, longest = 50, 10**6
    default, independent = make(Trainer).timesteps, make("independent timesteps").timesteps
    for sampler, least, most in ((default, n, n), (independent, 1, n - 5)):
        sampler.n_timesteps = longest  # So that rounding moves none into the next stratum.
        t = sampler.sample(n, torch.Generator().manual_seed(0))[0]
        strata = ((t.double() + 0.5) / longest).square() * n
        assert least <= len(strata.long().unique()) <= most
    uniform = ((independent.sample(20_000, torch.Generator().manual_seed(0))[0] + 0.5) / longest).square()
    np.testing.assert_allclose(np.quantile(uniform, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.02)


@pytest.mark.parametrize("name, n", [("two timesteps an encoding", 2), ("four timesteps an encoding", 4)])
def test_an_image_is_encoded_once_and_denoised_n_times(make, batch, name, n):
    trainer, seen = make(name), {}
    for network in ("encoder", "denoiser"):
        module = getattr(trainer.model, network)
        module.register_forward_pre_hook(lambda _, given, network=network: seen.update({network: given}))
    loss = trainer.train_step(batch, 96)
    assert loss.isfinite() and trainer.images_seen == 96
    x_t, t, z = seen["denoiser"]
    assert len(seen["encoder"][0]) == 96 and len(x_t) == len(t) == len(z) == n * 96
    first, second = (part.chunk(n)[:2] for part in (x_t, z))
    assert torch.equal(*second) and not torch.equal(*first) and not torch.equal(*t.chunk(n)[:2])


@pytest.mark.parametrize(
    "kind, formula",
    [
        ("v", lambda snr: min(snr, 5.0) / (snr + 1.0)),
        ("sample", lambda snr: min(snr, 5.0)),
        ("epsilon", lambda snr: min(snr, 5.0) / snr),
    ],
)
def test_min_snr_weights(make, kind, formula):
    schedule = NoiseSchedule.named("cosine", 100)
    weights = min_snr_weights(Objective(schedule, kind), 5.0)
    expected = np.array([formula(a / (1.0 - a)) for a in schedule.alpha_bar])
    np.testing.assert_allclose(weights, expected / expected.mean())
    assert weights.mean() == pytest.approx(1.0)
    trainer = make("min-SNR weights", objective=kind, n_timesteps=100)
    t, used = trainer.timesteps.sample(1000, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(used, weights[t], rtol=1e-6)
    assert torch.equal(t.bincount(), torch.full((100,), 10))


def test_timesteps_are_uniform_at_the_end_only(make, batch, monkeypatch):
    trainer = make("uniform timesteps at the end")
    for progress, kind in ((0.5, "high_noise"), (0.9, "uniform")):
        monkeypatch.setattr(trainer, "progress", lambda n_rows, progress=progress: progress)
        trainer._batch_loss(batch[:8], 96)
        assert trainer.timesteps.kind == kind


def test_the_temperature_falls_to_one(make, batch, monkeypatch):
    trainer = make("temperature falls from 4 to 1")
    seen = {}
    for progress in (0.0, 0.5, 1.0):
        monkeypatch.setattr(trainer, "progress", lambda n_rows, progress=progress: progress)
        seen[progress] = trainer._temperature(96), trainer._code(batch, 96)[1].detach().std()
    assert [t for t, _ in seen.values()] == pytest.approx([4.0, 2.0, 1.0])
    assert seen[0.0][1] < seen[0.5][1] < seen[1.0][1]


# -- the code --------------------------------------------------------------------------------------


def test_normalised_logits_have_another_deviation(make, batch, images):
    trainer = make("logits of deviation 3")
    trainer.model.train()
    logits = trainer._logits(batch, 96)
    torch.testing.assert_close(logits.std(dim=0, correction=0), torch.full((BITS,), 3.0), atol=0.01, rtol=0.0)
    used = CONTENDERS["logits of deviation 3"](BITS, 0, **SMALL | {"max_iter": 4}).fit(images)
    assert np.abs(used.transform(images)["logits"].std(axis=0) - 3.0).max() < 1.5


def test_plain_logits_have_no_deviation_to_change(make):
    with pytest.raises(ValueError, match="normalize_logits=False leaves no deviation to change"):
        make("logits of deviation 3", normalize_logits=False)


# -- what is shown ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name, factor", [("weaker views", 0.5), ("stronger views", 1.5)])
def test_views_are_scaled(make, name, factor):
    usual, view = make(Trainer).config.encoder_view, make(name).config.encoder_view
    for amount in ("shift", "rotation", "shear"):
        assert getattr(view, amount) == pytest.approx(factor * getattr(usual, amount))
    assert np.log(view.scale) == pytest.approx(factor * np.log(usual.scale))
    assert view.mirror == usual.mirror


@pytest.mark.parametrize("trainer", [partial(ScaledViews, factor=0.5), MovedImages])
def test_no_view_to_change_is_an_error(make, trainer):
    with pytest.raises(ValueError, match="encoder_augment=None leaves no view to change"):
        make(trainer, encoder_augment=None)


def test_the_denoiser_sees_the_image_that_the_encoder_sees(make, batch, monkeypatch):
    losses, seen = Objective.losses, {}

    def watched(self, network, x0, *others):
        seen["denoiser"] = x0
        return losses(self, network, x0, *others)

    monkeypatch.setattr(Objective, "losses", watched)
    for trainer, same in ((make(Trainer), False), (make("the denoiser sees the moved image too"), True)):
        trainer.model.encoder.register_forward_pre_hook(lambda _, given: seen.update(encoder=given[0]))
        trainer.train_step(batch, 96)
        assert torch.equal(seen["encoder"], seen["denoiser"]) is same
        assert not torch.equal(seen["encoder"], batch)


def test_the_encoder_rests_from_the_middle_or_never(make, batch, monkeypatch):
    for name, rests in (
        ("encoder rests from the middle", [False, False, True, True, True]),
        ("encoder never rests", [False] * 5),
    ):
        trainer, found, moves = make(name), [], []
        for progress in (0.0, 0.4, 0.6, 0.9, 1.0):
            monkeypatch.setattr(trainer, "progress", lambda n_rows, progress=progress: progress)
            found.append(trainer._encoder_rests(96))
            moves.append(trainer._logits(batch, 96).requires_grad)
        assert found == rests and moves == [not rest for rest in rests]


@pytest.mark.parametrize(("name", "median"), [("about the middle", 0.5), ("past the middle", 0.679)])
def test_logit_normal_timesteps_have_their_quantiles(make, name, median):
    sampler = make(f"timesteps {name}").timesteps
    t, weights = sampler.sample(4096, torch.Generator().manual_seed(0))
    share = t.double() / sampler.n_timesteps
    assert share.median() == pytest.approx(median, abs=0.005)
    # Two thirds lie within one deviation of the logit.
    within = (torch.logit(share.clamp(1e-4, 1 - 1e-4)) - np.log(median / (1 - median))).abs() < 1
    assert within.double().mean() == pytest.approx(0.683, abs=0.01)
    assert torch.equal(weights, torch.ones(4096))
