"""The examples, run as users run them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
QUICKSTART_FIGURES = {"overview", "reconstructions", "neighbors", "beard", "eyeglasses", "new_faces"}


def run(name, *options):
    """Run an example and return the finished process."""
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_quickstart_prints_its_table_and_saves_figures(tmp_path):
    results = tmp_path / "results.jsonl"
    done = run("quickstart", "--seconds", 2, "--out", tmp_path / "out", "--results", results)
    assert done.returncode == 0, done.stderr
    pictures = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert pictures == {f"{name}.png" for name in QUICKSTART_FIGURES}
    assert all(f"Saved {tmp_path / 'out' / name}" in done.stdout for name in pictures)
    codes = json.loads(results.read_text())["codes"]
    assert all(name in done.stdout for name in codes)
    assert {"DMZ bits", "DMZ logits", "ITQ bits", "PCA components", "pixels"} <= set(codes)
    # The quality after two seconds depends on the machine; that of the initialisation does not.
    assert 0.7 < codes["DMZ bits"]["AUROC"] < codes["DMZ logits"]["AUROC"] < 1.0
    assert codes["DMZ bits"]["bytes per image"] == 16


#: What each example prints, and the figures that it saves.
FIGURES = {
    "probe_attributes": ("Linear probes of 15 attributes", {"probes"}),
    "search_avatars": ("300 images became 8 bytes each", {"neighbors", "neighbors_narrowed"}),
    "what_drives_a_bit": (
        "The bits that change images most",
        {"bits", "bits_and_attributes", "attribute", "distance"},
    ),
    "edit_attributes": ("added to 32 images", {"edit_warm", "edit_large", "edit_low"}),
    "walk_between_faces": ("smooth   mean", {"walks", "walks_by_path", "walks_from_noised_images"}),
    "sample_in_few_steps": ("Bits per dimension of 100 test images", {"steps", "priors"}),
    "grid_search": ("2-fold cross-validation", {"code_lengths"}),
    "transfer_emoji": (
        "test images is among the 10 nearest",
        {"transfer_emoji", "transfer_emoji_ranks", "transfer"},
    ),
    "transfer_edges": (
        "test images is among the 10 nearest",
        {"transfer_edges", "transfer_edges_ranks", "transfer"},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_example_prints_its_table_and_saves_its_figures(name, tmp_path):
    text, figures = FIGURES[name]
    done = run(name, "--seconds", 1, "--images", 300, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert text in done.stdout
    assert {path.stem for path in (tmp_path / "out").iterdir()} == figures


#: Options, printed text and saved files of each example that starts worker processes.
PROCESSES = {
    "encode_with_dask": (
        ["--seconds", 1, "--images", 3000, "--chunk", 1000],
        "Their codes are equal up to rounding.",
        {"images.npy", "codes.npy"},
    ),
    "grid_search_with_dask": (
        ["--epochs", 1, "--images", 200],
        "The scores are identical.",
        {"grid_search_with_dask.csv"},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PROCESSES)
def test_example_with_workers_equals_one_process(name, tmp_path):
    options, text, files = PROCESSES[name]
    done = run(name, *options, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert text in done.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == files


@pytest.mark.slow
def test_workers_encode_images_of_a_file(tmp_path):
    np.save(tmp_path / "X.npy", np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), dtype=np.uint8))
    options = ["--data", tmp_path / "X.npy", "--seconds", 1, "--chunk", 20, "--out", tmp_path]
    done = run("encode_with_dask", *options)
    assert done.returncode == 0, done.stderr
    assert "50 images in chunks of 20" in done.stdout
    assert "Their codes are equal up to rounding." in done.stdout
    assert np.load(tmp_path / "codes.npy").shape == (50, 64)


def test_missing_data_are_reported_with_their_path(tmp_path):
    done = run("search_avatars", "--data", tmp_path)
    assert done.returncode == 1
    assert f"There is no {tmp_path / 'avatars64.npz'}" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    [
        ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
        # Without GPUs these processes train on CPUs.
        ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"],
    ],
    ids=["torchrun", "accelerate"],
)
def test_one_script_fits_in_two_processes(launcher, tmp_path):
    script = str(ROOT / "examples" / "distributed_fit.py")
    arguments = ["--seconds", "2", "--images", "600", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", *launcher, script, *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 processes,") == 1 and "DMZEncoder.fit" in done.stderr
    assert (tmp_path / "out" / "distributed.safetensors").exists()
