import math

import pytest
import torch

from dmzrep.errors import DmzError, TrainingDivergedError
from dmzrep.training import HookList, Hooks
from dmzrep.training._divergence import CHECK_STEPS
from tests.training.trainers import (
    At,
    assert_equal_weights,
    copy_weights,
    make_data,
)
from tests.training.trainers import make_trainer as make_any_trainer


def make_trainer(**settings):
    return make_any_trainer(**{"batch_size": 4} | settings)


def data_of(n_steps=200):
    """Return data with this many steps per epoch."""
    return make_data(n=4 * n_steps)


class NonFiniteGradients(Hooks):
    """Hook that makes gradients non-finite from a given step onwards; the loss of that step is finite."""

    def __init__(self, step, value=math.nan):
        self.step, self.value = step, value

    def step_end(self, trainer, loss):
        if trainer.step == self.step - 1:
            parameter = next(iter(trainer.model.denoiser.parameters()))
            parameter.register_hook(lambda gradient: torch.full_like(gradient, self.value))


class Snapshots(Hooks):
    """Hook that records the averaged weights after each step."""

    def __init__(self):
        self.weights = {}

    def step_end(self, trainer, loss):
        self.weights[trainer.step] = copy_weights(trainer.average.model)


def diverge(trainer, data, *hooks, match=None):
    with pytest.raises(TrainingDivergedError, match=match) as caught:
        trainer.fit(data, hooks=HookList(list(hooks)), refresh=False)
    assert trainer.stopped == "diverged"
    return caught.value


@pytest.mark.parametrize(
    ("step", "clip", "value", "restored"),
    [
        (2, 1.0, math.nan, 1),
        (3, None, math.nan, 2),
        (9, None, math.nan, 8),
        (40, 1.0, math.inf, 32),
        (250, 1.0, -math.inf, None),
    ],
)
def test_weights_of_the_last_check_are_restored(step, clip, value, restored):
    trainer, snapshots = make_trainer(gradient_clip=clip), Snapshots()
    error = diverge(trainer, data_of(), NonFiniteGradients(step, value), snapshots)
    assert trainer.step < step <= trainer.step + CHECK_STEPS
    assert restored is None or trainer.step == restored
    for model in (trainer.average.model, trainer.model):
        assert_equal_weights(model, snapshots.weights[trainer.step])
    assert isinstance(error, DmzError) and isinstance(error, ArithmeticError)
    # The loss is non-finite one step after the gradient.
    if "loss became" in str(error):
        assert f"(step {step + 1})" in str(error)


def test_counters_and_history_match_the_restored_weights():
    trainer = make_trainer(max_epochs=9)
    diverge(trainer, data_of(70), NonFiniteGradients(135))
    # The last check is in the second epoch, 50 steps after the end of the first.
    assert (trainer.epoch, trainer.step, trainer.images_seen) == (2, 120, 480)
    assert [(row["epoch"], row["images"]) for row in trainer.history] == [(1, 280), (2, 480)]
    assert all(math.isfinite(row["loss"]) for row in trainer.history)


def test_an_epoch_before_divergence_keeps_its_validation_loss():
    trainer = make_trainer(max_epochs=9)
    with pytest.raises(TrainingDivergedError):
        trainer.fit(data_of(20), make_data(n=20), hooks=NonFiniteGradients(41))
    assert (trainer.epoch, trainer.step) == (2, 40)
    assert all(math.isfinite(row["validation_loss"]) for row in trainer.history)


def test_non_finite_weights_after_the_last_step_are_detected():
    def set_nan(trainer):
        with torch.no_grad():
            for model in (trainer.model, trainer.average.model):
                model.denoiser.linear_out.bias.fill_(math.nan)

    diverge(
        make_trainer(max_epochs=1),
        data_of(4),
        At(4, set_nan),
        match="Weights, but not the loss",
    )


@pytest.mark.parametrize("settings", [{}, {"gradient_clip": None}, {"precision": "bf16"}], ids=str)
def test_the_error_names_remedies(settings):
    error = str(diverge(make_trainer(learning_rate=0.5, **settings), data_of(), NonFiniteGradients(3)))
    assert "lower learning_rate (it was 0.5)" in error
    assert ("set gradient_clip=1.0" in error) == ("gradient_clip" in settings)
    assert ("use precision='float32'" in error) == ("precision" in settings)
