import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.errors import DmzError, TrainingDivergedError
from dmzrep.networks._model import DiffusionAutoencoder, NetworkConfig, memory_format
from dmzrep.training import (
    Budget,
    HookList,
    Hooks,
    Processes,
    RandomAffine,
    Trainer,
    TrainingData,
)
from dmzrep.training._batch_loss import FREEZE_FRACTION
from dmzrep.training._optimization import parameter_groups
from tests.encoders import make_config

CPU = torch.device("cpu")
IMAGES = NetworkConfig((1, 8, 8), 4, "unet", (8,), (1, 1), encoder_width=4)
VECTORS = NetworkConfig((6,), 3, "mlp", (32,), (2,), encoder_width=16)
SETTINGS = make_config(max_epochs=2, batch_size=16, learning_rate=3e-3, warmup_steps=2, ema_half_life=100.0)


def draw_rows(network, n=64, seed=0):
    """Samples around one of two centres, in model units."""
    rng = np.random.default_rng(seed)
    centres = np.sign(rng.normal(size=(2, *network.data_shape)))
    rows = centres[rng.integers(2, size=n)] * 0.8 + 0.1 * rng.normal(size=(n, *network.data_shape))
    return rows.astype(np.float32)


def make_data(network, n=64, seed=0, rows=None):
    rows = draw_rows(network, n, seed) if rows is None else rows

    def prepare(raw):
        return raw.contiguous(memory_format=memory_format(network))

    return TrainingData(rows, prepare, np.arange(len(rows)), CPU)


def make_trainer(network=VECTORS, seed=0, objective=None, budget=None, **settings):
    torch.manual_seed(seed)
    model = DiffusionAutoencoder(network).to(memory_format=memory_format(network))
    objective = objective or Objective(NoiseSchedule.named("cosine", 50))
    return Trainer(model, objective, replace(SETTINGS, **settings), seed, budget)


def weights_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same_weights(first, second):
    first, second = first.state_dict(), second.state_dict()
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert different == []


class At(Hooks):
    """Calls a function after the given step (counted from 1)."""

    def __init__(self, step, function):
        self.step, self.function = step, function

    def step_end(self, trainer, loss):
        if trainer.step == self.step:
            self.function(trainer)


class StopAfter(Hooks):
    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def epoch_end(self, trainer):
        return trainer.epoch >= self.n_epochs


# -- learning --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("network", [VECTORS, IMAGES], ids=["vectors", "images"])
def test_the_loss_falls(network, seed):
    trainer = make_trainer(network, seed, max_epochs=10, learning_rate=5e-3)
    trainer.fit(make_data(network, 128, seed), make_data(network, 64, seed + 100))
    losses = [row["loss"] for row in trainer.history]
    assert np.mean(losses[-3:]) < 0.85 * losses[0]
    assert trainer.stopped == "max_iter"


def test_the_history_has_counts_that_add_up():
    trainer = make_trainer(max_epochs=3, batch_size=20).fit(make_data(VECTORS, 64), make_data(VECTORS, 30, 1))
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


def test_without_validation_samples_there_is_no_validation_loss():
    empty = TrainingData(draw_rows(VECTORS), lambda raw: raw, np.arange(0), CPU)
    for validation in (None, empty):
        trainer = make_trainer(max_epochs=1).fit(make_data(VECTORS), validation)
        assert "loss" in trainer.history[0] and "validation_loss" not in trainer.history[0]


@pytest.mark.parametrize("network", [VECTORS, IMAGES], ids=["vectors", "images"])
def test_the_same_seed_gives_the_same_weights_to_the_bit_and_another_seed_others(network):
    torch.manual_seed(0)
    start = DiffusionAutoencoder(network).state_dict()
    trainers = [make_trainer(network, seed) for seed in (5, 5, 6)]
    for trainer in trainers:
        trainer.model.load_state_dict(start)
        trainer.average.restart(trainer.model)
        torch.manual_seed(np.random.randint(2**31))
        trainer.fit(make_data(network))
    assert_same_weights(trainers[0].model, trainers[1].model)
    assert_same_weights(trainers[0].average.model, trainers[1].average.model)
    assert trainers[0].history[-1]["loss"] == trainers[1].history[-1]["loss"]
    first, other = trainers[0].model.state_dict(), trainers[2].model.state_dict()
    assert not torch.equal(first["encoder.head.linear.weight"], other["encoder.head.linear.weight"])


@pytest.mark.parametrize("conditioning", ["bias", "cross_attention", "adagn", "timestep"])
@pytest.mark.parametrize("network", [VECTORS, IMAGES], ids=["vectors", "images"])
def test_gradients_reach_the_encoder(network, conditioning):
    network = replace(network, conditioning=conditioning, attention_levels=(0,))
    trainer = make_trainer(network)
    before = weights_of(trainer.model.encoder)
    trainer.fit(make_data(network))
    # The denoiser's zero-initialised layers let gradients through after a few steps.
    gradients = {name: p.grad.abs().max().item() for name, p in trainer.model.encoder.named_parameters()}
    assert gradients["head.linear.weight"] > 0
    assert all(value > 0 for name, value in gradients.items() if name.endswith("weight"))
    assert not torch.equal(trainer.model.encoder.head.linear.weight, before["head.linear.weight"])


@pytest.mark.parametrize("network", [VECTORS, IMAGES], ids=["vectors", "images"])
def test_without_conditioning_the_encoder_stays_as_it_was(network):
    network = replace(network, conditioning="none")
    trainer = make_trainer(network)
    before = weights_of(trainer.model.encoder)
    trainer.fit(make_data(network), make_data(network, 20, 1))
    assert all(p.grad is None or p.grad.abs().max() == 0 for p in trainer.model.encoder.parameters())
    for name, parameter in trainer.model.encoder.named_parameters():
        assert torch.equal(parameter, before[name])
    losses = {name for name in trainer.history[-1] if name.startswith("validation_loss")}
    assert losses == {"validation_loss"}


@pytest.mark.parametrize(
    "settings",
    [
        {"precision": "bf16"},
        {"straight_through": True},
        {"timestep_sampling": "loss_second_moment"},
        {"timestep_sampling": "high_noise"},
        {"gradient_clip": math.inf},
        {"temperature": 0.3},
        {"ema_half_life": 0.0},
        {"batch_size": 1000},
    ],
    ids=str,
)
def test_every_setting_trains(settings):
    trainer = make_trainer(**settings)
    before = weights_of(trainer.model)
    trainer.fit(make_data(VECTORS), make_data(VECTORS, 20, 1))
    assert all(math.isfinite(row["loss"]) for row in trainer.history)
    assert any(not torch.equal(before[name], tensor) for name, tensor in trainer.model.state_dict().items())
    if settings.get("ema_half_life") == 0.0:
        assert_same_weights(trainer.model, trainer.average.model)


# -- batches ---------------------------------------------------------------------------------------


def seen_batches(trainer, data, **options):
    """Batches that the encoder sees in training."""
    seen = []

    def record(module, args):
        if module.training:
            seen.append(args[0].clone())

    handle = trainer.model.encoder.register_forward_pre_hook(record)
    trainer.fit(data, **options)
    handle.remove()
    return seen


def test_each_epoch_sees_every_sample_once_in_a_new_order():
    rows = draw_rows(VECTORS, 48)
    seen = seen_batches(make_trainer(), make_data(VECTORS, rows=rows))
    epochs = torch.cat(seen[:3]), torch.cat(seen[3:])
    for epoch in epochs:
        assert sorted(epoch.tolist()) == sorted(rows.tolist())
    assert not torch.equal(*epochs)


def test_flips_mirror_about_half_of_the_images_left_to_right():
    rows = np.random.default_rng(0).random((64, 1, 8, 8)).astype(np.float32)
    trainer = make_trainer(IMAGES, flip=True, max_epochs=2)
    seen = torch.cat(seen_batches(trainer, make_data(IMAGES, rows=rows))).numpy()
    originals = {row.tobytes() for row in rows}
    mirrored = {np.ascontiguousarray(row[..., ::-1]).tobytes() for row in rows}
    kinds = [row.tobytes() in originals for row in seen]
    assert all(row.tobytes() in originals | mirrored for row in seen)
    # Six standard deviations about 64 of 128.
    assert 30 < sum(kinds) < 98


class EncoderSteps(Hooks):
    """Which steps changed the encoder's weights, and what it was shown."""

    def __init__(self, trainer):
        self.changed, self.shown = [], []
        self.before = [p.clone() for p in trainer.model.encoder.parameters()]
        encoder = trainer.model.encoder
        encoder.register_forward_pre_hook(lambda module, args: self.shown.append(args[0].clone()))

    def step_end(self, trainer, loss):
        now = [p.detach().clone() for p in trainer.model.encoder.parameters()]
        self.changed.append(any(not torch.equal(a, b) for a, b in zip(self.before, now, strict=True)))
        self.before = now


def test_the_encoder_sees_augmented_views_until_it_is_frozen():
    rows = np.random.default_rng(0).random((64, 1, 8, 8)).astype(np.float32)
    trainer = make_trainer(IMAGES, encoder_view=RandomAffine(), max_epochs=5, batch_size=16)
    steps = EncoderSteps(trainer)
    trainer.fit(make_data(IMAGES, rows=rows), hooks=steps, refresh=False)
    n_steps = 5 * 4
    frozen = math.floor(n_steps * FREEZE_FRACTION)
    assert 0 < frozen < n_steps
    assert steps.changed == [True] * (n_steps - frozen) + [False] * frozen
    originals = {row.tobytes() for row in rows}
    plain = [all(row.tobytes() in originals for row in batch.numpy()) for batch in steps.shown]
    assert plain == [False] * (n_steps - frozen) + [True] * frozen


@pytest.mark.parametrize(("view", "freeze"), [(None, True), (RandomAffine(), False)])
def test_an_encoder_without_augmented_views_or_of_a_chunk_is_never_frozen(view, freeze):
    trainer = make_trainer(IMAGES, max_epochs=5, batch_size=16, encoder_view=view)
    steps = EncoderSteps(trainer)
    trainer.fit(make_data(IMAGES), hooks=steps, refresh=False, freeze=freeze)
    assert steps.changed == [True] * 20


def test_after_early_stopping_the_best_encoder_is_frozen_for_a_proportionate_number_of_steps(monkeypatch):
    losses = itertools.chain([3.0, 2.0, 2.5, 2.6], itertools.repeat(9.0))
    monkeypatch.setattr(Trainer, "validate", lambda self, data: {"validation_loss": next(losses)})
    trainer = make_trainer(IMAGES, encoder_view=RandomAffine(), max_epochs=50, n_iter_no_change=2)
    steps, validation = EncoderSteps(trainer), make_data(IMAGES, 10)
    trainer.fit(make_data(IMAGES, 64), validation, hooks=steps, refresh=False)
    frozen = math.floor(16 * FREEZE_FRACTION)
    assert (trainer.stopped, trainer.step, trainer.freeze_step) == ("early_stopping", 16 + frozen, 16)
    # The first frozen step follows the return to the best weights.
    assert steps.changed[:16] == [True] * 16 and steps.changed[17:] == [False] * (frozen - 1)


# -- the learning rate -----------------------------------------------------------------------------


class Clock:
    """Seconds that pass at each step only."""

    def __init__(self, seconds_per_step=1.0):
        self.now, self.seconds_per_step = 100.0, seconds_per_step

    def __call__(self):
        return self.now

    def budget(self, limit):
        return Budget(limit, Processes(clock=self))

    def hooks(self):
        return Tick(self)


class Tick(Hooks):
    def __init__(self, clock):
        self.clock = clock

    def step_end(self, trainer, loss):
        self.clock.now += self.clock.seconds_per_step


class Rates(Hooks):
    def __init__(self):
        self.rates = []

    def step_end(self, trainer, loss):
        self.rates.append(trainer.optimizer.param_groups[0]["lr"])


def rates_of(trainer, data):
    hook = Rates()
    trainer.fit(data, hooks=hook)
    return hook.rates


def test_the_learning_rate_warms_up_and_falls_as_a_cosine():
    trainer = make_trainer(max_epochs=5, warmup_steps=3, learning_rate=0.01, final_learning_rate=0.1)
    rates = rates_of(trainer, make_data(VECTORS, 64))
    assert len(rates) == 20
    for step, rate in enumerate(rates):
        cosine = 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * step / 20))
        assert rate == pytest.approx(0.01 * min(1.0, (step + 1) / 3) * cosine)


def test_the_learning_rate_follows_the_time_where_it_is_nearer():
    clock, rates = Clock(), Rates()
    trainer = make_trainer(max_epochs=10**6, max_time=10.0, warmup_steps=0, budget=clock.budget(10.0))
    trainer.fit(make_data(VECTORS), hooks=HookList([rates, clock.hooks()]))
    expected = [SETTINGS.learning_rate * 0.5 * (1 + math.cos(math.pi * i / 10)) for i in range(10)]
    assert rates.rates == pytest.approx(expected, rel=1e-6)
    assert trainer.stopped == "max_time"


@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_matrices_decay_biases_and_norms_do_not_and_the_encoder_has_its_own_rate(rate):
    model = make_trainer(IMAGES).model
    groups = parameter_groups(model, 0.3, rate)
    listed = [p for group in groups for p in group["params"]]
    assert len(listed) == len({id(p) for p in listed}) == len(list(model.parameters()))
    of_encoder = {id(p) for p in model.encoder.parameters()}
    for group in groups:
        for p in group["params"]:
            assert group["weight_decay"] == (0.3 if p.dim() > 1 else 0.0)
            assert group["rate"] == (rate if id(p) in of_encoder else 1.0)


def test_the_encoders_rate_is_a_share_of_the_denoisers():
    seen = []

    def record(trainer):
        seen.append({group["rate"]: group["lr"] for group in trainer.optimizer.param_groups})

    make_trainer(max_epochs=1, encoder_rate=0.25).fit(make_data(VECTORS), hooks=At(1, record))
    assert seen and all(rates[0.25] == pytest.approx(0.25 * rates[1.0]) for rates in seen)
    assert all(rates[1.0] > 0.0 for rates in seen)


def test_gradients_are_clipped_to_their_largest_norm():
    norms = []

    def record(trainer):
        gradients = [p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]
        norms.append(torch.cat(gradients).norm())

    for clip in (math.inf, 1e-3):
        make_trainer(max_epochs=1, gradient_clip=clip).fit(make_data(VECTORS), hooks=At(1, record))
    assert norms[0] > 0.01
    assert norms[1] == pytest.approx(1e-3, rel=1e-3)


# -- going on --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        (VECTORS, {}),
        (IMAGES, {}),
        (IMAGES, {"flip": True}),
        (VECTORS, {"timestep_sampling": "loss_second_moment", "max_epochs": 4}),
        (replace(IMAGES, conditioning="adagn", init_features="values"), {}),
        (replace(IMAGES, conditioning="spatial_bias"), {"encoder_view": RandomAffine()}),
        (VECTORS, {"decorrelation": "auto", "code_dropout": 0.2, "ordered": True}),
        (IMAGES, {"encoder_view": RandomAffine(), "n_iter_no_change": 1, "max_epochs": 9}),
    ],
    ids=["vectors", "images", "flips", "second-moment", "adagn", "cca", "code", "early stopping"],
)
def test_a_run_taken_up_from_its_state_is_the_run_that_never_stopped(network, settings):
    whole, stopped, resumed = (make_trainer(network, seed, **settings) for seed in (0, 0, 9))
    data, validation = make_data(network), make_data(network, 20, 1)
    whole.fit(data, validation)
    # Statistics are re-estimated at the end of a run only.
    stopped.fit(data, validation, hooks=StopAfter(1), refresh=False)
    assert (stopped.epoch, stopped.stopped) == (1, "callback")
    state = stopped.state()
    resumed.load_state(state)
    # The copy stays what it was, whatever the trainer that gave it does next.
    stopped.fit(data, validation)
    resumed.validation_seed = whole.validation_seed
    resumed.fit(data, validation)
    for trainer in (stopped, resumed):
        assert (trainer.epoch, trainer.step) == (whole.epoch, whole.step)
        assert [row["loss"] for row in trainer.history] == [row["loss"] for row in whole.history]
        assert_same_weights(trainer.model, whole.model)
        assert_same_weights(trainer.average.model, whole.average.model)


def test_a_state_is_a_copy():
    trainer = make_trainer().fit(make_data(VECTORS))
    state = trainer.state()
    before = {name: tensor.clone() for name, tensor in state["model"].items()}
    make_trainer(seed=1).load_state(state)
    trainer.load_state(state, new_run=True)
    trainer.fit(make_data(VECTORS))
    assert all(torch.equal(before[name], tensor) for name, tensor in state["model"].items())
    assert len(state["history"]) == 2 and len(trainer.history) == 4


def test_a_new_run_counts_its_epochs_and_schedule_from_where_the_last_one_ended():
    first = make_trainer(final_learning_rate=0.0).fit(make_data(VECTORS))
    second = make_trainer(seed=1, final_learning_rate=0.0)
    second.load_state(first.state(), new_run=True)
    assert second.progress(64) == 0.0
    rates = rates_of(second, make_data(VECTORS))
    assert second.epoch == 4
    assert rates[0] == pytest.approx(SETTINGS.learning_rate)
    assert first.progress(64) == second.progress(64) == 1.0


# -- the ends of training --------------------------------------------------------------------------


class Ends(Hooks):
    def __init__(self):
        self.n_ends = 0

    def fit_end(self, trainer):
        self.n_ends += 1


@pytest.mark.parametrize("step", [1, 3, 5])
def test_an_interruption_keeps_the_model_so_far(step):
    def interrupt(trainer):
        raise KeyboardInterrupt

    trainer, ends = make_trainer(max_epochs=100), Ends()
    before = weights_of(trainer.average.model)
    trainer.fit(make_data(VECTORS), hooks=HookList([ends, At(step, interrupt)]))
    assert trainer.stopped == "interrupted"
    assert (trainer.step, trainer.epoch, ends.n_ends) == (step, (step - 1) // 4 + 1, 1)
    after = trainer.average.model.state_dict()
    assert any(not torch.equal(before[name], tensor) for name, tensor in after.items())
    assert all(torch.isfinite(tensor).all() for tensor in after.values())
    reference = make_trainer(max_epochs=100)
    reference.fit(make_data(VECTORS), hooks=At(step, interrupt))
    assert_same_weights(reference.average.model, trainer.average.model)


def test_a_hook_that_returns_true_stops_training():
    trainer, ends = make_trainer(max_epochs=100), Ends()
    trainer.fit(make_data(VECTORS), hooks=HookList([StopAfter(2), ends]))
    assert (trainer.stopped, trainer.epoch, len(trainer.history), ends.n_ends) == ("callback", 2, 2, 1)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_non_finite_data_raise_and_say_where(value):
    rows = draw_rows(VECTORS)
    rows[5, 2] = value
    trainer, ends = make_trainer(), Ends()
    message = r"loss became (nan|inf) in epoch 1 \(step [1-4]\).*learning_rate"
    with pytest.raises(TrainingDivergedError, match=message):
        trainer.fit(make_data(VECTORS, rows=rows), hooks=ends)
    assert ends.n_ends == 1
    assert issubclass(TrainingDivergedError, DmzError) and issubclass(TrainingDivergedError, ArithmeticError)


def test_weights_that_end_non_finite_raise_though_the_last_loss_was_finite():
    def spoil(trainer):
        with torch.no_grad():
            for model in (trainer.model, trainer.average.model):
                model.denoiser.linear_out.bias.fill_(math.nan)

    with pytest.raises(TrainingDivergedError):
        make_trainer(max_epochs=1).fit(make_data(VECTORS), hooks=At(4, spoil))


def test_the_time_limit_ends_an_epoch_in_progress():
    clock = Clock()
    trainer = make_trainer(max_epochs=10, max_time=6.0, budget=clock.budget(6.0))
    trainer.fit(make_data(VECTORS), hooks=clock.hooks())
    assert (trainer.stopped, trainer.step, len(trainer.history)) == ("max_time", 6, 2)
    assert trainer.history[-1]["seconds"] == 6.0


def test_training_leaves_time_for_what_follows_by_the_speed_of_the_encoder(monkeypatch):
    clock = Clock()
    trainer = make_trainer(max_epochs=100, max_time=40.0, budget=clock.budget(40.0))
    encode = trainer.average.model.encode

    def slow(x):
        clock.now += 0.1 * len(x)
        return encode(x)

    monkeypatch.setattr(trainer.average.model, "encode", slow)
    trainer.fit(make_data(VECTORS), hooks=clock.hooks())
    # Statistics and report of 64 samples would take 12.8 s, a quarter is kept at most.
    assert trainer.stopped == "max_time" and trainer.budget.reserve == 10.0
    assert trainer.seconds == pytest.approx(30.0, abs=1.0)


def test_a_fit_whose_time_is_up_makes_a_step_and_usable_statistics():
    clock = Clock()
    budget = clock.budget(1.0)
    clock.now += 50.0
    trainer = make_trainer(IMAGES, max_epochs=10, max_time=1.0, budget=budget)
    trainer.fit(make_data(IMAGES), make_data(IMAGES, 20, 1), hooks=clock.hooks())
    assert (trainer.stopped, trainer.step) == ("max_time", 1)
    norm = trainer.average.model.encoder.convolutions[1]
    assert norm.num_batches_tracked == 1


def test_training_stops_early_when_the_validation_loss_no_longer_falls(monkeypatch):
    losses = itertools.chain([3.0, 2.0, 2.5, 1.0, 1.5, 1.0, 1.0], itertools.repeat(0.0))
    monkeypatch.setattr(Trainer, "validate", lambda self, data: {"validation_loss": next(losses)})
    trainer, kept = make_trainer(max_epochs=50, n_iter_no_change=3), {}

    class Keep(Hooks):
        def epoch_end(self, trainer):
            kept[trainer.epoch] = weights_of(trainer.average.model)

    trainer.fit(make_data(VECTORS), make_data(VECTORS, 10), hooks=Keep(), refresh=False)
    assert (trainer.stopped, trainer.epoch) == ("early_stopping", 7)
    for model in (trainer.model, trainer.average.model):
        assert all(torch.equal(tensor, kept[4][name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("batch_size", [16, 100])
def test_a_batch_larger_than_the_sample_of_the_statistics_still_sets_them(batch_size, monkeypatch):
    monkeypatch.setattr("dmzrep.training._batch_statistics.STATISTICS_SAMPLES", 32)
    data = make_data(IMAGES, 128)
    trainer = make_trainer(IMAGES, batch_size=batch_size).fit(data)
    convolution, norm = trainer.average.model.encoder.convolutions[:2]
    outputs = convolution(data.batch(torch.arange(128)))
    torch.testing.assert_close(norm.running_mean, outputs.mean(dim=(0, 2, 3)), rtol=0.1, atol=0.05)
    assert norm.num_batches_tracked == 32 // min(batch_size, 32)


# -- after an epoch --------------------------------------------------------------------------------


def test_validation_is_the_same_every_time_and_leaves_training_alone():
    trainer = make_trainer(max_epochs=1).fit(make_data(VECTORS))
    data = make_data(VECTORS, 40, 1)
    before = trainer.state()
    first = trainer.validate(data)
    assert trainer.validate(data) == first
    after = trainer.state()
    assert torch.equal(before["order"], after["order"]) and torch.equal(before["noise"], after["noise"])
    assert all(torch.equal(before["average"][name], after["average"][name]) for name in before["average"])


def test_validation_losses_are_means_over_samples_of_the_averaged_model():
    trainer = make_trainer(max_epochs=1).fit(make_data(VECTORS))
    data = make_data(VECTORS, 40, 1)

    def constant(x, t, z):
        return torch.zeros_like(x)

    trainer.objective = Objective(trainer.objective.schedule, "sample")
    trainer.average.model.denoiser.forward = constant
    # With a prediction of zero the loss of clean data is their mean square, whatever noise and code.
    expected = np.square(draw_rows(VECTORS, 40, 1)).mean()
    for loss in trainer.validate(data).values():
        assert loss == pytest.approx(expected, rel=1e-5)


def test_validation_tells_right_codes_from_those_of_other_samples():
    trainer = make_trainer(max_epochs=25, learning_rate=5e-3, timestep_sampling="high_noise")
    trainer.fit(make_data(VECTORS, 128), make_data(VECTORS, 64, 0))
    last = trainer.history[-1]
    assert last["validation_loss_hard"] < 0.8 * last["validation_loss_shuffled"]


def test_statistics_of_the_averaged_encoder_are_those_of_the_data():
    data = make_data(IMAGES, 64)
    trainer = make_trainer(IMAGES, ema_half_life=50.0).fit(data)
    convolution, norm = trainer.average.model.encoder.convolutions[:2]
    outputs = convolution(data.batch(torch.arange(64)))
    mean, variance = outputs.mean(dim=(0, 2, 3)), outputs.var(dim=(0, 2, 3))
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-4, atol=1e-5)
    # Variances are means over batches of 16, without what the batches' means differ by.
    torch.testing.assert_close(norm.running_var, variance, rtol=0.1, atol=1e-4)
    assert not any(module.training for module in trainer.average.model.modules())
    assert norm.momentum == 0.1


def test_the_part_of_an_epoch_before_an_interruption_does_not_count_against_later_epochs(monkeypatch):
    def interrupt(trainer):
        raise KeyboardInterrupt

    first = make_trainer(max_epochs=100).fit(make_data(VECTORS), hooks=At(6, interrupt))
    # Luckier than any validation loss.
    first.history[-1]["loss"] = 0.0
    losses = itertools.count(-1.0, -1.0)
    monkeypatch.setattr(Trainer, "validate", lambda self, data: {"validation_loss": 9.0 + next(losses)})
    second = make_trainer(max_epochs=4, n_iter_no_change=2)
    second.load_state(first.state(), new_run=True)
    second.fit(make_data(VECTORS), make_data(VECTORS, 10))
    assert second.stopped == "max_iter"
    assert second.epoch == first.epoch + 4
