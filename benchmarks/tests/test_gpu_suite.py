"""The GPU suite: its parts on a CPU, what it leaves out, and how it goes on."""

import math

import numpy as np
import pytest
import torch

from benchmarks import gpu_suite
from benchmarks.gpu_correctness import TOLERANCES, Reference, compare_fits
from benchmarks.gpu_scale import smoke_scale
from benchmarks.gpu_suite import Part, Suite, main

CPU = torch.device("cpu")


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


def test_fits_on_the_cpu_agree():
    row = compare_fits(CPU, 64, max_iter=1)
    assert row["passed"] and row["initial_bits_that_agree"] == 1.0
    assert row["validation_loss"] == row["validation_loss_of_the_cpu"]


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


@pytest.mark.slow
def test_a_try_measures_every_part_and_goes_on(tmp_path, monkeypatch):
    pytest.importorskip("diffusers")
    rows = main(["--smoke", "--out", str(tmp_path)])
    assert not [row for row in rows if "error" in row]
    assert {row["skipped"] for row in rows if "skipped" in row} == {
        "compilation is too slow for a smoke test"
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
