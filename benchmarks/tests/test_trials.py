"""Trials beside the defaults: each trains, and each does what its name says."""

import numpy as np
import pytest
import torch

from benchmarks.contenders import CONTENDERS, BinaryCode, Trial
from benchmarks.time_to_quality import arguments_of
from benchmarks.trials import TRIALS, min_snr_weights
from dmzrep.data import learn_image_format
from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.estimator._fit import build_trainer
from dmzrep.training import Trainer
from tests.encoders import make_encoder

pytestmark = pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")

#: Eleven steps an epoch, so that the encoder rests in the last.
SMALL = {"width": (8,), "encoder_width": 4, "batch_size": 8, "max_iter": 1, "prior": "independent"}
BITS = 32
LOSSES = ["loss", "validation_loss", "validation_loss_hard", "validation_loss_shuffled"]


@pytest.fixture(scope="module")
def images(digits):
    return digits.train[:96]


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
        encoder = make_encoder(
            params.pop("latent_dim", BITS), random_state=0, agreement=0.0, **SMALL, **params
        )
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


# -- timesteps -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, n", [("two timesteps per encoding", 2), ("four timesteps per encoding", 4)])
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


# -- the code --------------------------------------------------------------------------------------


# -- what is shown ---------------------------------------------------------------------------------


def test_the_denoiser_sees_the_image_that_the_encoder_sees(make, batch, monkeypatch):
    losses, seen = Objective.losses, {}

    def watched(self, network, x0, *others):
        seen["denoiser"] = x0
        return losses(self, network, x0, *others)

    monkeypatch.setattr(Objective, "losses", watched)
    for trainer, same in ((make(Trainer), False), (make("the denoiser sees the augmented image too"), True)):
        trainer.model.encoder.register_forward_pre_hook(lambda _, given: seen.update(encoder=given[0]))
        trainer.train_step(batch, 96)
        assert torch.equal(seen["encoder"], seen["denoiser"]) is same
        assert not torch.equal(seen["encoder"], batch)


def test_the_encoder_is_frozen_from_the_middle_or_never(make, batch, monkeypatch):
    for name, frozen in (
        ("encoder frozen from the middle", [False, False, True, True, True]),
        ("encoder never frozen", [False] * 5),
    ):
        trainer, found, moves = make(name), [], []
        for progress in (0.0, 0.4, 0.6, 0.9, 1.0):
            monkeypatch.setattr(trainer, "progress", lambda n_rows, progress=progress: progress)
            found.append(trainer._is_frozen(96))
            moves.append(trainer._code(batch, 96)[0][0].requires_grad)
        assert found == frozen and moves == [not value for value in frozen]
