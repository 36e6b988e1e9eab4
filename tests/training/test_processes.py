"""Several processes learn what one process learns."""

import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from dmzrep.training import find_processes
from tests.encoders import make_encoder
from tests.training.distributed_fits import ALONE, CASES, describe, fit_in_parts, load_images

SCRIPT = Path(__file__).parent / "distributed_fits.py"
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of two launched processes, with a checkpoint of one process that they resume."""
    folder = tmp_path_factory.mktemp("distributed")
    params = ALONE | {"max_iter": 2, "checkpoint_every": 1e-9, "checkpoint_keep": 1}
    make_encoder(**params, checkpoint_dir=folder / "checkpoints 0").fit(load_images())
    shutil.copytree(folder / "checkpoints 0", folder / "checkpoints alone")
    # The script imports helpers of the tests.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[2])}
    command = [*LAUNCH, str(SCRIPT), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1200)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def results(folder):
    """Return the results of both processes by name."""
    both = [pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in range(2)]
    return {name: [of_rank.get(name) for of_rank in both] for name in both[1]}


def assert_identical(first, second):
    assert [name for name in first if first[name].tobytes() != second[name].tobytes()] == []


def cancel_biases(weights):
    """Subtract biases, whose gradients are rounding errors, from the running means that cancel them."""
    weights, convolutions = dict(weights), "encoder.convolutions."
    pairs = {f"encoder.{part}.linear.bias": "encoder.norm.running_mean" for part in ("head", "linear_init")}
    pairs |= {f"{convolutions}{i}.bias": f"{convolutions}{i + 1}.running_mean" for i in range(0, 99, 3)}
    for bias, mean in pairs.items():
        if bias in weights:
            weights[mean] = weights[mean] - weights.pop(bias)
    return weights


def assert_close(found, encoder):
    found, expected = cancel_biases(found), cancel_biases(describe(encoder, load_images()))
    assert found.pop("stopped") == expected.pop("stopped")
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", CASES)
def test_two_processes_learn_what_one_learns(results, name):
    assert_identical(*results[name])
    assert_close(results[name][0], make_encoder(**ALONE | CASES[name]).fit(load_images()))


def test_partial_fit_and_warm_start_are_distributed(results):
    assert_identical(*results["parts"])
    assert_close(results["parts"][0], fit_in_parts(load_images(), ALONE))


def test_each_sample_is_seen_once_per_epoch_by_one_process(results):
    shards = results["samples"]
    assert len(shards[0]) == len(shards[1]) == 3 * 96 / 16
    assert all(len(shard) == 8 for shard in shards[0] + shards[1])
    for epoch in range(3):
        seen = [x for rank in shards for shard in rank[6 * epoch : 6 * epoch + 6] for x in shard]
        assert len(set(seen)) == len(seen) == 96


@pytest.mark.parametrize(
    ("name", "stopped"),
    [("no seed", "max_iter"), ("time", "max_time"), ("interrupted", "interrupted"), ("custom", "max_iter")],
)
def test_processes_share_seeds_time_limits_and_interruptions(results, name, stopped):
    assert_identical(*results[name])
    assert results[name][0]["stopped"] == stopped
    if name == "interrupted":
        # With five steps per epoch, the seventh step is in the second epoch.
        assert len(results[name][0]["history"]) == 2


def test_only_the_first_process_writes_checkpoints(folder, results):
    assert not (folder / "checkpoints 1").exists()
    assert len(list((folder / "checkpoints 0").glob("run-*/*"))) == 2


def test_two_processes_resume_a_run_of_one(folder, results):
    params = ALONE | {"max_iter": 5, "checkpoint_every": 1e-9}
    alone = make_encoder(**params, checkpoint_dir=folder / "checkpoints alone").fit(load_images())
    assert alone.n_iter_ == 5
    assert_identical(*results["resumed"])
    assert_close(results["resumed"][0], alone)


def test_processes_with_different_parameters_or_data_raise(results):
    for errors in results["errors"]:
        assert [message for message, error in errors.items() if message not in error] == []


def test_an_error_in_one_process_ends_the_others(results):
    (first, first_group), (second, second_group) = results["failed"]
    assert "damaged" in second and first != "no error"
    assert not first_group and not second_group


def test_a_process_group_of_the_script_is_used_and_left_as_it_is(results):
    assert results["survived"] == [(True, True, 2.0)] * 2
    assert_identical(results["script's group"][0], results["default"][0])


def test_a_fit_leaves_no_process_group_and_no_environment_variable(results):
    assert results["left"] == [(False, True)] * 2


def test_a_launched_process_trains_alone_by_default(results):
    assert_close(results["alone"][1], make_encoder(**ALONE).fit(load_images()))


def test_distributed_training_needs_a_launcher_and_the_main_thread(monkeypatch):
    encoder = make_encoder(**ALONE, distributed=True)
    with pytest.raises(ValueError, match=r"Start the script with 'torchrun.*distributed=False"):
        encoder.fit(load_images())
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="needs the main thread"):
        pool.submit(encoder.fit, load_images()).result()
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: "a process")
    with pytest.raises(ValueError, match="Use n_jobs=None"):
        encoder.fit(load_images())


def test_distributed_training_on_mps_is_refused(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(ValueError, match="cannot share an MPS device"), find_processes("mps", True):
        pass
