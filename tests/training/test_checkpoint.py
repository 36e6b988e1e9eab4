import errno
import os
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.errors import (
    CheckpointMismatchError,
    CheckpointWarning,
    PersistenceError,
    TrainingDivergedError,
)
from dmzrep.files import _container as persistence
from dmzrep.networks._model import DiffusionAutoencoder, NetworkConfig, memory_format
from dmzrep.training import (
    Checkpoints,
    HookList,
    Hooks,
    Trainer,
    TrainingData,
)
from dmzrep.training.distributed import _processes as processes
from tests.encoders import make_config

NETWORK = NetworkConfig((2, 8, 8), 4, "unet", (8,), (1, 1), encoder_width=4, dropout=0.1)
SETTINGS = make_config(max_epochs=3, batch_size=16, warmup_steps=2, ema_half_life=100.0)
IDENTITY = {"learning_rate": 1e-3, "seed": 0}
# Three steps an epoch.
N_ROWS = 48


def make_trainer(seed=0, **settings):
    torch.manual_seed(seed)
    model = DiffusionAutoencoder(NETWORK).to(memory_format=memory_format(NETWORK))
    return Trainer(model, Objective(NoiseSchedule.named("cosine", 6)), replace(SETTINGS, **settings), seed)


@pytest.fixture
def data():
    rows = np.random.default_rng(0).normal(size=(N_ROWS, 2, 8, 8)).astype(np.float32)

    def prepare(raw):
        return raw.contiguous(memory_format=torch.channels_last)

    return TrainingData(rows, prepare, np.arange(N_ROWS), torch.device("cpu"))


def checkpoints(folder, identity=IDENTITY, **options):
    hooks = Checkpoints(folder, **options)
    hooks.begin(identity, {"init_": "itq"})
    return hooks


def run(trainer, data, folder, *others, **options):
    """Train with checkpoints, from the folder's if there is one, in a process of its own as it were."""
    torch.manual_seed(5)
    hooks = checkpoints(folder, **options)
    hooks.resume(trainer)
    return trainer.fit(data, hooks=HookList([hooks, *others]), refresh=False)


def names(folder):
    return sorted(os.listdir(folder))


class DieAt(Hooks):
    """Ends the process after a step, as it were: nothing that would tidy up is told."""

    def __init__(self, step):
        self.step = step

    def step_end(self, trainer, loss):
        if trainer.step == self.step:
            raise SystemExit


def die(trainer, data, folder, step, **options):
    with pytest.raises(SystemExit):
        run(trainer, data, folder, DieAt(step), **options)


def assert_same_run(first, second):
    assert (first.epoch, first.step, first.images_seen) == (second.epoch, second.step, second.images_seen)
    assert [row["loss"] for row in first.history] == [row["loss"] for row in second.history]
    for part in ("model", "average"):
        a, b = (trainer.state()[part] for trainer in (first, second))
        assert [name for name in a if not torch.equal(a[name], b[name])] == []


#: Each has a state of its own to be kept.
KINDS = [
    {"timestep_sampling": "high_noise"},
    {"timestep_sampling": "loss_second_moment"},
    {"decorrelation": "auto", "ordered": True},
    {"flip": True, "precision": "bf16"},
]


@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_a_run_taken_up_from_a_file_is_the_run_that_never_stopped(tmp_path, data, settings):
    folder = tmp_path / "new" / "folder"
    whole = run(make_trainer(**settings), data, tmp_path / "other")
    die(make_trainer(**settings), data, folder, 5)
    resumed = make_trainer(seed=7, **settings)
    checkpoints(folder).resume(resumed)
    assert (resumed.epoch, resumed.step, resumed.current) == (1, 3, None)
    resumed = run(make_trainer(seed=7, **settings), data, folder)
    assert_same_run(resumed, whole)


@pytest.mark.parametrize("step", [1, 2, 3, 4, 8, 9])
@pytest.mark.parametrize("settings", KINDS[1:3], ids=str)
def test_a_run_taken_up_in_the_midst_of_an_epoch_is_the_run_that_never_stopped(
    tmp_path, data, settings, step
):
    whole = run(make_trainer(**settings), data, tmp_path / "other")
    die(make_trainer(**settings), data, tmp_path, step, every=1e-9)
    resumed = make_trainer(seed=7, **settings)
    checkpoints(tmp_path).resume(resumed)
    assert resumed.step == step and len(resumed.current.losses) == (step - 1) % 3 + 1
    resumed = run(make_trainer(seed=7, **settings), data, tmp_path, every=1e-9)
    assert_same_run(resumed, whole)
    assert (resumed.history[-1]["images"], len(resumed.history)) == (3 * N_ROWS, 3)


def test_many_deaths_at_any_step_change_nothing(tmp_path, data):
    whole = run(make_trainer(), data, tmp_path / "other")
    draw, step = np.random.default_rng(0), 0
    while step < 8:
        # Only the first of them starts; the others have nothing of their own.
        trainer = make_trainer(seed=step)
        step = min(step + int(draw.integers(1, 3)), 8)
        die(trainer, data, tmp_path, step, every=1e-9)
    assert_same_run(run(make_trainer(seed=9), data, tmp_path, every=1e-9), whole)


class Clock(Hooks):
    """A second passes in each step, and at no other time."""

    def __init__(self, monkeypatch):
        self.seconds = 100.0
        monkeypatch.setattr(processes, "time", self)

    def perf_counter(self):
        return self.seconds

    def step_end(self, trainer, loss):
        self.seconds += 1.0


def test_seconds_between_checkpoints(tmp_path, data, monkeypatch):
    seen = []

    class Watch(Hooks):
        def step_end(self, trainer, loss):
            seen.append(names(tmp_path))

    # Hooks are called in order: a step's second passes after its checkpoint would be written.
    run(make_trainer(max_epochs=2), data, tmp_path, Watch(), Clock(monkeypatch), every=2.0)
    steps = [[int(name[11:20]) for name in step] for step in seen]
    assert steps == [[], [], [3], [3], [3, 5], [3, 5]]
    # The run's end is kept whatever the time.
    assert names(tmp_path) == [f"checkpoint-{step:09d}.safetensors" for step in (5, 6)]


@pytest.mark.parametrize(("every", "count"), [("epoch", 3), (1e6, 1)])
def test_checkpoints_of_epochs_or_of_the_end_alone(tmp_path, data, every, count):
    run(make_trainer(), data, tmp_path, every=every, keep=9)
    assert len(names(tmp_path)) == count


def test_the_end_of_a_run_is_kept_and_a_longer_one_goes_on_from_it(tmp_path, data):
    steady = {"final_learning_rate": 1.0}
    whole = run(make_trainer(**steady), data, tmp_path / "other", every=1e6)
    short = run(make_trainer(max_epochs=2, **steady), data, tmp_path, every=1e6)
    assert short.stopped == "max_iter"
    resumed = run(make_trainer(seed=4, **steady), data, tmp_path, every=1e6)
    assert_same_run(resumed, whole)
    again = make_trainer(seed=4, **steady)
    written = [(tmp_path / name).stat().st_mtime_ns for name in names(tmp_path)]
    assert_same_run(run(again, data, tmp_path, every=1e6), whole)
    assert written == [(tmp_path / name).stat().st_mtime_ns for name in names(tmp_path)]


def test_seconds_before_a_stop_count(tmp_path, data, monkeypatch):
    clock, timed = Clock(monkeypatch), {"max_time": 5.0, "max_epochs": 99}
    with pytest.raises(SystemExit):
        run(make_trainer(**timed), data, tmp_path, clock, DieAt(4), every=1e-9)
    clock.seconds += 1000.0
    resumed = make_trainer(**timed)
    checkpoints(tmp_path).resume(resumed)
    assert (resumed.step, resumed.seconds) == (3, 3.0)
    run(resumed, data, tmp_path, clock, every=1e-9)
    assert (resumed.stopped, resumed.step, resumed.history[-1]["seconds"]) == ("max_time", 5, 5.0)
    # Nothing is left of the time.
    late = run(make_trainer(**timed), data, tmp_path, clock, every=1e-9)
    assert (late.stopped, late.step) == ("max_time", 5)


def test_a_run_after_a_run_is_taken_up_where_it_stood(tmp_path, data):
    first = make_trainer(max_epochs=2).fit(data)
    whole, dying = (make_trainer(max_epochs=2, seed=1) for _ in range(2))
    for trainer in (whole, dying):
        trainer.load_state(first.state(), new_run=True)
    whole.fit(data, refresh=False)
    with pytest.raises(SystemExit):
        dying.fit(data, hooks=HookList([checkpoints(tmp_path, every=1e-9), DieAt(8)]))
    resumed = run(make_trainer(max_epochs=2), data, tmp_path)
    assert resumed.epoch == 4
    assert_same_run(resumed, whole)


# -- the folder --------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_the_last_checkpoints_are_kept_and_nothing_else_is(tmp_path, data, keep):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / ".checkpoint-000000001.safetensors.123.part").write_text("half of one")
    run(make_trainer(max_epochs=3), data, tmp_path, keep=keep)
    kept = [f"checkpoint-{step:09d}.safetensors" for step in (3, 6, 9)][-keep:]
    assert names(tmp_path) == [*kept, "notes.txt"]


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoints(tmp_path).found is None
    trainer = make_trainer()
    checkpoints(tmp_path).resume(trainer)
    assert trainer.step == 0


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_checkpoint_is_passed_over_with_a_warning_that_names_it(tmp_path, data):
    whole = run(make_trainer(), data, tmp_path / "other")
    folder = tmp_path / "run"
    die(make_trainer(), data, folder, 7)
    damage(folder / "checkpoint-000000006.safetensors")
    with pytest.warns(CheckpointWarning, match=r"checkpoint-000000006\.safetensors is damaged.*000000003"):
        resumed = run(make_trainer(seed=3), data, folder)
    assert_same_run(resumed, whole)
    assert names(folder) == [f"checkpoint-{step:09d}.safetensors" for step in (6, 9)]


def test_a_damaged_checkpoint_does_not_push_out_a_whole_one(tmp_path, data):
    die(make_trainer(), data, tmp_path, 7)
    damage(tmp_path / "checkpoint-000000006.safetensors")
    with pytest.warns(CheckpointWarning):
        die(make_trainer(), data, tmp_path, 5, every=1e-9)
    assert names(tmp_path) == [f"checkpoint-{step:09d}.safetensors" for step in (4, 5)]


def test_checkpoints_none_of_which_is_whole_raise(tmp_path, data):
    run(make_trainer(), data, tmp_path)
    for name in names(tmp_path):
        damage(tmp_path / name)
    with pytest.raises(PersistenceError, match=r"None of the 2 checkpoints .* is whole.*delete them"):
        Checkpoints(tmp_path)


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"checkpoint_dir='.*file' must be a folder.*Name another"):
        Checkpoints(str(tmp_path / "file"))


def test_a_checkpoint_of_another_run_is_refused_with_the_differences(tmp_path, data):
    run(make_trainer(max_epochs=1), data, tmp_path)
    message = r"learning_rate: checkpoint 0.001, now 0.1; seed: .* now 3\. Use another folder"
    with pytest.raises(CheckpointMismatchError, match=message):
        checkpoints(tmp_path, {"learning_rate": 0.1, "seed": 3})


# -- disks that fail ---------------------------------------------------------------------------------


def full_disk(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("where", ["fsync", "open", "replace"])
@pytest.mark.parametrize("lasting", [True, False], ids=["lasting", "once"])
def test_a_full_disk_is_warned_of_once_and_training_goes_on(tmp_path, data, monkeypatch, where, lasting):
    whole = run(make_trainer(max_epochs=5), data, tmp_path / "other")
    folder = tmp_path / "run"

    class FillsUp(Hooks):
        def step_end(self, trainer, loss):
            if trainer.step == 4:
                owner = persistence if where == "open" else os
                monkeypatch.setattr(owner, where, full_disk, raising=False)
            if trainer.step == 7 and not lasting:
                monkeypatch.undo()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trained = run(make_trainer(max_epochs=5), data, folder, FillsUp())
    monkeypatch.undo()
    messages = [str(w.message) for w in caught if w.category is CheckpointWarning]
    assert len(messages) == 1
    for part in (str(folder), "No space left on device", "Training goes on", "of step 3", "Free some space"):
        assert part in messages[0]
    assert_same_run(trained, whole)
    kept = [3] if lasting else [12, 15]
    assert names(folder) == [f"checkpoint-{step:09d}.safetensors" for step in kept]
    # The last good one is whole, and what came after it is made again from it.
    assert_same_run(run(make_trainer(max_epochs=5, seed=8), data, folder), whole)


def test_a_folder_that_cannot_be_written_to_is_warned_of(tmp_path, data, monkeypatch):
    def read_only(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(persistence, "open", read_only, raising=False)
    with pytest.warns(CheckpointWarning, match=r"Permission denied.*There is none so far.*writable"):
        trained = run(make_trainer(), data, tmp_path)
    assert trained.stopped == "max_iter" and names(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_folder_is_warned_of(tmp_path, data):
    folder = tmp_path / "run"
    run(make_trainer(max_epochs=1), data, folder)
    folder.chmod(0o500)
    try:
        with pytest.warns(CheckpointWarning, match="Permission denied"):
            assert run(make_trainer(), data, folder).epoch == 3
    finally:
        folder.chmod(0o700)
    assert names(folder) == ["checkpoint-000000003.safetensors"]


def test_a_run_that_goes_wrong_leaves_a_sound_checkpoint(tmp_path, data):
    class Spoil(Hooks):
        def step_end(self, trainer, loss):
            if trainer.step == 5:
                with torch.no_grad():
                    for parameter in trainer.model.parameters():
                        parameter.fill_(torch.nan)

    with pytest.raises(TrainingDivergedError):
        run(make_trainer(), data, tmp_path, Spoil(), every=1e-9)
    resumed = make_trainer()
    checkpoints(tmp_path).resume(resumed)
    assert resumed.step == 5
    assert all(torch.isfinite(tensor).all() for tensor in resumed.state()["average"].values())
