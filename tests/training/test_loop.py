import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dmzrep.diffusion._objective import Objective
from dmzrep.training import HookList, Hooks, ProgressBar, RandomViews, Trainer
from dmzrep.training._batch_loss import FREEZE_FRACTION
from dmzrep.training._state import load_trainer_state, trainer_state
from tests.training.trainers import (
    IMAGES,
    VECTORS,
    At,
    Clock,
    assert_equal_weights,
    copy_weights,
    draw_samples,
    make_data,
    make_trainer,
)

NETWORKS = pytest.mark.parametrize("network", [VECTORS, IMAGES], ids=["vectors", "images"])


class StopAfter(Hooks):
    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def epoch_end(self, trainer):
        return trainer.epoch >= self.n_epochs


class CountEnds(Hooks):
    n_ends = 0

    def fit_end(self, trainer):
        self.n_ends += 1


def interrupt(trainer):
    raise KeyboardInterrupt


def scripted_losses(monkeypatch, losses):
    """Make validation return these losses, one per epoch."""
    losses = iter(losses)
    monkeypatch.setattr(Trainer, "validate", lambda self, data: {"validation_loss": next(losses)})


# -- learning ----------------------------------------------------------------------------------------


def test_history_has_counts_that_add_up():
    trainer = make_trainer(max_epochs=3, batch_size=20).fit(make_data(), make_data(n=30, seed=1))
    assert [row["epoch"] for row in trainer.history] == [1, 2, 3]
    # Three whole batches of 20 samples per epoch.
    assert [row["images"] for row in trainer.history] == [60, 120, 180]
    assert (trainer.epoch, trainer.step, trainer.images_seen) == (3, 9, 180)
    seconds = [row["seconds"] for row in trainer.history]
    assert seconds == sorted(seconds) and seconds[0] > 0
    names = {"epoch", "seconds", "images", "images_per_second", "loss", "learning_rate"}
    names |= {"validation_loss", "validation_loss_hard", "validation_loss_shuffled"}
    for row in trainer.history:
        assert row.keys() == names
        assert all(math.isfinite(value) for value in row.values())


@pytest.mark.parametrize("validation", [None, make_data(X=draw_samples(n=0))], ids=["none", "empty"])
def test_no_validation_samples_mean_no_validation_loss(validation):
    trainer = make_trainer(max_epochs=1).fit(make_data(), validation)
    assert "loss" in trainer.history[0] and "validation_loss" not in trainer.history[0]


@pytest.mark.parametrize("conditioning", ["bias", "cross_attention", "adagn", "timestep"])
@NETWORKS
def test_gradients_reach_the_encoder(network, conditioning):
    trainer = make_trainer(replace(network, conditioning=conditioning, attention_levels=(0,)))
    # The denoiser's zero-initialised layers let gradients through after a few steps.
    trainer.fit(make_data(network), freeze=False)
    gradients = {name: p.grad.abs().max().item() for name, p in trainer.model.encoder.named_parameters()}
    assert all(value > 0 for name, value in gradients.items() if name.endswith("weight"))


@NETWORKS
def test_the_encoder_is_not_trained_without_conditioning(network):
    trainer = make_trainer(replace(network, conditioning="none"))
    before = [p.clone() for p in trainer.model.encoder.parameters()]
    trainer.fit(make_data(network), make_data(network, 20, 1))
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.encoder.parameters(), strict=True))
    assert {name for name in trainer.history[-1] if "validation" in name} == {"validation_loss"}


# -- batches -----------------------------------------------------------------------------------------


class EncoderRecorder(Hooks):
    """Hook that records the inputs of the encoder and which steps changed its weights."""

    def __init__(self, trainer):
        self.changed, self.inputs = [], []
        self.before = [p.clone() for p in trainer.model.encoder.parameters()]
        trainer.model.encoder.register_forward_pre_hook(lambda _, args: self.inputs.append(args[0].clone()))

    def step_end(self, trainer, loss):
        now = [p.detach().clone() for p in trainer.model.encoder.parameters()]
        self.changed.append(any(not torch.equal(a, b) for a, b in zip(self.before, now, strict=True)))
        self.before = now


def fit_recorded(trainer, X, **options):
    recorder = EncoderRecorder(trainer)
    trainer.fit(make_data(trainer.model.config, X=X), hooks=recorder, refresh=False, **options)
    return recorder


def test_each_epoch_visits_every_sample_once_in_a_new_order():
    X = draw_samples(n=48)
    inputs = fit_recorded(make_trainer(), X).inputs
    epochs = torch.cat(inputs[:3]), torch.cat(inputs[3:])
    for epoch in epochs:
        assert sorted(epoch.tolist()) == sorted(X.tolist())
    assert not torch.equal(*epochs)


def test_flip_mirrors_about_half_of_the_images_left_to_right():
    X = np.random.default_rng(0).random((64, 1, 8, 8)).astype(np.float32)
    seen = torch.cat(fit_recorded(make_trainer(IMAGES, flip=True), X).inputs).numpy()
    originals = {image.tobytes() for image in X}
    mirrored = {np.ascontiguousarray(image[..., ::-1]).tobytes() for image in X}
    assert all(image.tobytes() in originals | mirrored for image in seen)
    # Six standard deviations about 64 of 128.
    assert 30 < sum(image.tobytes() in originals for image in seen) < 98


def test_the_encoder_sees_augmented_views_until_it_is_frozen():
    X = np.random.default_rng(0).random((64, 1, 8, 8)).astype(np.float32)
    recorder = fit_recorded(make_trainer(IMAGES, encoder_view=RandomViews(), max_epochs=5), X)
    n_frozen = math.floor(20 * FREEZE_FRACTION)
    assert 0 < n_frozen < 20
    assert recorder.changed == [True] * (20 - n_frozen) + [False] * n_frozen
    originals = {image.tobytes() for image in X}
    original = [all(image.tobytes() in originals for image in batch.numpy()) for batch in recorder.inputs]
    assert original == [False] * (20 - n_frozen) + [True] * n_frozen


def test_the_best_encoder_is_frozen_after_early_stopping(monkeypatch):
    scripted_losses(monkeypatch, itertools.chain([3.0, 2.0, 2.5, 2.6], itertools.repeat(9.0)))
    trainer = make_trainer(IMAGES, encoder_view=RandomViews(), max_epochs=50, n_iter_no_change=2)
    recorder = EncoderRecorder(trainer)
    trainer.fit(make_data(IMAGES), make_data(IMAGES, 10), hooks=recorder, refresh=False)
    n_frozen = math.floor(16 * FREEZE_FRACTION)
    assert (trainer.stopped, trainer.step, trainer.freeze_step) == ("early_stopping", 16 + n_frozen, 16)
    # The first frozen step follows the return to the best weights.
    assert recorder.changed[:16] == [True] * 16 and recorder.changed[17:] == [False] * (n_frozen - 1)


# -- hooks -----------------------------------------------------------------------------------------


def test_progress_bar_displays_percentage_loss_and_speed(capsys):
    history = [{"loss": 0.1234, "validation_loss": 0.5678, "images_per_second": 90.4}]
    trainer = SimpleNamespace(history=history, epoch=3, progress=lambda n: 0.5 if n == 10 else 0.0)
    bar = ProgressBar()
    bar.fit_begin(trainer, 10)
    assert bar.epoch_end(trainer) is False
    bar.step_end(trainer, None)
    bar.fit_end(trainer)
    displayed = capsys.readouterr().err
    for part in ("DMZEncoder.fit", "50%", "epoch=3", "loss=0.1234", "val=0.5678", "img/s=90"):
        assert part in displayed


# -- the end of training -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hook", "stopped", "step"), [(StopAfter(2), "callback", 8), (At(5, interrupt), "interrupted", 5)]
)
def test_hooks_are_notified_of_the_end_of_a_run_that_is_stopped(hook, stopped, step):
    trainer, ends = make_trainer(max_epochs=100), CountEnds()
    trainer.fit(make_data(), hooks=HookList([ends, hook]))
    assert (trainer.stopped, trainer.step, len(trainer.history), ends.n_ends) == (stopped, step, 2, 1)


def test_a_fit_without_time_makes_one_step():
    clock = Clock()
    budget = clock.budget(1.0)
    clock.now += 50.0
    trainer = make_trainer(IMAGES, max_epochs=10, max_time=1.0, budget=budget)
    trainer.fit(make_data(IMAGES), make_data(IMAGES, 20, 1), hooks=clock)
    assert (trainer.stopped, trainer.step) == ("max_time", 1)
    assert trainer.average.model.encoder.convolutions[1].num_batches_tracked == 1


def test_early_stopping_restores_the_best_weights(monkeypatch):
    scripted_losses(monkeypatch, [3.0, 2.0, 2.5, 1.0, 1.5, 1.0, 1.0])
    trainer, kept = make_trainer(max_epochs=50, n_iter_no_change=3), {}

    class Keep(Hooks):
        def epoch_end(self, trainer):
            kept[trainer.epoch] = copy_weights(trainer.average.model)

    trainer.fit(make_data(), make_data(n=10), hooks=Keep(), refresh=False, freeze=False)
    assert (trainer.stopped, trainer.epoch) == ("early_stopping", 7)
    for model in (trainer.model, trainer.average.model):
        assert_equal_weights(model, kept[4])


def test_early_stopping_ignores_an_interrupted_epoch(monkeypatch):
    first = make_trainer(max_epochs=100).fit(make_data(), hooks=At(6, interrupt))
    # This loss is lower than every validation loss.
    first.history[-1]["loss"] = 0.0
    scripted_losses(monkeypatch, itertools.count(8.0, -1.0))
    second = make_trainer(max_epochs=4, n_iter_no_change=2)
    load_trainer_state(second, trainer_state(first), new_run=True)
    second.fit(make_data(), make_data(n=10))
    assert (second.stopped, second.epoch) == ("max_iter", first.epoch + 4)


# -- validation and batch statistics -----------------------------------------------------------------


def test_validation_is_deterministic_and_does_not_change_training():
    trainer, data = make_trainer(max_epochs=1).fit(make_data()), make_data(n=40, seed=1)
    before = trainer_state(trainer)
    assert trainer.validate(data) == trainer.validate(data)
    after = trainer_state(trainer)
    assert torch.equal(before["order"], after["order"]) and torch.equal(before["noise"], after["noise"])
    assert_equal_weights(before["average"], after["average"])


def test_validation_losses_are_means_over_samples_of_the_averaged_model(monkeypatch):
    trainer = make_trainer(max_epochs=1).fit(make_data())
    trainer.objective = Objective(trainer.objective.schedule, "sample")
    trainer.average.model.denoiser.forward = lambda x, t, z: torch.zeros_like(x)
    # Without weights, the loss of a prediction of zero is the mean square of the clean data.
    monkeypatch.setattr(Objective, "LOSS_OFFSET", 1e6)
    expected = np.square(draw_samples(n=40, seed=1)).mean()
    for loss in trainer.validate(make_data(n=40, seed=1)).values():
        assert loss == pytest.approx(expected, rel=1e-5)


def test_batch_statistics_of_the_averaged_encoder_are_those_of_the_data():
    data = make_data(IMAGES)
    trainer = make_trainer(IMAGES, ema_half_life=50.0).fit(data)
    convolution, norm = trainer.average.model.encoder.convolutions[:2]
    outputs = convolution(data.batch(torch.arange(64)))
    torch.testing.assert_close(norm.running_mean, outputs.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5)
    # Variances are means over batches of 16, without the variance of the batch means.
    torch.testing.assert_close(norm.running_var, outputs.var(dim=(0, 2, 3)), rtol=0.1, atol=1e-4)
    assert not any(module.training for module in trainer.average.model.modules())
    assert norm.momentum == 0.1


@pytest.mark.parametrize("batch_size", [16, 100])
def test_batch_statistics_use_a_limited_number_of_samples(batch_size, monkeypatch):
    monkeypatch.setattr("dmzrep.training._batch_statistics.STATISTICS_SAMPLES", 32)
    trainer = make_trainer(IMAGES, batch_size=batch_size).fit(make_data(IMAGES, 128))
    norm = trainer.average.model.encoder.convolutions[1]
    assert norm.num_batches_tracked == 32 // min(batch_size, 32)
    assert norm.running_var.min() > 0.0
