import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.errors import DmzError, TrainingDivergedError
from dmzrep.networks._model import DiffusionAutoencoder, NetworkConfig
from dmzrep.training import HookList, Hooks, Trainer, TrainingData
from dmzrep.training._divergence import LOOK_STEPS
from tests.encoders import make_config

NETWORK = NetworkConfig((6,), 3, "mlp", (32,), (2,), encoder_width=16)
SETTINGS = make_config(max_epochs=2, batch_size=4, warmup_steps=2, ema_half_life=100.0)


def make_trainer(**settings):
    torch.manual_seed(0)
    objective = Objective(NoiseSchedule.named("cosine", 50))
    return Trainer(DiffusionAutoencoder(NETWORK), objective, replace(SETTINGS, **settings), 0)


def make_data(n_steps=200, rows=None):
    """Rows of which an epoch has as many steps."""
    if rows is None:
        rows = np.random.default_rng(0).normal(size=(4 * n_steps, 6)).astype(np.float32)
    return TrainingData(rows, lambda raw: raw, np.arange(len(rows)), torch.device("cpu"))


class SpoilGradients(Hooks):
    """From a step on, gradients are not numbers; the loss of that step itself is one."""

    def __init__(self, step, value=math.nan):
        self.step, self.value = step, value

    def step_end(self, trainer, loss):
        if trainer.step == self.step - 1:
            parameter = next(iter(trainer.model.denoiser.parameters()))
            parameter.register_hook(lambda gradient: torch.full_like(gradient, self.value))


class Snapshots(Hooks):
    """The averaged weights after each step."""

    def __init__(self):
        self.weights = {}

    def step_end(self, trainer, loss):
        self.weights[trainer.step] = [p.clone() for p in trainer.average.model.parameters()]


def diverge(trainer, data, *hooks, match=None):
    with pytest.raises(TrainingDivergedError, match=match) as caught:
        trainer.fit(data, hooks=HookList(list(hooks)))
    assert trainer.stopped == "diverged"
    return caught.value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("clip", [1.0, math.inf])
@pytest.mark.parametrize("step", [2, 3, 40, 77, 250])
def test_weights_go_back_to_the_last_look_and_the_average_is_not_poisoned(step, clip, value):
    trainer, snapshots = make_trainer(gradient_clip=clip), Snapshots()
    error = diverge(trainer, make_data(), SpoilGradients(step, value), snapshots)
    assert trainer.step < step <= trainer.step + LOOK_STEPS
    kept = snapshots.weights[trainer.step]
    for model in (trainer.average.model, trainer.model):
        assert all(torch.equal(a, b) for a, b in zip(kept, model.parameters(), strict=True))
    assert isinstance(error, DmzError) and isinstance(error, ArithmeticError)
    # A loss shows it one step after the gradient; where it is the weights that show it, no step is sure.
    if "loss became" in str(error):
        assert f"(step {step + 1})" in str(error)


def test_early_steps_are_looked_at_more_often():
    for step in (2, 3, 5, 9):
        trainer = make_trainer()
        diverge(trainer, make_data(), SpoilGradients(step))
        assert trainer.step == {2: 1, 3: 2, 5: 4, 9: 8}[step]


def test_counts_and_history_are_those_of_the_weights():
    trainer = make_trainer(max_epochs=9)
    diverge(trainer, make_data(70), SpoilGradients(135))
    # Looked at in the midst of the second epoch, 50 steps after the first one's end.
    assert (trainer.epoch, trainer.step, trainer.images_seen) == (2, 120, 480)
    assert [(row["epoch"], row["images"]) for row in trainer.history] == [(1, 280), (2, 480)]
    assert all(math.isfinite(row["loss"]) for row in trainer.history)


def test_an_epoch_that_ends_well_is_kept_whole_with_its_validation():
    trainer = make_trainer(max_epochs=9)
    with pytest.raises(TrainingDivergedError):
        trainer.fit(make_data(20), make_data(5), hooks=SpoilGradients(41))
    assert (trainer.epoch, trainer.step) == (2, 40)
    assert all(math.isfinite(row["validation_loss"]) for row in trainer.history)


def test_a_run_that_goes_wrong_at_once_leaves_its_start():
    trainer = make_trainer()
    before = [p.clone() for p in trainer.average.model.parameters()]
    rows = np.full((64, 6), np.nan, dtype=np.float32)
    diverge(trainer, make_data(rows=rows), match=r"loss became nan in epoch 1 \(step 1\)")
    assert (trainer.step, trainer.epoch, trainer.history) == (0, 0, [])
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.average.model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("settings", "remedies"),
    [
        ({}, ["lower learning_rate (it was 0.5)"]),
        ({"gradient_clip": math.inf}, ["lower learning_rate", "set gradient_clip=1.0"]),
        ({"precision": "bf16"}, ["lower learning_rate", "use precision='float32'"]),
    ],
    ids=str,
)
def test_the_error_names_remedies(settings, remedies):
    error = diverge(make_trainer(learning_rate=0.5, **settings), make_data(), SpoilGradients(3))
    assert all(remedy in str(error) for remedy in remedies)
    assert ("gradient_clip" in str(error)) == ("gradient_clip" in settings)
    assert ("precision" in str(error)) == ("precision" in settings)


def test_training_goes_on_from_what_was_kept():
    trainer = make_trainer()
    diverge(trainer, make_data(), SpoilGradients(30))
    next_run = make_trainer(learning_rate=1e-4)
    next_run.load_state(trainer.state(), new_run=True)
    next_run.fit(make_data())
    assert next_run.stopped == "max_iter" and next_run.step == trainer.step + 400
    assert all(math.isfinite(row["loss"]) for row in next_run.history)


def test_looks_are_few(monkeypatch):
    trainer, looks = make_trainer(), []
    look = trainer.guard.look
    monkeypatch.setattr(trainer.guard, "look", lambda t: looks.append(t.step) or look(t))
    trainer.fit(make_data(400))
    within_first_epoch = [step for step in looks if step < 400]
    assert within_first_epoch[:7] == [1, 2, 4, 8, 16, 32, 64]
    assert all(b - a <= LOOK_STEPS for a, b in itertools.pairwise(within_first_epoch))
    assert len(looks) < 25


def test_a_sound_run_is_as_it_was_without_the_guard(monkeypatch):
    guarded = make_trainer().fit(make_data())
    bare = make_trainer()
    for name in ("look", "step_end"):
        monkeypatch.setattr(bare.guard, name, lambda *args: None)
    bare.fit(make_data())
    for part in ("model", "average"):
        a, b = guarded.state()[part], bare.state()[part]
        assert all(torch.equal(a[name], b[name]) for name in a)
