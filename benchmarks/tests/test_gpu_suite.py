"""The GPU suite: its parts on a CPU, what it leaves out, and how it goes on."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from benchmarks import gpu_suite, results
from benchmarks.gpu_correctness import TOLERANCES, Reference
from benchmarks.gpu_figures import draw_all
from benchmarks.gpu_scale import Scale, smoke_scale
from benchmarks.gpu_speed import CONTENDERS, contender, training_speed
from benchmarks.gpu_suite import RESULTS, Part, Suite, main
from benchmarks.rates import matmul_rate

CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")


class Chosen(Suite):
    """A suite of given parts."""

    def __init__(self, out, parts, minutes=8.0):
        super().__init__(out, None, minutes, ["default"], smoke_scale(), CPU)
        self.chosen = parts

    def parts(self):
        yield from self.chosen


def part(name, row=None, *, seconds=0.0, missing=None):
    def measure():
        if row is None:
            raise RuntimeError("it broke")
        return row

    return Part({"part": name}, seconds, measure, missing)


def test_rows_come_as_parts_end_and_are_not_measured_again(tmp_path):
    rows = Chosen(tmp_path, [part("a", {"value": 1.0}), part("b"), part("c", {"value": 3.0})]).run()
    assert [row["part"] for row in rows] == ["a", "b", "c"]
    assert rows[1]["error"] == "RuntimeError: it broke" and "torch" in rows[0]["environment"]
    # A part that failed is tried again, the others are left alone.
    rows = Chosen(tmp_path, [part("a", {"value": 7.0}), part("b", {"value": 2.0})]).run()
    assert [(row["part"], row.get("value")) for row in rows[3:]] == [("b", 2.0)]


def test_parts_without_time_or_means_say_so(tmp_path):
    parts = [part("a", {}, seconds=100.0), part("b", {}, missing="no card"), part("c", {"value": 1.0})]
    rows = Chosen(tmp_path, parts, minutes=1.0).run()
    assert "about 100 s are needed" in rows[0]["skipped"] and rows[1]["skipped"] == "no card"
    rows = Chosen(tmp_path, parts[:1], minutes=10.0).run()
    assert len(rows) == 4 and "skipped" not in rows[3]


def test_the_parts_follow_what_is_there(tmp_path, monkeypatch):
    results.append(RESULTS, {"part": "machine", "matmul_tflops_bfloat16": 1.0}, tmp_path)
    absent = {"diffusers"}
    real = gpu_suite.importlib.util.find_spec
    monkeypatch.setattr(
        gpu_suite.importlib.util, "find_spec", lambda name: None if name in absent else real(name)
    )
    parts = list(Suite(tmp_path, None, 8.0, ["wide"], Scale(), CPU).parts())
    missing = {json.dumps(p.key): p.missing for p in parts}
    assert len(missing) == len(parts)
    of_authors = [p for p in parts if p.key.get("contender") == CONTENDERS[1]]
    assert of_authors and all(p.missing == "diffusers is not installed" for p in of_authors)
    trainings = [p for p in parts if p.key["part"] == "training"]
    assert [p.key["set"] for p in trainings] == ["cifar10", "avatars"]
    assert all(p.missing == "no --data were given" for p in trainings)
    assert sum(p.key["seconds_asked"] for p in trainings) == 240.0
    (tmp_path / "avatars64.npz").touch()
    parts = list(Suite(tmp_path, tmp_path, 8.0, ["wide"], Scale(), CPU).parts())
    trainings = [p.missing for p in parts if p.key["part"] == "training"]
    assert trainings == ["cifar10_jpeg.npz is not in --data", None]
    assert all(p.missing for p in parts if p.key["part"] == "codes")
    # Compiled networks come last, when all else is done.
    assert [p.key["compiled"] for p in parts[-3:]] == [True] * 3


def test_the_contenders_of_the_papers_recipe_are_of_one_size():
    pytest.importorskip("diffusers")
    ours, theirs = (contender(name, smoke_scale(), 128, CPU, False) for name in CONTENDERS[:2])
    config = theirs.backbone.unet.config
    assert tuple(config.block_out_channels) == ours.width and config.layers_per_block == ours.depth
    assert config.dropout == ours.dropout
    for name in ("objective", "learn_variance", "input_perturbation", "batch_size", "encoder", "latent_dim"):
        assert getattr(ours, name) == getattr(theirs, name)


@pytest.mark.parametrize("name", ["default", "paper"])
def test_the_cpu_agrees_with_itself(name):
    row = Reference(name, smoke_scale()).compare("float32", CPU)
    assert row["passed"] and row["logits_difference"] == row["outputs_difference"] == 0.0
    assert row["losses"] == row["losses_of_the_cpu"] and row["bits_that_agree"] == 1.0
    assert len(set(row["losses"])) == len(row["losses"])


def test_a_device_that_computes_something_else_does_not_pass(monkeypatch):
    monkeypatch.setitem(TOLERANCES, "bf16", (1e-9, 1e-9))
    row = Reference("default", smoke_scale()).compare("bf16", CPU)
    assert not row["passed"] and 1e-9 < row["outputs_difference"] < 0.05
    assert 1e-9 < row["losses_difference"] < 0.05


def test_speed_is_that_of_whole_steps():
    scale = smoke_scale()
    row = training_speed(CONTENDERS[0], 4, False, CPU, scale, 1e12)
    assert row["images_per_second"] > 0.0 and row["gflop_an_image"] > 0.01
    share = row["gflop_an_image"] * 1e9 * row["images_per_second"] / 1e12
    assert row["share_of_bf16_matmul"] == pytest.approx(share, rel=0.02, abs=1e-4)
    assert matmul_rate(CPU, torch.float32, 64) > 0.0


def test_the_suite_needs_no_optional_packages():
    code = (
        "import sys\n"
        "for name in ('captum', 'faiss', 'matplotlib', 'diffusers', 'PIL', 'pyarrow'):\n"
        "    sys.modules[name] = None\n"
        "from benchmarks import gpu_suite\n"
        "print(gpu_suite.RESULTS)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "gpu_suite"


def test_out_of_memory_is_a_result(monkeypatch):
    def full(*arguments):
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr("benchmarks.gpu_speed._step", full)
    assert training_speed(CONTENDERS[2], 4, False, CPU, smoke_scale(), 1e12) == {"out_of_memory": True}


def test_figures_need_no_model(tmp_path):
    pytest.importorskip("matplotlib")
    speed = {"part": "speed", "contender": "ours", "batch_size": 4, "compiled": False, "autotuned": True}
    about = {"set": "cifar10", "config": "wide", "seconds_asked": 1.0}
    curve = {"seconds": [1.0, 2.0], "loss": [0.5, 0.4], "validation_loss": [0.6, 0.5]}
    real = {"part": "samples", "set": "cifar10", "config": None, "steps": None, "frechet_distance": 0.5}
    rows = [
        speed | {"images_per_second": 10.0, "share_of_bf16_matmul": 0.1},
        speed | {"out_of_memory": True},
        {"part": "training", **about, "curve": curve},
        {"part": "samples", **about, "steps": 2, "frechet_distance": 3.0},
        {"part": "samples", **about, "steps": 5, "error": "it broke"},
        real,
    ]
    assert draw_all(rows, {}, tmp_path) == ["speed.png", "training.png", "frechet.png"]
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("speed.png", "frechet.png"))
    assert draw_all([], {}, tmp_path) == []


@pytest.mark.slow
def test_a_try_measures_every_part_and_goes_on(tmp_path, monkeypatch):
    pytest.importorskip("diffusers")
    rows = main(["--smoke", "--out", str(tmp_path)])
    assert not [row for row in rows if "error" in row]
    assert {row["skipped"] for row in rows if "skipped" in row} == {
        "compiling takes longer than a try should"
    }
    assert {row["part"] for row in rows} == {
        *("machine", "correctness", "speed", "use", "training", "codes", "samples")
    }
    assert all(row["passed"] for row in rows if row["part"] == "correctness")
    numbers = [value for row in rows for value in row.values() if isinstance(value, float)]
    assert np.isfinite(numbers).all()
    assert any("accuracy_bits" in row for row in rows) and any("auroc_bits" in row for row in rows)
    assert math.isfinite(next(row["frechet_distance"] for row in rows if row["part"] == "samples"))
    pictures = {path.name for path in tmp_path.glob("*.png")}
    assert {"speed.png", "frechet.png", "training.png", "pictures-avatars-default.png"} <= pictures

    def measured_again(*arguments):
        raise AssertionError("a row that was there was measured again")

    monkeypatch.setattr(gpu_suite, "training_speed", measured_again)
    again = main(["--smoke", "--out", str(tmp_path)])
    assert not [row for row in again if "error" in row]
