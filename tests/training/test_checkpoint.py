import errno
import os
import warnings

import pytest
import torch

from dmzrep.errors import CheckpointMismatchError, CheckpointWarning, PersistenceError
from dmzrep.networks._model import NetworkConfig
from dmzrep.training import Checkpoints, HookList, Hooks, RandomViews, Trainer
from dmzrep.training._checkpoint import run_name
from dmzrep.training._data import Epoch
from tests.training import trainers
from tests.training.trainers import At, Clock, assert_equal_weights

NETWORK = NetworkConfig((2, 8, 8), 4, "unet", (8,), (1, 1), encoder_width=4, dropout=0.1)
IDENTITY, OTHER_IDENTITY = {"learning_rate": 1e-3, "seed": 0}, {"learning_rate": 0.1, "seed": 3}
EVERY_STEP = {"every": 1e-9}


def make_trainer(seed=0, **settings):
    return trainers.make_trainer(NETWORK, seed, **{"max_epochs": 3} | settings)


@pytest.fixture
def data():
    """Return data of three steps per epoch."""
    return trainers.make_data(NETWORK, 48)


@pytest.fixture
def whole(data, tmp_path):
    """Return a function that trains without interruption."""
    return lambda **settings: run(make_trainer(**settings), data, tmp_path / "whole")


def open_checkpoints(folder, identity=IDENTITY, **options):
    checkpoints = Checkpoints(folder, identity, **options)
    checkpoints.set_metadata(0, {"init_": "itq"})
    return checkpoints


def resume(trainer, folder):
    open_checkpoints(folder).resume(trainer)
    return trainer


def run(trainer, data, folder, *others, validation=None, **options):
    """Train with checkpoints as a new process would, resuming from the latest checkpoint if there is one."""
    torch.manual_seed(5)
    checkpoints = open_checkpoints(folder, **options)
    checkpoints.resume(trainer)
    return trainer.fit(data, validation, hooks=HookList([checkpoints, *others]), refresh=False)


def kill_at(step):
    def kill(trainer):
        raise SystemExit

    return At(step, kill)


def run_until_killed(trainer, data, folder, step, **options):
    with pytest.raises(SystemExit):
        run(trainer, data, folder, kill_at(step), **options)


def run_folder(folder, identity=IDENTITY):
    return folder / run_name(identity)


def files(folder):
    return sorted(os.listdir(run_folder(folder)))


def checkpoints_of(*steps):
    return [f"checkpoint-{step:09d}.safetensors" for step in steps]


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def assert_same_run(first, second):
    assert (first.epoch, first.step, first.images_seen) == (second.epoch, second.step, second.images_seen)
    assert [row["loss"] for row in first.history] == [row["loss"] for row in second.history]
    assert_equal_weights(first.model, second.model)
    assert_equal_weights(first.average.model, second.average.model)


#: Settings that each add to the state of a run.
SETTINGS = [
    {"timestep_sampling": "loss_second_moment"},
    {"decorrelation": "auto", "ordered": True, "code_dropout": 0.2},
    {"flip": True, "precision": "bf16", "encoder_view": RandomViews()},
]


@pytest.mark.parametrize("step", [1, 3, 8, 9])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_run_resumed_within_an_epoch_equals_an_uninterrupted_one(tmp_path, data, whole, settings, step):
    run_until_killed(make_trainer(**settings), data, tmp_path, step, **EVERY_STEP)
    resumed = resume(make_trainer(seed=7, **settings), tmp_path)
    assert resumed.step == step and len(resumed.current.losses) == (step - 1) % 3 + 1
    resumed = run(make_trainer(seed=7, **settings), data, tmp_path, **EVERY_STEP)
    assert_same_run(resumed, whole(**settings))
    assert (resumed.history[-1]["images"], len(resumed.history)) == (3 * 48, 3)


def test_a_run_resumed_while_the_encoder_is_frozen_equals_an_uninterrupted_one(tmp_path, data, monkeypatch):
    losses = {1: 1.0, 2: 2.0, 3: 3.0}
    monkeypatch.setattr(Trainer, "validate", lambda self, _: {"validation_loss": losses.get(self.epoch, 9.0)})
    settings = {"encoder_view": RandomViews(), "max_epochs": 9, "n_iter_no_change": 4}
    options = EVERY_STEP | {"validation": trainers.make_data(NETWORK, 8, 1)}
    whole = run(make_trainer(**settings), data, tmp_path / "whole", **options)
    assert (whole.stopped, whole.freeze_step, whole.step) == ("early_stopping", 15, 17)
    run_until_killed(make_trainer(**settings), data, tmp_path, 16, **options)
    assert_same_run(run(make_trainer(seed=7, **settings), data, tmp_path, **options), whole)


# -- when checkpoints are written --------------------------------------------------------------------


def test_checkpoints_are_written_at_intervals_of_seconds(tmp_path, data):
    seen, clock = [], Clock()

    class Watch(Hooks):
        def step_end(self, trainer, loss):
            seen.append(files(tmp_path))

    # Hooks are called in order: time advances after the checkpoint of a step.
    run(make_trainer(max_epochs=2, budget=clock.budget(None)), data, tmp_path, Watch(), clock, every=2.0)
    assert seen == [checkpoints_of(*steps) for steps in ([], [], [3], [3], [3, 5], [3, 5])]
    # The end of the run is always written.
    assert files(tmp_path) == checkpoints_of(5, 6)


@pytest.mark.parametrize(
    ("every", "keep", "steps"),
    [("epoch", 9, [3, 6, 9]), ("epoch", 2, [6, 9]), ("epoch", 1, [9]), (1e6, 9, [9])],
)
def test_the_last_checkpoints_are_kept(tmp_path, data, every, keep, steps):
    folder = run_folder(tmp_path)
    incomplete = folder / ".checkpoint-000000001.safetensors.123.part"
    incomplete.mkdir(parents=True)
    (incomplete / "new").write_text("half of one")
    (folder / "notes.txt").write_text("mine")
    run(make_trainer(), data, tmp_path, every=every, keep=keep)
    assert files(tmp_path) == [*checkpoints_of(*steps), "notes.txt"]


def test_a_finished_run_is_extended_but_not_written_again(tmp_path, data):
    constant = {"final_learning_rate": 1.0}
    whole = run(make_trainer(**constant), data, tmp_path / "whole", every=1e6)
    assert run(make_trainer(max_epochs=2, **constant), data, tmp_path, every=1e6).stopped == "max_iter"
    times = []
    for _ in range(2):
        assert_same_run(run(make_trainer(seed=4, **constant), data, tmp_path, every=1e6), whole)
        times.append([(run_folder(tmp_path) / name).stat().st_mtime_ns for name in files(tmp_path)])
    assert times[0] == times[1]


# -- invalid and foreign checkpoints -----------------------------------------------------------------


def test_a_damaged_checkpoint_is_skipped_with_a_warning_that_names_it(tmp_path, data, whole):
    run_until_killed(make_trainer(), data, tmp_path, 7)
    damage(run_folder(tmp_path) / "checkpoint-000000006.safetensors")
    with pytest.warns(CheckpointWarning, match=r"checkpoint-000000006\.safetensors is damaged.*000000003"):
        resumed = run(make_trainer(seed=3), data, tmp_path)
    assert_same_run(resumed, whole())
    assert files(tmp_path) == checkpoints_of(6, 9)


def test_a_damaged_checkpoint_does_not_replace_a_valid_one(tmp_path, data):
    run_until_killed(make_trainer(), data, tmp_path, 7)
    damage(run_folder(tmp_path) / "checkpoint-000000006.safetensors")
    with pytest.warns(CheckpointWarning):
        run_until_killed(make_trainer(), data, tmp_path, 5, **EVERY_STEP)
    assert files(tmp_path) == checkpoints_of(4, 5)


def test_damaged_checkpoints_only_are_an_error(tmp_path, data):
    run(make_trainer(), data, tmp_path)
    for name in files(tmp_path):
        damage(run_folder(tmp_path) / name)
    with pytest.raises(PersistenceError, match=r"All 2 checkpoints .* are damaged.*delete them"):
        open_checkpoints(tmp_path)


def test_runs_share_a_folder_unless_checkpoints_were_moved(tmp_path, data):
    run(make_trainer(max_epochs=1), data, tmp_path)
    assert open_checkpoints(tmp_path, OTHER_IDENTITY).latest is None
    assert files(tmp_path) == checkpoints_of(3) and open_checkpoints(tmp_path).latest is not None
    run_folder(tmp_path, OTHER_IDENTITY).rmdir()
    run_folder(tmp_path).rename(run_folder(tmp_path, OTHER_IDENTITY))
    with pytest.raises(CheckpointMismatchError, match="another run, which differs in learning_rate, seed"):
        open_checkpoints(tmp_path, OTHER_IDENTITY)


# -- failing disks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["fsync", "mkdir", "replace"])
@pytest.mark.parametrize("lasting", [True, False], ids=["lasting", "once"])
def test_a_full_disk_is_warned_of_once_and_training_continues(tmp_path, data, monkeypatch, function, lasting):
    whole = run(make_trainer(max_epochs=5), data, tmp_path / "whole")

    def full_disk(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    fill_up = At(4, lambda trainer: monkeypatch.setattr(os, function, full_disk))
    free = At(99 if lasting else 7, lambda trainer: monkeypatch.undo())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trained = run(make_trainer(max_epochs=5), data, tmp_path, fill_up, free)
    monkeypatch.undo()
    (message,) = [str(w.message) for w in caught if w.category is CheckpointWarning]
    for part in (str(tmp_path), "No space left", "Training continues", "of step 3", "Free some space"):
        assert part in message
    assert_same_run(trained, whole)
    assert files(tmp_path) == checkpoints_of(*([3] if lasting else [12, 15]))
    # The last valid checkpoint can be resumed.
    assert_same_run(run(make_trainer(max_epochs=5, seed=8), data, tmp_path), whole)


def test_an_epoch_resumed_with_other_batches_sees_each_sample_once():
    epoch = Epoch.begin(torch.Generator().manual_seed(0), 48, 0.0, 0)
    first = next(epoch.batches(48, 16, 0))
    rest = list(epoch.batches(48, 8, 16))
    assert torch.cat([first, *rest]).sort().values.tolist() == list(range(48))
