"""Training that continues, and fits that are killed, interrupted, out of disk space or time, or diverge."""

import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV

import dmzrep
from dmzrep import DMZEncoder
from dmzrep._base import _random as random
from dmzrep.errors import CheckpointWarning, TrainingDivergedError, TrainingInterruptedWarning
from dmzrep.estimator import _fit as fitting
from dmzrep.estimator import _initialise
from dmzrep.estimator._attributes import affordable_prior, affords_probabilities, prior_seconds
from dmzrep.networks._encoders import ConvEncoder
from dmzrep.networks._linear_init import LinearInit
from dmzrep.training._loop import Trainer
from dmzrep.training.init import _cca
from dmzrep.training.init._linear import LEAST_ITERATIONS, itq_rotation
from tests.encoders import make_encoder

# Of 128 samples, 7 are held out: three steps per epoch.
TINY = {"latent_dim": 16, "width": (8,), "encoder_width": 8, "batch_size": 32, "max_iter": 1}
TINY |= {"random_state": 0, "device": "cpu"}
SCRIPT = Path(__file__).parent / "killed_training.py"


class Killed(BaseException):
    pass


def stop_at(monkeypatch, step, error=Killed):
    """Raise an error in place of a step."""
    train_step = Trainer.train_step

    def stopping(self, *args):
        if self.step == step:
            raise error
        return train_step(self, *args)

    monkeypatch.setattr(Trainer, "train_step", stopping)


def diverge_at(monkeypatch, step):
    """Make the loss of a step non-finite."""
    batch_loss = Trainer._batch_loss

    def diverging(self, *args):
        loss = batch_loss(self, *args)
        return loss * torch.nan if self.step + 1 == step else loss

    monkeypatch.setattr(Trainer, "_batch_loss", diverging)


# -- partial_fit and warm_start ----------------------------------------------------------------------


def test_partial_fit_continues_and_learns(digits):
    encoder = make_encoder(**TINY, gaussian_denoiser=False)
    for start in [0, 100, 200, 300] * 4:
        encoder.partial_fit(digits[start : start + 100])
    assert encoder.n_iter_ == 16
    assert encoder.history_["loss"].iloc[-4:].mean() < 0.9 * encoder.history_["loss"].iloc[:4].mean()


def test_a_small_later_chunk_keeps_the_prior_and_the_reports(digits):
    encoder = make_encoder(**TINY).partial_fit(digits)
    names = ("prior_", "code_report_", "code_summary_")
    before = [getattr(encoder, name) for name in names]
    encoder.partial_fit(digits[:40])
    assert all(getattr(encoder, name) is value for name, value in zip(names, before, strict=True))


def test_warm_start_continues_and_a_plain_fit_restarts(digits):
    warm = make_encoder(**TINY, warm_start=True).fit(digits[:64]).fit(digits[:64])
    cold = make_encoder(**TINY).fit(digits[:64]).fit(digits[:64])
    assert (warm.n_iter_, cold.n_iter_) == (2, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("latent_dim", 4),
        ("training__objective", "epsilon"),
        ("training__n_timesteps", 50),
        ("training__input_perturbation", 0.1),
    ],
)
def test_warm_start_refuses_another_model(digits, name, value):
    encoder = make_encoder(**TINY, warm_start=True).fit(digits[:64])
    with pytest.raises(ValueError, match=r"Training cannot continue.*warm_start=False"):
        encoder.set_params(**{name: value}).fit(digits[:64])


def test_a_fit_that_fails_keeps_the_fitted_encoder(vector_encoder, vectors):
    encoder = pickle.loads(pickle.dumps(vector_encoder))
    with pytest.raises(ValueError, match="needs images"):
        encoder.set_params(backbone="unet").fit(vectors[:, :4])
    assert np.array_equal(encoder.transform(vectors), vector_encoder.transform(vectors))


def test_the_encoder_is_frozen_at_the_end_of_fit_but_not_of_partial_fit(digits, monkeypatch):
    is_frozen, found = Trainer._is_frozen, []
    monkeypatch.setattr(Trainer, "_is_frozen", lambda self, n: found.append(is_frozen(self, n)) or found[-1])
    make_encoder(**TINY | {"max_iter": 4}).fit(digits[:128])
    assert any(found) and not found[0]
    found.clear()
    make_encoder(**TINY).partial_fit(digits[:128]).partial_fit(digits[128:256])
    assert found and not any(found)


# -- checkpoints -------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks")
@pytest.mark.parametrize(
    ("n_kills", "n_epochs"), [(3, 4), pytest.param(20, 40, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_a_run_that_is_killed_resumes_to_the_weights_of_an_uninterrupted_run(tmp_path, n_kills, n_epochs):
    environment = os.environ | {"PYTHONPATH": str(Path(dmzrep.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), str(tmp_path), str(n_kills), str(n_epochs)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"killed {n_kills} times" in done.stdout
    assert "identical bit for bit" in done.stdout


@pytest.mark.parametrize("random_state", [0, None])
def test_a_resumed_run_does_not_repeat_the_initialisation(digits, tmp_path, monkeypatch, random_state):
    params = TINY | {"max_iter": 2, "random_state": random_state, "checkpoint_dir": tmp_path}
    calls = []
    for name in ("are_aligned", "initialise", "draw_initial_samples"):
        function = getattr(fitting, name)
        counted = lambda *args, function=function, name=name: calls.append(name) or function(*args)  # noqa: E731
        monkeypatch.setattr(fitting, name, counted)
    with monkeypatch.context() as context, pytest.raises(Killed):
        stop_at(context, 4)
        make_encoder(**params, checkpoint_every=1e-9).fit(digits[:128])
    assert set(calls) == {"are_aligned", "initialise", "draw_initial_samples"}
    calls.clear()
    resumed = make_encoder(**params).fit(digits[:128])
    assert calls == []
    assert (resumed.init_, resumed.encoder_augment_, resumed.n_iter_) == ("cca", "affine", 2)
    if random_state is not None:
        whole = make_encoder(**params | {"checkpoint_dir": None}).fit(digits[:128])
        options = {"n_steps": 3, "random_state": 0}
        assert np.array_equal(resumed.sample(2, **options), whole.sample(2, **options))


def test_runs_of_other_parameters_or_data_share_a_checkpoint_folder(digits, tmp_path):
    params = TINY | {"checkpoint_dir": tmp_path}
    for other in ({"learning_rate": 0.01}, {"random_state": 1}, {"width": (16,)}, {"kl_weight": 1.0}):
        make_encoder(**params | other).fit(digits[:64])
    for data in (digits[64:128], digits[:64] / 255.0, digits[:64] * (np.arange(64) < 63)[:, None, None]):
        make_encoder(**params).fit(data)
    shared, alone = make_encoder(**params).fit(digits[:64]), make_encoder(**TINY).fit(digits[:64])
    assert np.array_equal(shared.transform(digits[:9]), alone.transform(digits[:9]))
    assert len(list(tmp_path.glob("run-*"))) == 8


def test_a_grid_search_shares_a_checkpoint_folder_and_resumes(digits, tmp_path):
    grid = {"learning_rate": [1e-3, 2e-3]}
    search = GridSearchCV(make_encoder(**TINY, checkpoint_dir=tmp_path), grid, cv=2, error_score="raise")
    scores = [search.fit(digits[:40]).cv_results_["mean_test_score"] for _ in range(2)]
    assert np.array_equal(*scores)
    # Two folds of two grid points, and the best on all data.
    assert len(list(tmp_path.glob("run-*"))) == 5


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        ("fsync", OSError(errno.ENOSPC, "No space left on device"), "No space left.*There is none yet"),
        ("replace", OSError(errno.EACCES, "Permission denied"), "Permission denied.*none yet.*writable"),
    ],
    ids=["full disk", "read-only folder"],
)
def test_a_full_disk_or_a_read_only_folder_does_not_stop_a_fit(
    digits, tmp_path, monkeypatch, function, error, message
):
    def fail(*args):
        raise error

    params = TINY | {"max_iter": 3}
    with monkeypatch.context() as context, pytest.warns(CheckpointWarning, match=message) as caught:
        context.setattr(os, function, fail)
        trained = make_encoder(**params, checkpoint_dir=tmp_path).fit(digits[:64])
    assert [w.category for w in caught].count(CheckpointWarning) == 1
    assert list(tmp_path.glob("run-*/*")) == []
    whole = make_encoder(**params).fit(digits[:64])
    assert np.array_equal(trained.transform(digits[:9]), whole.transform(digits[:9]))


def test_a_warm_start_resumes_from_its_own_checkpoints(digits, tmp_path, monkeypatch):
    params = TINY | {"max_iter": 2, "warm_start": True}
    whole = make_encoder(**params).fit(digits[:128]).fit(digits[:128])
    params["checkpoint_dir"] = tmp_path
    first = make_encoder(**params).fit(digits[:128])
    with monkeypatch.context() as context, pytest.raises(Killed):
        stop_at(context, 10)
        first.fit(digits[:128])
    resumed = make_encoder(**params).fit(digits[:128])
    assert (resumed.n_iter_, whole.n_iter_) == (4, 4)
    assert np.array_equal(resumed.transform(digits), whole.transform(digits))


def test_the_state_of_a_gpus_generator_is_restored_on_that_gpu_only(monkeypatch):
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
        # A run from a CPU has no state of a GPU.
        random.set_torch_states({"cpu": kept["cpu"]}, device)
    assert state["cuda:1"].tolist() == [0, 1, 2, 3]


# -- divergence --------------------------------------------------------------------------------------


def test_a_fit_that_diverges_keeps_the_last_finite_weights(digits, monkeypatch):
    params = TINY | {"final_learning_rate": 1.0, "encoder_augment": None, "warm_start": True}
    whole = make_encoder(**params | {"max_iter": 2}).fit(digits[:128])
    encoder = make_encoder(**params | {"max_iter": 5})
    with monkeypatch.context() as context:
        diverge_at(context, 7)
        message = r"loss became nan in epoch 3 \(step 7\).*lower learning_rate .*step 6; with warm_start"
        with pytest.raises(TrainingDivergedError, match=message) as caught:
            encoder.fit(digits[:128])
    assert caught.value.fitted == {}
    assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args
    assert (encoder.stopped_, encoder.n_iter_, len(encoder.history_)) == ("diverged", 2, 2)
    assert np.array_equal(encoder.transform(digits), whole.transform(digits))
    assert len(encoder.code_report_) == 16 and encoder.prior_ is not None
    encoder.set_params(learning_rate=1e-4).fit(digits[:128])
    assert (encoder.stopped_, encoder.n_iter_) == ("max_iter", 7)


def test_a_fit_that_diverges_in_its_first_step_leaves_the_encoder_unchanged(digits, monkeypatch):
    encoder, fitted = make_encoder(**TINY), make_encoder(**TINY).fit(digits[:64])
    before = fitted.transform(digits[:9])
    diverge_at(monkeypatch, 1)
    for one in (encoder, fitted):
        with pytest.raises(TrainingDivergedError, match="The estimator is as it was before"):
            one.fit(digits[:64])
    assert not hasattr(encoder, "model_")
    assert np.array_equal(fitted.transform(digits[:9]), before)


def test_partial_fit_continues_after_a_chunk_that_diverges(digits, monkeypatch):
    encoder = make_encoder(**TINY).partial_fit(digits[:128])
    with monkeypatch.context() as context:
        diverge_at(context, 6)
        with pytest.raises(TrainingDivergedError, match="keeps the averaged weights of step 5"):
            encoder.partial_fit(digits[128:256])
    assert encoder.n_iter_ == 2
    encoder.partial_fit(digits[256:384])
    assert encoder.n_iter_ == 3 and np.isfinite(encoder.transform(digits)).all()


# -- interruptions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "n_epochs"), [(1, 1), (4, 1), (5, 2), (9, 3)])
def test_an_interruption_keeps_the_model_and_counts_the_epochs_begun(digits, monkeypatch, step, n_epochs):
    stop_at(monkeypatch, step, KeyboardInterrupt)
    with pytest.warns(TrainingInterruptedWarning, match=f"in epoch {n_epochs}, after {step} steps"):
        encoder = make_encoder(**TINY | {"max_iter": 100, "validation_fraction": 0}).fit(digits[:128])
    assert (encoder.stopped_, encoder.n_iter_, len(encoder.history_)) == ("interrupted", n_epochs, n_epochs)
    assert encoder.history_["images"].iloc[-1] == 32 * step
    assert np.isfinite(encoder.transform(digits)).all()


class Broken:
    """Dataset with an item that can only be read a number of times."""

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
def test_an_error_of_a_dataset_names_the_item(digits, encoder, readings):
    with pytest.raises(OSError, match="cannot read the image") as caught:
        make_encoder(**TINY | {"max_iter": 9}).fit(Broken(digits[:64], 37, readings))
    assert caught.value.__notes__ == ["The dataset raised this for item 37."]
    with pytest.raises(OSError, match="cannot read the image") as caught:
        encoder.transform(Broken(digits[:64], 21, 0))
    assert caught.value.__notes__ == ["The dataset raised this for item 21."]


# -- time --------------------------------------------------------------------------------------------


class Clock:
    """Clock that only the test advances."""

    def __init__(self, monkeypatch):
        self.seconds = 100.0
        monkeypatch.setattr(DMZEncoder, "_clock", self)

    def __call__(self):
        return self.seconds

    def slow(self, monkeypatch, owner, name, seconds):
        """Make a method take some seconds, which may be a function of its first argument."""
        method = getattr(owner, name)

        def slowed(instance, *args, **options):
            self.seconds += seconds(args[0]) if callable(seconds) else seconds
            return method(instance, *args, **options)

        monkeypatch.setattr(owner, name, slowed)


def test_max_time_counts_the_seconds_before_an_interruption(digits, tmp_path, monkeypatch):
    clock = Clock(monkeypatch)
    clock.slow(monkeypatch, Trainer, "train_step", 1.0)
    params = TINY | {"max_iter": 99, "max_time": 10.0, "prior": "uniform", "validation_fraction": 0.0}
    params |= {"checkpoint_dir": tmp_path, "checkpoint_every": 2.0}
    with monkeypatch.context() as context, pytest.raises(Killed):
        stop_at(context, 7)
        make_encoder(**params).fit(digits[:128])
    # The steps after the checkpoint of the sixth step and their seconds are lost.
    clock.seconds += 50.0
    resumed = make_encoder(**params).fit(digits[:128])
    assert resumed.stopped_ == "max_time"
    assert (resumed.history_["images"].iloc[-1], resumed.history_["seconds"].iloc[-1]) == (320, 10.0)


@pytest.mark.parametrize("init", ["cca", "itq"])
@pytest.mark.parametrize("seconds", [20.0, 200.0])
def test_max_time_covers_all_of_fit(digits, monkeypatch, seconds, init):
    clock = Clock(monkeypatch)
    clock.slow(monkeypatch, Trainer, "train_step", 0.5)
    # Initialisation, statistics, validation and report would take minutes altogether.
    clock.slow(monkeypatch, ConvEncoder, "forward", lambda x: 0.05 * len(x))
    clock.slow(monkeypatch, LinearInit, "features", lambda x: 0.02 * len(x))
    begun = clock.seconds
    params = TINY | {"max_iter": 10_000, "max_time": seconds, "init": init}
    encoder = make_encoder(**params).fit(digits[:1000])
    assert encoder.stopped_ == "max_time"
    # At most one more batch of each phase: initialisation, the report, two views for training, validation,
    # calibration.
    assert 0.7 * seconds < clock.seconds - begun < 1.1 * seconds + 0.05 * (64 + 256 + 2 * 32 + 32 + 64)
    assert len(encoder.code_report_) == 16 and encoder.prior_ is not None


@pytest.mark.parametrize(("max_iter", "share"), [(0, 0.75), (1, 0.3)])
def test_an_initialisation_without_training_takes_most_of_the_time(digits, monkeypatch, max_iter, share):
    clock, ends = Clock(monkeypatch), []
    begun = clock.seconds
    clock.slow(monkeypatch, LinearInit, "features", lambda x: 0.02 * len(x))
    common = _cca.common_directions
    monkeypatch.setattr(
        _cca, "common_directions", lambda *arguments: ends.append(clock.seconds) or common(*arguments)
    )
    make_encoder(**TINY | {"max_iter": max_iter, "max_time": 40.0, "init": "cca"}).fit(digits[:1000])
    # 0.15 of it is kept, and features of three views of up to 256 images follow the last look at the clock.
    assert 0.85 * share * 40.0 <= ends[0] - begun < 0.85 * share * 40.0 + 3 * 256 * 0.02


def test_the_denoiser_is_initialised_from_many_samples_after_a_slow_encoder(digits, monkeypatch):
    clock, n_samples = Clock(monkeypatch), []
    clock.slow(monkeypatch, Trainer, "train_step", 1.0)
    # The directions of the encoder take longer than all of the initialisation should.
    common = _cca.common_directions

    def slow_directions(*arguments):
        clock.seconds += 30.0
        return common(*arguments)

    monkeypatch.setattr(_cca, "common_directions", slow_directions)
    clock.slow(monkeypatch, ConvEncoder, "forward", lambda x: 0.005 * len(x))
    init_gaussian = _initialise.init_gaussian
    monkeypatch.setattr(
        _initialise, "init_gaussian", lambda *args: n_samples.append(len(args[1])) or init_gaussian(*args)
    )
    params = TINY | {"max_iter": 10_000, "max_time": 60.0, "init": "cca", "gaussian_denoiser": True}
    make_encoder(**params).fit(digits[:1000])
    # 0.15 of 0.3 of 60 seconds, and batches of 64 samples.
    assert n_samples == [576]


@pytest.mark.parametrize(("seconds", "expected"), [(0, LEAST_ITERATIONS), (3, LEAST_ITERATIONS + 3)])
def test_iterations_of_the_initialisation_end_when_their_time_is_up(monkeypatch, seconds, expected):
    data = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))
    left, calls = iter(range(seconds, -100, -1)), []
    svd = torch.linalg.svd
    monkeypatch.setattr(torch.linalg, "svd", lambda x, **options: calls.append(x) or svd(x, **options))
    itq_rotation(data, torch.Generator().manual_seed(0), time_left=lambda: next(left))
    assert len(calls) == expected


@pytest.mark.parametrize(("seconds", "name"), [(20.0, "auto"), (8.0, "autoregressive"), (5.0, "chow_liu")])
def test_priors_are_chosen_by_the_time_that_is_left(seconds, name):
    assert affordable_prior(64, 20_000, seconds) == name
    assert affordable_prior(64, 1000, seconds) == "auto"


@pytest.mark.parametrize(("limit", "expected"), [(None, True), (780.0, True), (120.0, False)])
def test_priors_are_fitted_to_probabilities_if_time_suffices(limit, expected):
    assert affords_probabilities("auto", 64, 20_000, limit) == expected
    assert affords_probabilities("auto", 64, 1000, limit)


def test_only_autoregressive_priors_take_longer_for_probabilities():
    for name, more in (("auto", 12.0), ("resampled", 12.0), ("chow_liu", 0.0), ("mixture", 0.0)):
        longer = prior_seconds(name, 64, 20_000, to_probabilities=True)
        assert longer - prior_seconds(name, 64, 20_000) == more
