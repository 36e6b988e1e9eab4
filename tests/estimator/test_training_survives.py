"""Fits that are killed, interrupted, out of disk or out of their depth."""

import errno
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import dmzrep
from dmzrep import DMZEncoder
from dmzrep._base import _random as random
from dmzrep.errors import CheckpointWarning, TrainingDivergedError, TrainingInterruptedWarning
from dmzrep.estimator import _fit as fitting
from dmzrep.networks._encoders import ConvEncoder
from dmzrep.networks._linear_init import LinearInit
from dmzrep.training._loop import Trainer
from dmzrep.training.init._linear import itq_rotation
from tests.encoders import make_encoder

pytestmark = pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")
# Of 128 rows, 7 are for validation: three steps an epoch.
TINY = {"latent_dim": 16, "width": 8, "encoder_width": 8, "batch_size": 32, "max_iter": 1}
TINY |= {"random_state": 0, "device": "cpu"}
SCRIPT = Path(__file__).parent / "killed_training.py"


# -- killed ------------------------------------------------------------------------------------------


def kill_and_resume(folder, n_kills, n_epochs):
    """Run the script, which kills; give what it prints."""
    environment = os.environ | {"PYTHONPATH": str(Path(dmzrep.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), str(n_kills), str(n_epochs)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks")
@pytest.mark.parametrize(
    ("n_kills", "n_epochs"), [(3, 6), pytest.param(20, 40, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_kills_at_any_instant_leave_the_weights_of_a_run_that_never_stopped(tmp_path, n_kills, n_epochs):
    printed = kill_and_resume(tmp_path, n_kills, n_epochs)
    assert f"killed {n_kills} times" in printed
    assert "the same to the bit" in printed


# -- checkpoints -------------------------------------------------------------------------------------


class Killed(BaseException):
    pass


def kill_at(monkeypatch, step):
    """Break the next fit off in its step, as it were by a kill."""
    made = Trainer.train_step

    def train_step(self, *args):
        if self.step == step:
            raise Killed
        return made(self, *args)

    monkeypatch.setattr(Trainer, "train_step", train_step)


@pytest.mark.parametrize("random_state", [0, None])
def test_a_run_that_goes_on_does_not_compute_its_start_again(digits, tmp_path, monkeypatch, random_state):
    params = TINY | {"max_iter": 2, "random_state": random_state, "checkpoint_dir": tmp_path}
    starts = []
    for name in (
        "are_aligned",
        "init_cca",
        "init_linear",
        "init_contrast_pca",
        "_initial_samples",
    ):
        made = getattr(fitting, name)
        counted = lambda *args, made=made, name=name: starts.append(name) or made(*args)  # noqa: E731
        monkeypatch.setattr(fitting, name, counted)
    with monkeypatch.context() as context, pytest.raises(Killed):
        kill_at(context, 4)
        make_encoder(**params, checkpoint_every=1e-9).fit(digits[:128])
    assert {"are_aligned", "init_cca", "_initial_samples"} <= set(starts)
    starts.clear()
    resumed = make_encoder(**params).fit(digits[:128])
    assert starts == []
    assert (resumed.init_, resumed.encoder_augment_, resumed.n_iter_) == ("cca", "affine", 2)
    if random_state is not None:
        whole = make_encoder(**params | {"checkpoint_dir": None}).fit(digits[:128])
        assert np.array_equal(resumed.transform(digits), whole.transform(digits))
        assert np.array_equal(
            resumed.sample(2, n_steps=3, random_state=0), whole.sample(2, n_steps=3, random_state=0)
        )


def test_fit_keeps_as_many_checkpoints_as_it_is_told(digits, tmp_path):
    make_encoder(**TINY | {"max_iter": 4}, checkpoint_dir=tmp_path, checkpoint_keep=3).fit(digits[:64])
    assert len(list(tmp_path.glob("run-*/checkpoint-*"))) == 3
    make_encoder(**TINY | {"max_iter": 4}, checkpoint_dir=tmp_path / "b", checkpoint_every=1e6).fit(
        digits[:64]
    )
    assert len(list(tmp_path.glob("b/run-*/checkpoint-*"))) == 1


def test_how_often_and_how_many_may_change_from_run_to_run(digits, tmp_path):
    make_encoder(**TINY, checkpoint_dir=tmp_path).fit(digits[:64])
    longer = {"max_iter": 2, "checkpoint_dir": tmp_path, "checkpoint_every": 5.0, "checkpoint_keep": 1}
    assert make_encoder(**TINY | longer).fit(digits[:64]).n_iter_ == 2


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"checkpoint_every": 0}, r"'checkpoint_every' parameter of DMZEncoder must be .*'epoch'.*Got 0"),
        ({"checkpoint_every": "step"}, r"'checkpoint_every' parameter .* Got 'step'"),
        ({"checkpoint_keep": 0}, r"'checkpoint_keep' parameter .* Got 0"),
    ],
    ids=str,
)
def test_bad_parameters_are_named(digits, tmp_path, params, message):
    with pytest.raises(ValueError, match=message):
        make_encoder(**TINY, checkpoint_dir=tmp_path, **params).fit(digits[:64])


def test_a_full_disk_stops_no_fit(digits, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as context, warnings.catch_warnings(record=True) as caught:
        context.setattr(os, "fsync", full)
        warnings.simplefilter("always")
        trained = make_encoder(**TINY | {"max_iter": 3}, checkpoint_dir=tmp_path).fit(digits[:64])
    assert len([w for w in caught if w.category is CheckpointWarning]) == 1
    assert list(tmp_path.glob("run-*/*")) == []
    whole = make_encoder(**TINY | {"max_iter": 3}).fit(digits[:64])
    assert np.array_equal(trained.transform(digits[:9]), whole.transform(digits[:9]))


def test_a_warm_start_goes_on_from_the_encoder_and_its_checkpoints_go_on_from_that(
    digits, tmp_path, monkeypatch
):
    params = TINY | {"max_iter": 2, "warm_start": True}
    whole = make_encoder(**params).fit(digits[:128]).fit(digits[:128])
    params["checkpoint_dir"] = tmp_path
    first = make_encoder(**params).fit(digits[:128])
    with monkeypatch.context() as context, pytest.raises(Killed):
        kill_at(context, 10)
        first.fit(digits[:128])
    resumed = make_encoder(**params).fit(digits[:128])
    assert (resumed.n_iter_, whole.n_iter_) == (4, 4)
    assert np.array_equal(resumed.transform(digits), whole.transform(digits))


def test_dropout_on_a_gpu_goes_on_where_it_stood(monkeypatch):
    state = {"cuda:1": torch.arange(4, dtype=torch.uint8)}
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: state[str(device)].clone())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda new, device: state.update({str(device): new}))
    device = torch.device("cuda", 1)
    kept = random.torch_states(device)
    assert kept.keys() == {"cpu", "cuda"} and kept["cuda"].tolist() == [0, 1, 2, 3]
    state["cuda:1"] = torch.zeros(4, dtype=torch.uint8)
    with torch.random.fork_rng(devices=[]):
        random.set_torch_states(kept, torch.device("cpu"))
        assert state["cuda:1"].tolist() == [0, 0, 0, 0]
        random.set_torch_states(kept, device)
        assert state["cuda:1"].tolist() == [0, 1, 2, 3]
        # A run from a CPU goes on with what the GPU has.
        random.set_torch_states({"cpu": kept["cpu"]}, device)
    assert state["cuda:1"].tolist() == [0, 1, 2, 3]


# -- diverged ----------------------------------------------------------------------------------------


def spoil_at(monkeypatch, step):
    """Make the loss of a step, and so its gradients, no numbers."""
    made = Trainer._batch_loss

    def batch_loss(self, *args):
        loss = made(self, *args)
        return loss * torch.nan if self.step + 1 == step else loss

    monkeypatch.setattr(Trainer, "_batch_loss", batch_loss)


def test_a_fit_that_diverges_leaves_the_last_good_weights(digits, monkeypatch):
    encoder = make_encoder(**TINY | {"max_iter": 5, "warm_start": True})
    with monkeypatch.context() as context:
        spoil_at(context, 7)
        message = (
            r"loss became nan in epoch 3 \(step 7\)\. What helps: lower learning_rate .*step 6; with warm"
        )
        with pytest.raises(TrainingDivergedError, match=message) as caught:
            encoder.fit(digits[:128])
    assert caught.value.fitted == {}
    assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args
    assert (encoder.stopped_, encoder.n_iter_, len(encoder.history_)) == ("diverged", 2, 2)
    assert np.isfinite(encoder.transform(digits)).all()
    assert encoder.sample(2, n_steps=3, random_state=0).shape == (2, 8, 8)
    assert len(encoder.code_report_) == 16 and encoder.prior_ is not None
    encoder.set_params(learning_rate=1e-4).fit(digits[:128])
    assert (encoder.stopped_, encoder.n_iter_) == ("max_iter", 7)


def test_the_good_weights_are_those_of_a_run_that_ended_there(digits, monkeypatch):
    steady = TINY | {"final_learning_rate": 1.0, "encoder_augment": None}
    whole = make_encoder(**steady | {"max_iter": 2}).fit(digits[:128])
    encoder = make_encoder(**steady | {"max_iter": 5})
    spoil_at(monkeypatch, 7)
    with pytest.raises(TrainingDivergedError):
        encoder.fit(digits[:128])
    assert np.array_equal(encoder.transform(digits), whole.transform(digits))


def test_a_fit_that_diverges_at_once_leaves_the_encoder_as_it_was(digits, monkeypatch):
    encoder, fitted = make_encoder(**TINY), make_encoder(**TINY).fit(digits[:64])
    before = fitted.transform(digits[:9])
    spoil_at(monkeypatch, 1)
    for tried in (encoder, fitted):
        with pytest.raises(TrainingDivergedError, match="The estimator is as it was before"):
            tried.fit(digits[:64])
    assert not hasattr(encoder, "model_")
    assert np.array_equal(fitted.transform(digits[:9]), before)


def test_a_chunk_that_diverges_leaves_the_last_good_weights_and_the_next_goes_on(digits, monkeypatch):
    encoder = make_encoder(**TINY).partial_fit(digits[:128])
    with monkeypatch.context() as context:
        spoil_at(context, 6)
        with pytest.raises(TrainingDivergedError, match="keeps the averaged weights of step 5"):
            encoder.partial_fit(digits[128:256])
    assert encoder.n_iter_ == 2
    encoder.partial_fit(digits[256:384])
    assert encoder.n_iter_ == 3 and np.isfinite(encoder.transform(digits)).all()


def test_a_diverged_run_is_not_gone_on_with_from_a_spoilt_checkpoint(digits, tmp_path, monkeypatch):
    params = TINY | {"max_iter": 5, "checkpoint_dir": tmp_path, "checkpoint_every": 1e-9}
    whole = make_encoder(**params | {"checkpoint_dir": None}).fit(digits[:128])
    with monkeypatch.context() as context, pytest.raises(TrainingDivergedError):
        spoil_at(context, 6)
        make_encoder(**params).fit(digits[:128])
    resumed = make_encoder(**params).fit(digits[:128])
    assert np.array_equal(resumed.transform(digits), whole.transform(digits))


# -- interrupted, and other ends ---------------------------------------------------------------------


@pytest.mark.parametrize(("step", "n_epochs"), [(1, 1), (4, 1), (5, 2), (9, 3)])
def test_an_interruption_counts_the_epochs_that_have_begun(digits, monkeypatch, step, n_epochs):
    made = Trainer.train_step

    def train_step(self, *args):
        if self.step == step:
            raise KeyboardInterrupt
        return made(self, *args)

    monkeypatch.setattr(Trainer, "train_step", train_step)
    with pytest.warns(TrainingInterruptedWarning, match=f"in epoch {n_epochs}, after {step} steps"):
        encoder = make_encoder(**TINY | {"max_iter": 100, "validation_fraction": 0}).fit(digits[:128])
    assert (encoder.n_iter_, len(encoder.history_)) == (n_epochs, n_epochs)
    assert encoder.history_["images"].iloc[-1] == 32 * step
    assert np.isfinite(encoder.transform(digits)).all()


def test_an_interrupted_fit_goes_on_from_its_last_checkpoint(digits, tmp_path, monkeypatch):
    params = TINY | {"max_iter": 3}
    whole = make_encoder(**params).fit(digits[:128])
    made = Trainer.train_step

    def train_step(self, *args):
        if self.step == 4:
            raise KeyboardInterrupt
        return made(self, *args)

    with monkeypatch.context() as context, pytest.warns(TrainingInterruptedWarning):
        context.setattr(Trainer, "train_step", train_step)
        make_encoder(**params, checkpoint_dir=tmp_path, checkpoint_every=1e-9).fit(digits[:128])
    resumed = make_encoder(**params, checkpoint_dir=tmp_path).fit(digits[:128])
    assert np.array_equal(resumed.transform(digits), whole.transform(digits))


class Broken:
    """A dataset of digits one of which cannot be read, from a given reading on."""

    def __init__(self, images, broken, readings):
        self.images, self.broken, self.readings = images, broken, readings

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        if i == self.broken:
            self.readings -= 1
            if self.readings < 0:
                raise OSError("cannot read the image")
        return self.images[i]


@pytest.mark.parametrize("readings", [0, 1, 2])
def test_a_dataset_that_raises_in_fit_names_the_item(digits, readings):
    with pytest.raises(OSError, match="cannot read the image") as caught:
        make_encoder(**TINY | {"max_iter": 9}).fit(Broken(digits[:64], 37, readings))
    assert caught.value.__notes__ == ["The dataset raised this for item 37."]


def test_a_dataset_that_raises_in_transform_names_the_item(digits, encoder):
    with pytest.raises(OSError, match="cannot read the image") as caught:
        encoder.transform(Broken(digits[:64], 21, 0))
    assert caught.value.__notes__ == ["The dataset raised this for item 21."]


def test_the_encoder_is_frozen_at_the_end_of_a_fit_and_never_in_a_chunk(digits, monkeypatch):
    made, found = Trainer._is_frozen, []
    monkeypatch.setattr(Trainer, "_is_frozen", lambda self, n: found.append(made(self, n)) or found[-1])
    make_encoder(**TINY | {"max_iter": 4}).fit(digits[:128])
    assert any(found) and not found[0]
    found.clear()
    encoder = make_encoder(**TINY)
    for chunk in (digits[:128], digits[128:256]):
        encoder.partial_fit(chunk)
    assert found and not any(found)


class Clock:
    """Seconds that pass only where a test says so."""

    def __init__(self, monkeypatch):
        self.seconds = 100.0
        monkeypatch.setattr(DMZEncoder, "_clock", self)

    def __call__(self):
        return self.seconds

    def slow(self, monkeypatch, owner, name, seconds):
        """Let a method take some seconds, or so many for each sample of its first argument."""
        made = getattr(owner, name)

        def slowed(instance, *args, **options):
            self.seconds += seconds(args[0]) if callable(seconds) else seconds
            return made(instance, *args, **options)

        monkeypatch.setattr(owner, name, slowed)


def test_max_time_counts_the_seconds_before_a_stop(digits, tmp_path, monkeypatch):
    clock = Clock(monkeypatch)
    clock.slow(monkeypatch, Trainer, "train_step", 1.0)
    params = TINY | {"max_iter": 99, "max_time": 10.0, "prior": "uniform", "validation_fraction": 0.0}
    params |= {"checkpoint_dir": tmp_path, "checkpoint_every": 2.0}
    with monkeypatch.context() as context, pytest.raises(Killed):
        kill_at(context, 7)
        make_encoder(**params).fit(digits[:128])
    # What came after the checkpoint of the sixth step is lost, with its seconds.
    clock.seconds += 50.0
    resumed = make_encoder(**params).fit(digits[:128])
    assert resumed.stopped_ == "max_time"
    assert (resumed.history_["images"].iloc[-1], resumed.history_["seconds"].iloc[-1]) == (320, 10.0)


@pytest.mark.parametrize("init", ["cca", "itq"])
@pytest.mark.parametrize("seconds", [20.0, 200.0])
def test_max_time_covers_all_of_fit(digits, monkeypatch, seconds, init):
    clock = Clock(monkeypatch)
    clock.slow(monkeypatch, Trainer, "train_step", 0.5)
    # All of it would take minutes: 1,000 images in the initialisation, statistics, validation and report.
    clock.slow(monkeypatch, ConvEncoder, "forward", lambda x: 0.05 * len(x))
    clock.slow(monkeypatch, LinearInit, "features", lambda x: 0.02 * len(x))
    begun = clock.seconds
    params = TINY | {"max_iter": 10_000, "max_time": seconds, "init": init}
    encoder = make_encoder(**params).fit(digits[:1000])
    assert encoder.stopped_ == "max_time"
    # A batch more of each phase, at most.
    assert 0.7 * seconds < clock.seconds - begun < 1.1 * seconds + 0.05 * (256 + 32 + 32)
    assert len(encoder.code_report_) == 16 and encoder.prior_ is not None


def test_iterations_of_the_initialisation_end_when_their_time_is_up(monkeypatch):
    data = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))
    seconds, calls = iter(range(3, -100, -1)), []
    svd = torch.linalg.svd
    monkeypatch.setattr(torch.linalg, "svd", lambda x: calls.append(x) or svd(x))
    itq_rotation(data, torch.Generator().manual_seed(0), time_left=lambda: next(seconds))
    assert len(calls) == 3
