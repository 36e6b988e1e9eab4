"""The optimiser, the learning rate and the averaged weights."""

import math

import pytest
import torch
from torch import nn

from dmzrep.training import HookList, Hooks
from dmzrep.training._optimization import parameter_groups
from dmzrep.training._state import load_trainer_state, trainer_state
from dmzrep.training._weights import WeightAverage
from tests.training.trainers import (
    IMAGES,
    SETTINGS,
    At,
    Clock,
    assert_equal_weights,
    copy_weights,
    make_data,
    make_trainer,
)


class LearningRates(Hooks):
    def __init__(self):
        self.rates = []

    def step_end(self, trainer, loss):
        self.rates.append(trainer.optimizer.param_groups[0]["lr"])


def test_learning_rate_warms_up_and_decays_as_a_cosine():
    rates = LearningRates()
    trainer = make_trainer(max_epochs=5, warmup_steps=3, learning_rate=0.01, final_learning_rate=0.1)
    trainer.fit(make_data(), hooks=rates)
    cosines = [0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * step / 20)) for step in range(20)]
    expected = [0.01 * min(1.0, (step + 1) / 3) * cosine for step, cosine in enumerate(cosines)]
    assert rates.rates == pytest.approx(expected)


def test_learning_rate_follows_a_time_limit_that_comes_first():
    clock, rates = Clock(), LearningRates()
    trainer = make_trainer(
        max_epochs=10**6, max_time=10.0, warmup_steps=0, final_learning_rate=0.0, budget=clock.budget(10.0)
    )
    trainer.fit(make_data(), hooks=HookList([rates, clock]))
    expected = [SETTINGS["learning_rate"] * 0.5 * (1 + math.cos(math.pi * i / 10)) for i in range(10)]
    assert rates.rates == pytest.approx(expected, rel=1e-6)
    assert trainer.stopped == "max_time"


def test_a_new_run_restarts_the_schedule():
    first = make_trainer(final_learning_rate=0.0).fit(make_data())
    second, rates = make_trainer(seed=1, final_learning_rate=0.0), LearningRates()
    load_trainer_state(second, trainer_state(first), new_run=True)
    assert second.progress(64) == 0.0
    second.fit(make_data(), hooks=rates)
    assert second.epoch == 4
    assert rates.rates[0] == pytest.approx(SETTINGS["learning_rate"])
    assert first.progress(64) == second.progress(64) == 1.0


def test_only_matrices_decay_and_the_encoder_has_its_own_rate():
    model = make_trainer(IMAGES).model
    groups = parameter_groups(model, 0.3, 0.25)
    listed = [p for group in groups for p in group["params"]]
    assert len(listed) == len({id(p) for p in listed}) == len(list(model.parameters()))
    of_encoder = {id(p) for p in model.encoder.parameters()}
    for group in groups:
        for p in group["params"]:
            assert group["weight_decay"] == (0.3 if p.dim() > 1 else 0.0)
            assert group["rate"] == (0.25 if id(p) in of_encoder else 1.0)
    trainer = make_trainer(max_epochs=1, encoder_rate=0.25).fit(make_data())
    rates = {group["rate"]: group["lr"] for group in trainer.optimizer.param_groups}
    assert rates[0.25] == pytest.approx(0.25 * rates[1.0]) and rates[1.0] > 0.0


def test_gradients_are_clipped_to_their_largest_norm():
    norms = []

    def record(trainer):
        gradients = [p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]
        norms.append(torch.cat(gradients).norm())

    for clip in (None, 1e-3):
        make_trainer(max_epochs=1, gradient_clip=clip).fit(make_data(), hooks=At(1, record))
    assert norms[0] > 0.01
    assert norms[1] == pytest.approx(1e-3, rel=1e-3)


# -- averaged weights --------------------------------------------------------------------------------


def make_model():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def perturb(model, step):
    """Change every weight and every buffer of a model."""
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.add_(step if not tensor.is_floating_point() else torch.randn_like(tensor))


@pytest.mark.parametrize("half_life", [0.0, 50.0, 1e6])
def test_average_follows_its_formula_for_weights_and_buffers(half_life):
    model = make_model().train()
    average = WeightAverage(model, half_life)
    assert not average.model.training and model.training
    assert not any(p.requires_grad for p in average.model.parameters())
    expected = {name: tensor.clone().double() for name, tensor in model.state_dict().items()}
    for step in range(1, 30):
        perturb(model, step)
        before = copy_weights(model)
        average.update(64 * step, 64)
        assert_equal_weights(model, before)
        # The half-life is limited to a twentieth of the images seen.
        decay = 0.5 ** (64 / min(half_life, 0.05 * 64 * step)) if half_life else 0.0
        for name, tensor in model.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * tensor.double()
    for name, tensor in average.model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            assert tensor == model.state_dict()[name]
        else:
            torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-4, atol=1e-5)
