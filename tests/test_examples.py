"""The examples, run as users run them."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dmzrep import DMZEncoder, Sampling
from dmzrep.datasets import load_avatars

ROOT = Path(__file__).parent.parent
QUICKSTART_FIGURES = {"overview", "reconstructions", "neighbors", "beard", "eyeglasses", "new_faces"}


def run(name, *options, **settings):
    """Run an example and return the finished process."""
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **settings)


def test_quickstart_prints_its_table_and_saves_figures(tmp_path, monkeypatch, capsys):
    # Fewer images, attributes and denoising steps; otherwise as users run it.
    monkeypatch.setitem(Sampling.__init__.__kwdefaults__, "n_steps", 2)
    X, Y = load_avatars(return_X_y=True)
    few = X[-1800:], Y[["beard", "eyeglasses", "sunglasses", "hat"]][-1800:].reset_index(drop=True)
    monkeypatch.setattr("dmzrep.datasets.load_avatars", lambda return_X_y: few)
    results = tmp_path / "results.jsonl"
    options = ["--seconds", 2, "--out", tmp_path / "out", "--results", results]
    monkeypatch.setattr(sys, "argv", ["quickstart.py", *map(str, options)])
    runpy.run_path(str(ROOT / "examples" / "quickstart.py"), run_name="__main__")
    printed = capsys.readouterr().out
    pictures = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert pictures == {f"{name}.png" for name in QUICKSTART_FIGURES}
    assert all(f"Saved {tmp_path / 'out' / name}" in printed for name in pictures)
    codes = json.loads(results.read_text())["codes"]
    assert all(name in printed for name in codes)
    assert {"DMZ bits", "DMZ logits", "ITQ bits", "PCA components", "pixels"} <= set(codes)
    # The quality after two seconds depends on the machine; that of the initialisation does not.
    assert 0.7 < codes["DMZ bits"]["AUROC"] < codes["DMZ logits"]["AUROC"] < 1.0
    assert codes["DMZ bits"]["bytes per image"] == 16


@pytest.fixture(scope="module")
def avatars_encoder(tmp_path_factory):
    """Return the file of a briefly trained encoder, which scripts of the gallery load."""
    path = tmp_path_factory.mktemp("encoder") / "avatars.safetensors"
    X, _ = load_avatars(return_X_y=True)
    DMZEncoder(128, max_time=5, random_state=0).fit(X[:3500]).save(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", [path.stem for path in sorted((ROOT / "examples").glob("plot_*.py"))])
def test_script_of_the_gallery_runs(name, avatars_encoder, tmp_path):
    shutil.copy(avatars_encoder, tmp_path)
    environment = os.environ | {"MPLBACKEND": "Agg", "TMPDIR": str(tmp_path)}
    done = run(name, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "avatars.safetensors").read_bytes() == avatars_encoder.read_bytes()


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
