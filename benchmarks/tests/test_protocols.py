"""Expected average precision with ties, published protocols and near-duplicates, on small data."""

import itertools

import numpy as np
import pytest

from benchmarks import near_duplicates, protocols, report_protocols
from benchmarks.code_quality import expected_average_precision
from benchmarks.datasets import ImageData
from benchmarks.results import read


@pytest.mark.parametrize("k", range(1, 7))
def test_expected_average_precision_is_the_mean_over_all_orders(k):
    random = np.random.default_rng(k)
    index, queries = (random.random((n, 2)) < 0.5 for n in (6, 5))
    index_labels, query_labels = np.array([0, 1, 1, 2, 0, 1]), np.array([0, 1, 2, 3, 1])
    expected = []
    for query, label in zip(queries, query_labels, strict=True):
        distances = (index != query).sum(axis=1)
        for order in map(list, itertools.permutations(range(6))):
            nearest = np.array(order)[np.argsort(distances[order], kind="stable")][:k]
            right = index_labels[nearest] == label
            precision = np.cumsum(right) / np.arange(1, k + 1)
            expected.append((precision * right).sum() / max(1, right.sum()))
    found = expected_average_precision(index, index_labels, queries, query_labels, k)
    assert found == pytest.approx(np.mean(expected))


def test_protocols_append_each_row_once_and_make_a_section(monkeypatch, tmp_path, digits):
    monkeypatch.setattr(protocols, "load_cifar10", lambda folder: digits)
    random = np.random.default_rng(0)
    np.savez(
        tmp_path / "features.npz", train=random.normal(size=(500, 24)), test=random.normal(size=(100, 24))
    )
    options = ["--data", "", "--results", str(tmp_path), "--protocol"]
    few = ["--bits", "8", "16", "--contenders", "initialised", "PCA", "PCA, random rotation", "ITQ"]
    for _ in range(2):
        protocols.main([*options, "hashing", *few, "--features", str(tmp_path / "features.npz")])
        protocols.main([*options, "latent_quality", "--seconds", "0.5", "--contenders", "default", "PCA"])
    rows = read(protocols.RESULTS, tmp_path)
    hashing = [row for row in rows if row["protocol"] == "hashing"]
    assert len(hashing) == 12 and len(rows) == 17
    scores = {(row["name"], row["input"], row["latent_dim"]): row["map_at_1000"] for row in hashing}
    assert scores["ITQ", "pixels", 16] > 0.3 > scores["ITQ", "EfficientNet-lite0", 16] > 0.05
    assert {row["form"] for row in rows[-5:]} == {"logits", "probabilities", "bits", "floats"}
    monkeypatch.setattr(report_protocols, "read", lambda name: rows)
    page = report_protocols.protocols_section()
    assert f"| ITQ | pixels | {scores['ITQ', 'pixels', 8]:.3f} |" in page
    assert "default, 0.5 s of training | bits | 1 |" in page and "0.461 ± 0.003" in page


@pytest.fixture
def pictures():
    """Smooth random colour images."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (300, 4, 4, 3)).repeat(4, axis=1).repeat(4, axis=2)
    smooth = sum(np.roll(coarse, shift, axis=axis) for shift in (-2, 0, 2) for axis in (1, 2)) / 6
    return smooth.astype(np.uint8)


@pytest.mark.parametrize("name", near_duplicates.EDITS)
def test_edits_are_small_and_seeded(name, pictures):
    edit, image = near_duplicates.EDITS[name], pictures[0]
    one, two = (edit(image, np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(one, two) and one.shape == image.shape and one.dtype == np.uint8
    changed = np.abs(one.astype(float) - image)
    assert changed.mean() > 0.0
    if name != "mirror":
        assert changed.mean() < np.abs(pictures[1].astype(float) - image).mean() / 2


def test_copies_are_found_and_make_a_section(monkeypatch, tmp_path, pictures):
    data = ImageData(pictures[:200], pictures[200:], None, None)
    monkeypatch.setattr(near_duplicates, "load_cifar10", lambda folder: data)
    names = ["initialised, mirrored views", "ITQ", "average hash", "difference hash", "DCT hash", "pixels"]
    options = ["--data", "", "--results", str(tmp_path), "--contenders", *names]
    for _ in range(2):
        near_duplicates.main(options)
    rows = read(near_duplicates.RESULTS, tmp_path)
    assert [row["form"] for row in rows] == ["logits", "bits", "floats", "bits", *["bits"] * 3, "floats"]
    for row in rows:
        assert 0.1 < row["average_precision"] <= 1.0 and row["best_f1"] <= 1.0
        assert row["recall"]["JPEG"] == 1.0 or row["form"] != "floats"
    monkeypatch.setattr(report_protocols, "read", lambda name: rows)
    page = report_protocols.near_duplicates_section()
    assert f"| cifar10 | pixels | floats, Euclidean | 1 | {rows[-1]['average_precision']:.3f} |" in page
