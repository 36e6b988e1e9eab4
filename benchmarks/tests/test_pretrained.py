"""The benchmark of bits from pretrained features."""

import numpy as np
import torch
from torch import nn

from benchmarks import pretrained, results
from benchmarks.datasets import ImageData


def test_rows_have_scores_and_features_are_computed_once(monkeypatch, tmp_path):
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (120, 8, 8, 3), dtype=np.uint8), np.arange(120) % 2
    images[labels == 1] //= 2
    data = ImageData(images, images[:20], labels, labels[:20])
    small = pretrained.SETS["cifar10"].__class__(lambda folder: data, 8, 20, 100)
    monkeypatch.setattr(pretrained, "SETS", {"cifar10": small})
    monkeypatch.setattr(pretrained, "BITS", 8)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.ReLU()).requires_grad_(False)
    monkeypatch.setattr(pretrained, "EfficientNetLite0", lambda: network)
    options = ["--data", "", "--features", str(tmp_path / "features"), "--results", str(tmp_path)]
    options += ["--seeds", "0", "--seconds", "2", "--part", "test"]
    pretrained.main(options)
    rows = results.read("pretrained", tmp_path)
    assert [row["name"] for row in rows] == ["features", *pretrained.LINEAR, "DMZEncoder"]
    assert all(0.0 <= row["probe_bits"] <= 1.0 for row in rows[1:]) and rows[-1]["reconstruction_mse"] > 0
    assert np.load(tmp_path / "features" / "train_100.npy").shape == (100, 16)
    pretrained.main(options)
    assert len(results.read("pretrained", tmp_path)) == len(rows)
