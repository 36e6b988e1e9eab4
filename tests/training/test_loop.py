import itertools
import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.errors import DmzError, TrainingDivergedError
from dmzrep.networks._model import DiffusionAutoencoder, NetworkConfig, memory_format
from dmzrep.training import HookList, Hooks, RandomAffine, Trainer, TrainingConfig, TrainingData
from dmzrep.training._batch_loss import RESTING_SHARE
from dmzrep.training._loop import parameter_groups

CPU = torch.device("cpu")
IMAGES = NetworkConfig((1, 8, 8), 4, "unet", (8,), (1, 1), encoder_width=4)
VECTORS = NetworkConfig((6,), 3, "mlp", (32,), (2,), encoder_width=16)
SETTINGS = TrainingConfig(
    max_epochs=2, batch_size=16, learning_rate=3e-3, warmup_steps=2, ema_half_life=100.0
)


def draw_rows(network, n=64, seed=0):
    """Rows around one of two centres, in model units."""
    rng = np.random.default_rng(seed)
    centres = np.sign(rng.normal(size=(2, *network.data_shape)))
    rows = centres[rng.integers(2, size=n)] * 0.8 + 0.1 * rng.normal(size=(n, *network.data_shape))
    return rows.astype(np.float32)


def make_data(network, n=64, seed=0, rows=None):
    rows = draw_rows(network, n, seed) if rows is None else rows

    def prepare(raw):
        return raw.contiguous(memory_format=memory_format(network))

    return TrainingData(rows, prepare, np.arange(len(rows)), CPU)


def make_trainer(network=VECTORS, seed=0, objective=None, **settings):
    torch.manual_seed(seed)
    model = DiffusionAutoencoder(network).to(memory_format=memory_format(network))
    objective = objective or Objective(NoiseSchedule.named("cosine", 50))
    return Trainer(model, objective, replace(SETTINGS, **settings), seed)


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


def test_the_history_has_a_row_an_epoch_with_counts_that_add_up():
    trainer = make_trainer(max_epochs=3, batch_size=20).fit(make_data(VECTORS, 64), make_data(VECTORS, 30, 1))
    assert [row["epoch"] for row in trainer.history] == [1, 2, 3]
    # Three whole batches of 20 rows an epoch.
    assert [row["images"] for row in trainer.history] == [60, 120, 180]
    assert (trainer.epoch, trainer.step, trainer.images_seen) == (3, 9, 180)
    seconds = [row["seconds"] for row in trainer.history]
    assert seconds == sorted(seconds) and seconds[0] > 0
    names = {"epoch", "seconds", "images", "images_per_second", "loss", "learning_rate"}
    names |= {"validation_loss", "validation_loss_hard", "validation_loss_shuffled"}
    for row in trainer.history:
        assert row.keys() == names
        assert all(math.isfinite(value) for value in row.values())


def test_without_validation_rows_no_validation_loss_is_told():
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


def test_input_perturbation_and_a_learned_variance_train():
    network = replace(IMAGES, learn_variance=True)
    objective = Objective(NoiseSchedule.named("cosine", 50), "epsilon", True, 0.1, 2 / 255)
    trainer = make_trainer(network, objective=objective).fit(make_data(network))
    assert all(math.isfinite(row["loss"]) for row in trainer.history)


# -- batches ---------------------------------------------------------------------------------------


def seen_batches(trainer, data, **options):
    """Rows that the encoder sees, a batch at a time, in training."""
    seen = []

    def record(module, args):
        if module.training:
            seen.append(args[0].clone())

    handle = trainer.model.encoder.register_forward_pre_hook(record)
    trainer.fit(data, **options)
    handle.remove()
    return seen


def test_each_epoch_sees_every_row_once_in_a_new_order():
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


def test_without_flips_images_come_as_they_are():
    rows = np.random.default_rng(0).random((32, 1, 8, 8)).astype(np.float32)
    seen = torch.cat(seen_batches(make_trainer(IMAGES, max_epochs=1), make_data(IMAGES, rows=rows))).numpy()
    assert {row.tobytes() for row in seen} == {row.tobytes() for row in rows}


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


def test_the_encoder_sees_other_views_until_it_rests():
    rows = np.random.default_rng(0).random((64, 1, 8, 8)).astype(np.float32)
    trainer = make_trainer(IMAGES, encoder_view=RandomAffine(), max_epochs=5, batch_size=16)
    steps = EncoderSteps(trainer)
    trainer.fit(make_data(IMAGES, rows=rows), hooks=steps, refresh=False)
    n_steps = 5 * 4
    resting = math.floor(n_steps * RESTING_SHARE)
    assert 0 < resting < n_steps
    assert steps.changed == [True] * (n_steps - resting) + [False] * resting
    originals = {row.tobytes() for row in rows}
    plain = [all(row.tobytes() in originals for row in batch.numpy()) for batch in steps.shown]
    assert plain == [False] * (n_steps - resting) + [True] * resting


def test_an_encoder_without_other_views_never_rests():
    trainer = make_trainer(IMAGES, max_epochs=5, batch_size=16)
    steps = EncoderSteps(trainer)
    trainer.fit(make_data(IMAGES), hooks=steps, refresh=False)
    assert steps.changed == [True] * 20


# -- the learning rate -----------------------------------------------------------------------------


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


def test_a_final_learning_rate_of_one_keeps_the_rate():
    rates = rates_of(make_trainer(max_epochs=3, warmup_steps=0, final_learning_rate=1.0), make_data(VECTORS))
    assert rates == pytest.approx([SETTINGS.learning_rate] * 12)


def test_the_learning_rate_follows_the_time_where_it_is_nearer():
    trainer = make_trainer(max_epochs=10**6, max_time=0.4, warmup_steps=0)
    rates = rates_of(trainer, make_data(VECTORS))
    assert rates[0] == pytest.approx(SETTINGS.learning_rate, rel=0.3)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.2 * SETTINGS.learning_rate


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
    ],
    ids=["vectors", "images", "flips", "second-moment", "adagn", "views", "code"],
)
def test_a_run_taken_up_from_its_state_is_the_run_that_never_stopped(network, settings):
    whole, stopped, resumed = (make_trainer(network, seed, **settings) for seed in (0, 0, 9))
    data, validation = make_data(network), make_data(network, 20, 1)
    whole.fit(data, validation)
    stopped.fit(data, validation, hooks=StopAfter(1))
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


def test_an_interrupted_images_model_has_usable_statistics():
    def interrupt(trainer):
        raise KeyboardInterrupt

    trainer = make_trainer(IMAGES, max_epochs=100).fit(make_data(IMAGES), hooks=At(2, interrupt))
    assert trainer.stopped == "interrupted"
    assert torch.isfinite(trainer.average.model.encode(make_data(IMAGES).batch(torch.arange(3)))).all()


def test_a_hook_that_returns_true_stops_training():
    trainer, ends = make_trainer(max_epochs=100), Ends()
    trainer.fit(make_data(VECTORS), hooks=HookList([StopAfter(2), ends]))
    assert (trainer.stopped, trainer.epoch, len(trainer.history), ends.n_ends) == ("callback", 2, 2, 1)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_data_that_are_not_numbers_raise_and_say_where(value):
    rows = draw_rows(VECTORS)
    rows[5, 2] = value
    trainer, ends = make_trainer(), Ends()
    message = r"loss became (nan|inf) in epoch 1 \(step [1-4]\).*learning_rate"
    with pytest.raises(TrainingDivergedError, match=message):
        trainer.fit(make_data(VECTORS, rows=rows), hooks=ends)
    assert ends.n_ends == 1
    assert issubclass(TrainingDivergedError, DmzError) and issubclass(TrainingDivergedError, ArithmeticError)


def test_a_learning_rate_beyond_reason_raises():
    with pytest.raises(TrainingDivergedError):
        make_trainer(max_epochs=5, learning_rate=1e20, warmup_steps=0).fit(make_data(VECTORS))


def test_weights_that_end_as_no_numbers_raise_though_the_last_loss_was_finite():
    def spoil(trainer):
        with torch.no_grad():
            for model in (trainer.model, trainer.average.model):
                model.denoiser.linear_out.bias.fill_(math.nan)

    with pytest.raises(TrainingDivergedError):
        make_trainer(max_epochs=1).fit(make_data(VECTORS), hooks=At(4, spoil))


@pytest.mark.parametrize("limit", [0.2, 0.6])
def test_the_time_limit_is_kept_to_within_a_second(limit):
    trainer = make_trainer(max_epochs=10**9, max_time=limit)
    begun = time.perf_counter()
    trainer.fit(make_data(VECTORS), make_data(VECTORS, 20, 1))
    taken = time.perf_counter() - begun
    assert trainer.stopped == "max_time"
    assert limit <= taken < limit + 1.0
    # The time of the last epoch's end; the limit may have passed in the validation after it.
    assert 0.5 * limit < trainer.seconds <= taken


def test_the_time_limit_ends_an_epoch_that_is_longer():
    data = make_data(VECTORS, 16 * 100_000, rows=np.zeros((16 * 100_000, 6), dtype=np.float32))
    trainer = make_trainer(max_epochs=1, max_time=0.3)
    begun = time.perf_counter()
    trainer.fit(data)
    assert trainer.stopped == "max_time" and time.perf_counter() - begun < 1.3
    assert 0 < trainer.step < 100_000 and len(trainer.history) == 1


def test_training_stops_early_when_the_validation_loss_no_longer_falls(monkeypatch):
    losses = itertools.chain([3.0, 2.0, 2.5, 1.0, 1.5, 1.0, 1.0], itertools.repeat(0.0))
    monkeypatch.setattr(Trainer, "validate", lambda self, data: {"validation_loss": next(losses)})
    trainer = make_trainer(max_epochs=50, n_iter_no_change=3).fit(make_data(VECTORS), make_data(VECTORS, 10))
    assert (trainer.stopped, trainer.epoch) == ("early_stopping", 7)


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


def test_validation_losses_are_means_over_rows_of_the_averaged_model():
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


def test_validation_tells_right_codes_from_those_of_other_rows():
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
