"""Several processes learn what one does."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed

from benchmarks import processes, results
from dmzrep.training import Processes, find_processes
from dmzrep.training.distributed._processes import LAUNCHED, LAUNCHER, _is_launched
from tests.encoders import make_encoder
from tests.training.distributed.fitted_together import (
    CASES,
    TINY,
    ends_with,
    fit_by_and_by,
    grid_search,
    images,
)

CPU = torch.device("cpu")
SCRIPT = Path(__file__).parent / "fitted_together.py"
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two processes have written; both have gone on from a checkpoint that one process has left."""
    folder = tmp_path_factory.mktemp("together")
    params = TINY | {"max_iter": 2, "checkpoint_every": 1e-9, "checkpoint_keep": 1}
    make_encoder(**params, checkpoint_dir=folder / "checkpoints 0").fit(images())
    shutil.copytree(folder / "checkpoints 0", folder / "checkpoints alone")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*LAUNCH, str(SCRIPT), str(folder)], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return folder


def both(folder, name):
    return [np.load(folder / f"{name} {rank}.npz") for rank in range(2)]


def assert_equal(first, second):
    assert [name for name in first.files if first[name].tobytes() != second[name].tobytes()] == []


def without_idle_biases(ended):
    """Take biases from the running means that undo them: normalised away, they follow rounding alone."""
    ended, encoder = dict(ended), "encoder.convolutions."
    pairs = {f"encoder.{part}.linear.bias": "encoder.norm.running_mean" for part in ("head", "start")}
    pairs |= {f"{encoder}{i}.bias": f"{encoder}{i + 1}.running_mean" for i in range(0, 99, 3)}
    for bias, mean in pairs.items():
        if bias in ended:
            ended[mean] = ended[mean] - ended.pop(bias)
    return ended


def assert_close(found, expected):
    found, expected = without_idle_biases(found), without_idle_biases(expected)
    assert found.pop("stopped") == expected.pop("stopped")
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", CASES)
def test_two_processes_end_alike_and_as_one_does(folder, name):
    first, second = both(folder, name)
    assert_equal(first, second)
    alone = ends_with(make_encoder(**TINY | CASES[name]).fit(images()), images())
    assert_close(first, alone)


def test_chunks_and_warm_starts_are_shared_too(folder):
    first, second = both(folder, "by and by")
    assert_equal(first, second)
    assert_close(first, ends_with(fit_by_and_by(images()), images()))


def test_a_grid_search_fits_one_setting_after_the_other(folder):
    scores = [json.loads((folder / f"scores {rank}.json").read_text()) for rank in range(2)]
    assert scores[0] == scores[1] and len(set(scores[0])) == 2
    np.testing.assert_allclose(scores[0], grid_search(images()), rtol=1e-4)


def test_each_row_is_seen_once_an_epoch_by_one_of_the_processes(folder):
    steps = [json.loads((folder / f"rows {rank}.json").read_text()) for rank in range(2)]
    assert len(steps[0]) == len(steps[1]) == 3 * 96 / 16
    assert all(len(rows) == 8 for rows in steps[0] + steps[1])
    for epoch in range(3):
        part = slice(6 * epoch, 6 * epoch + 6)
        seen = [row for share in steps for rows in share[part] for row in rows]
        assert len(set(seen)) == len(seen) == 96


@pytest.mark.parametrize("name", ["no seed", "time", "interrupted", "resumed"])
def test_processes_agree_on_what_only_the_first_knows(folder, name):
    first, second = both(folder, name)
    assert_equal(first, second)
    stopped = {"time": "max_time", "interrupted": "interrupted"}.get(name, "max_iter")
    assert str(first["stopped"]) == stopped


def test_ctrl_c_in_one_process_ends_all_between_two_steps(folder):
    history = both(folder, "interrupted")[0]["history"]
    # Six steps of 16 images an epoch of 91 rows allows five.
    assert len(history) == 2


def test_only_the_first_process_writes_checkpoints(folder):
    assert not (folder / "checkpoints 1").exists()
    assert len(list((folder / "checkpoints 0").iterdir())) == 2


def test_two_processes_go_on_where_one_has_stopped(folder):
    params = TINY | {"max_iter": 5, "checkpoint_every": 1e-9}
    alone = make_encoder(**params, checkpoint_dir=folder / "checkpoints alone").fit(images())
    assert alone.n_iter_ == 5
    assert_close(both(folder, "resumed")[0], ends_with(alone, images()))


def test_processes_that_differ_or_cannot_share_a_batch_are_refused(folder):
    for rank in range(2):
        messages = json.loads((folder / f"messages {rank}.json").read_text())
        assert "they differ in data" in messages["data"]
        assert "they differ in temperature" in messages["parameters"]
        assert "they differ in max_iter" in messages["epochs"]
        assert "they differ in checkpoint_dir" in messages["checkpoints"]
        assert "Training has 1 rows, too few for 2 processes" in messages["rows"]
        assert "must be a folder" in messages["folder"]
        assert "batch_size must be a multiple of 2" in messages["batch size"]


def test_a_backbone_of_the_users_that_is_uneven_ends_alike(folder):
    """Its batch normalisation is of each process's rows, and it leaves a layer out at random."""
    assert_equal(*both(folder, "own backbone"))


def test_an_error_in_one_process_ends_the_others_and_later_fits(folder):
    told = [json.loads((folder / f"parted {rank}.json").read_text()) for rank in range(2)]
    assert "damaged" in told[1][0] and told[0][0] != "no error"
    assert all("Start the script again" in later for _, later in told)


@pytest.fixture
def launched(monkeypatch):
    """An environment in which this process is the first of two."""
    for name, value in zip(LAUNCHER, ("localhost", "1", "2", "0", "0"), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(LAUNCHED, f"localhost 1 2 0 0 {os.getpid()}")
    return monkeypatch


def test_threads_and_workers_of_a_launched_process_train_alone(launched):
    found = []
    thread = threading.Thread(target=lambda: found.append(find_processes(CPU)))
    thread.start()
    thread.join()
    found += Parallel(2)(delayed(find_processes)(CPU) for _ in range(2))
    assert [type(one) for one in found] == [Processes] * 3


@pytest.mark.parametrize(("name", "value"), [*((name, "") for name in LAUNCHER), ("WORLD_SIZE", "auto")])
def test_an_environment_that_no_launcher_has_made_changes_nothing(launched, name, value):
    launched.setenv(name, value)
    assert type(find_processes(CPU)) is Processes


def test_a_launcher_in_a_launched_process_counts_anew(launched):
    launched.setenv("MASTER_PORT", "2")
    assert _is_launched() and os.environ[LAUNCHED] == f"localhost 2 2 0 0 {os.getpid()}"


def test_several_processes_on_mps_are_refused(launched):
    with pytest.raises(ValueError, match="Use device='cpu', or start the script alone"):
        find_processes(torch.device("mps"))


def test_one_process_is_all_processes():
    alone, x = Processes(), torch.arange(6.0)
    alone.meet()
    assert torch.equal(alone.mine(x), x) and torch.equal(alone.whole(x), x)
    assert alone.from_first("it") == "it" and alone.from_all("it") == ["it"]
    assert alone.sum_gradients([], x[1]) == 1.0 and alone.rows(6) == slice(0, 6)


def test_without_accelerate_the_message_says_what_to_install(launched):
    launched.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ImportError, match=r"pip install 'dmzrep\[distributed\]'"):
        find_processes(CPU)


@pytest.mark.slow
def test_the_benchmark_compares_numbers_of_processes(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (256, 28, 28), dtype=np.uint8)
    labels = np.zeros(256, dtype=np.int64)
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    arguments = ["--data", str(tmp_path), "--results", str(tmp_path), "--batch-sizes", "32"]
    arguments += ["--seconds", "1", "--rounds", "1", "--images", "128"]
    processes.main(arguments)
    processes.main(arguments)
    rows = results.read("processes", tmp_path)
    assert [(row["processes"], row["apart"]) for row in rows] == [(1, False), (2, False), (2, True)]
    assert all(row["images_per_second"] > 10 for row in rows)
