"""The benchmark of starts, and its part of the results page."""

import numpy as np
import pandas as pd
import torch

from benchmarks import datasets, report_choices, results, starts
from benchmarks.datasets import ImageData
from dmzrep.networks._linear_init import LinearInit
from dmzrep.training import init_linear


def stand_in(n=120):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    labels = pd.DataFrame({"bright": (images.mean(axis=(1, 2, 3)) > 127).astype(int)})
    return ImageData(images, images[:4], labels, labels[:4])


def test_roots_of_differences_are_what_the_start_from_the_layout_sees(monkeypatch):
    monkeypatch.setattr(starts, "FITTED", 20)
    x = torch.rand(20, 3, 8, 8)
    own = LinearInit((3, 8, 8), 4, "contrast")
    init_linear(own, x, "scaled_itq", torch.Generator().manual_seed(0))
    torch.testing.assert_close(starts.contrast(x), own.features(x))


def test_rows_make_the_page(monkeypatch, tmp_path):
    for name, value in {"FITTED": 80, "SCORED": 40, "BITS": 8}.items():
        monkeypatch.setattr(starts, name, value)
    monkeypatch.setattr(starts, "load_avatars", lambda folder: stand_in())
    small = datasets.ImageSet(lambda folder: stand_in(), 8, 10, 100)
    monkeypatch.setattr(starts, "SETS", {"posed": small})
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(starts.results.append, "__defaults__", (tmp_path,))
    starts.main(["--data", str(tmp_path)])
    rows = results.read("starts", tmp_path)
    assert [row["what"] for row in rows] == ["misfit of augmented views"] * 3 + ["start"] * 6
    assert all(0.0 <= row["auroc_bits"] <= 1.0 for row in rows[3:]) and 0.3 < rows[0]["ratio"] < 3.0
    monkeypatch.setattr(report_choices, "read", lambda name: rows)
    page = report_choices.starts_section()
    assert f"| roots of differences | PCA | {rows[7]['auroc_logits']} | {rows[7]['auroc_bits']} |" in page
