import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dmzrep.training._optimization import WeightAverage

quick = settings(deadline=None, max_examples=30)


def make_model():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def assert_same(first, second):
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def move(model, step):
    """Change every weight and every buffer of a model."""
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.add_(step if not tensor.is_floating_point() else torch.randn_like(tensor))


@quick
@given(half_life=st.floats(1, 1e6), images=st.integers(1, 10**7), batch_size=st.integers(1, 512))
def test_half_of_the_average_is_kept_for_a_half_life_of_images(half_life, images, batch_size):
    average = WeightAverage(nn.Linear(1, 1), half_life)
    used = min(half_life, 0.05 * images)
    assert average.decay(images, batch_size) == pytest.approx(0.5 ** (batch_size / used))
    assert average.decay(images, batch_size) ** 2 == pytest.approx(average.decay(images, 2 * batch_size))


def test_early_on_the_half_life_is_a_share_of_the_images_seen():
    average = WeightAverage(nn.Linear(1, 1), 1000.0, ramp=0.1)
    assert average.decay(100, 10) == pytest.approx(0.5)
    assert average.decay(10**9, 1000) == pytest.approx(0.5)


def test_a_half_life_of_zero_copies_the_latest_weights():
    model = make_model()
    average = WeightAverage(model, 0.0)
    for step in range(1, 4):
        move(model, step)
        average.update(10 * step, 10)
        assert_same(average.model, model)


def test_the_average_follows_its_formula_weights_and_buffers_alike():
    model = make_model()
    average = WeightAverage(model, 200.0)
    expected = {name: tensor.clone().double() for name, tensor in model.state_dict().items()}
    for step in range(1, 30):
        move(model, step)
        average.update(64 * step, 64)
        decay = 0.5 ** (64 / min(200.0, 0.05 * 64 * step))
        for name, tensor in model.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * tensor.double()
    for name, tensor in average.model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            assert tensor == model.state_dict()[name]
        else:
            torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-4, atol=1e-5)


def test_the_average_is_a_copy_in_eval_mode_that_asks_for_no_gradients():
    model = make_model().train()
    average = WeightAverage(model, 100.0)
    before = [p.clone() for p in average.model.parameters()]
    move(model, 1)
    assert not average.model.training and model.training
    assert not any(p.requires_grad for p in average.model.parameters())
    assert all(p.requires_grad for p in model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, average.model.parameters(), strict=True))


def test_averaging_leaves_the_model_alone():
    model = make_model()
    average = WeightAverage(model, 10.0)
    move(model, 1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    average.update(100, 10)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_restart_forgets_the_average():
    model = make_model()
    average = WeightAverage(model, 1e9)
    for step in range(3):
        move(model, step)
        average.update(10**6, 10)
    average.restart(model)
    assert_same(average.model, model)
