"""The harness of quality against training time, on digits and tiny networks."""

import dataclasses

import numpy as np
import pytest

from benchmarks import results, training_time
from benchmarks.training_time import RESULTS, flat_residue, main
from dmzrep import DMZEncoder

pytestmark = pytest.mark.filterwarnings("ignore:.*covariance is singular")

PIXEL = np.ones((1, 2, 2), np.uint8)


def test_codes_reconstructions_and_samples_of_each_model(monkeypatch, tmp_path, digits):
    # Structural similarity has windows of 11 pixels.
    larger = dataclasses.replace(digits, train=np.kron(digits.train, PIXEL), test=np.kron(digits.test, PIXEL))
    small = dataclasses.replace(training_time.SETS["mnist"], load=lambda folder: larger, latent_dim=8)
    monkeypatch.setitem(training_time.SETS, "mnist", small)
    given = ["--data", "nowhere", "--models", str(tmp_path / "models"), "--results", str(tmp_path)]
    given += ["--set", "mnist", "--samples", "80", "--seconds", "0.3", "--extractors", "classifier"]
    main(given)
    rows = results.read(RESULTS, tmp_path)
    assert [(row["kind"], row["steps"]) for row in rows] == [
        *(("bits", 10), ("none", 10), ("none", 50), ("real", None))
    ]
    assert {"probe_bits", "map_at_100", "reconstruction_mse", "images_seen"} <= set(rows[0])
    assert 0.0 < rows[0]["reconstruction_ssim"] < 1.0 and "probe_bits" not in rows[1]
    assert rows[-1]["frechet_distance"] == min(row["frechet_distance"] for row in rows)
    # Nothing is done twice, and the models are those of the first run.
    monkeypatch.setattr(DMZEncoder, "fit", None)
    main(given)
    assert results.read(RESULTS, tmp_path) == rows


def test_residue_of_reconstructions_where_images_are_constant():
    rng = np.random.default_rng(0)
    images = np.full((4, 12, 12, 3), (10, 100, 200), np.uint8)
    images[:, :, 6:] = rng.integers(0, 256, (4, 12, 6, 3))
    noise = rng.normal(0.0, 12.75, (4, 12, 12, 3))
    rebuilt = (images + 30 + noise).clip(0, 255).astype(np.uint8)
    # Another brightness is no residue; of 25 pixels, the deviation from their mean is a factor of 0.98 less.
    assert flat_residue(images[:, :, :6], rebuilt[:, :, :6]) == pytest.approx(0.098, rel=0.1)
    assert flat_residue(images, images) == pytest.approx(0.0, abs=1e-9)
    assert flat_residue(images[:, :, 6:], rebuilt[:, :, 6:]) is None
    assert flat_residue(images[..., 1], rebuilt[..., 1]) == pytest.approx(0.098, rel=0.15)
