"""Several processes learn what one does."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from dmzrep.training import Processes, find_processes
from tests.encoders import make_encoder
from tests.training.distributed.fitted_together import (
    CASES,
    TINY,
    ends_with,
    fit_by_and_by,
    grid_search,
    images,
)

pytestmark = pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")
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
        [*LAUNCH, str(SCRIPT), str(folder)], capture_output=True, text=True, env=environment, timeout=1200
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
    assert_close(first, ends_with(fit_by_and_by(images(), TINY), images()))


def test_a_grid_search_fits_one_setting_after_the_other(folder):
    scores = [json.loads((folder / f"scores {rank}.json").read_text()) for rank in range(2)]
    assert scores[0] == scores[1] and len(set(scores[0])) == 2
    np.testing.assert_allclose(scores[0], grid_search(images(), TINY), rtol=1e-4)


def test_each_sample_is_seen_once_an_epoch_by_one_of_the_processes(folder):
    steps = [json.loads((folder / f"samples {rank}.json").read_text()) for rank in range(2)]
    assert len(steps[0]) == len(steps[1]) == 3 * 96 / 16
    assert all(len(shard) == 8 for shard in steps[0] + steps[1])
    for epoch in range(3):
        part = slice(6 * epoch, 6 * epoch + 6)
        seen = [x for of_process in steps for shard in of_process[part] for x in shard]
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
    assert len(list((folder / "checkpoints 0").glob("run-*/*"))) == 2


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
        assert "Training has 1 samples, too few for 2 processes" in messages["too few"]
        assert "must be a folder" in messages["folder"]
        assert "batch_size must be a multiple of 2" in messages["batch size"]


def test_a_custom_denoiser_that_is_uneven_ends_alike(folder):
    """Its batch normalisation is of each process's shard, and it leaves a layer out at random."""
    assert_equal(*both(folder, "custom"))


def test_an_error_in_one_process_ends_the_others(folder):
    failures = [json.loads((folder / f"failed {rank}.json").read_text()) for rank in range(2)]
    assert "damaged" in failures[1][0] and failures[0][0] != "no error"
    assert not failures[0][1] and not failures[1][1]


def test_a_group_of_the_script_is_used_and_left_as_it_is(folder):
    for rank in range(2):
        failed, is_left, total = json.loads((folder / f"own group {rank}.json").read_text())
        assert failed != "no error" and is_left and total == 2.0
    assert_equal(both(folder, "own group")[0], both(folder, "default")[0])


def test_a_fit_leaves_no_group_and_no_environment_variable(folder):
    assert all(json.loads((folder / f"left {rank}.json").read_text()) == [False, True] for rank in range(2))


def test_a_launched_process_trains_alone_unless_told_otherwise(folder):
    alone = ends_with(make_encoder(**TINY).fit(images()), images())
    assert_close(np.load(folder / "alone 1.npz"), alone)


def test_workers_of_a_launched_process_are_refused(folder):
    for rank in range(2):
        assert "Use n_jobs=None" in json.loads((folder / f"in worker {rank}.json").read_text())


def test_one_process_needs_a_launcher_to_train_with_others():
    with pytest.raises(ValueError, match="Start the script with 'torchrun") as caught:
        make_encoder(**TINY, distributed=True).fit(images())
    assert "distributed=False" in str(caught.value)


def test_other_threads_are_refused():
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="needs the main thread"):
        pool.submit(make_encoder(**TINY, distributed=True).fit, images()).result()


def test_several_processes_on_mps_are_refused(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(ValueError, match="cannot share an MPS device"), find_processes("mps", True):
        pass


def test_one_process_is_all_processes():
    alone, x = Processes(), torch.arange(6.0)
    alone.barrier()
    assert torch.equal(alone.shard(x), x) and torch.equal(alone.all_gather(x), x)
    assert alone.broadcast_object("it") == "it" and alone.all_gather_object("it") == ["it"]
    assert alone.reduce_gradients([], x[1]) == 1.0
