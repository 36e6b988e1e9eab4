"""Small runs of the benchmarks of ordered codes, likelihood and inversion, on digits."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks import (
    datasets,
    generation,
    inversion,
    likelihood,
    ordered_code,
    sample_pictures,
    time_to_quality,
)
from benchmarks.generation import Models
from benchmarks.results import read
from benchmarks.scoring import flat_residue
from dmzrep import DMZEncoder
from tests.encoders import make_encoder

TINY = {"width": [8, 16], "encoder_width": 8, "n_timesteps": 50, "batch_size": 64}

pytestmark = pytest.mark.filterwarnings("ignore::dmzrep.errors.LikelihoodWarning")


@pytest.fixture(autouse=True)
def _digits_as_mnist(monkeypatch, digits):
    small = dataclasses.replace(datasets.SETS["mnist"], load=lambda folder: digits, latent_dim=16)
    for module in (generation, inversion, likelihood, ordered_code, sample_pictures):
        monkeypatch.setitem(module.SETS, "mnist", small)


@pytest.fixture
def tiny(monkeypatch):
    """Every model is tiny."""
    made = []

    def make(latent_dim, **options):
        made.append((latent_dim, options))
        return make_encoder(latent_dim, **TINY, **options)

    monkeypatch.setattr(ordered_code, "DMZEncoder", make)
    monkeypatch.setattr(likelihood, "DMZEncoder", make)
    return made


@pytest.mark.slow
def test_prefixes_of_an_ordered_code_stand_beside_codes_of_their_length(tiny, tmp_path):
    options = ["--data", ".", "--latent-dim", "16", "--seconds", "0.3", "--seeds", "0"]
    options += ["--threads", "1", "--cpu-time", "--results", str(tmp_path)]
    ordered_code.main(options)
    rows = read(ordered_code.RESULTS, tmp_path)
    keys = [(row["model"], row["latent_dim"], row["bits"]) for row in rows]
    both = [(name, 16, bits) for name in ("ordered", "plain") for bits in (8, 16)]
    assert keys == [*both, ("separate", 8, 8)]
    assert [options["ordered"] for _, options in tiny] == [True, False, False]
    # A prefix of a plain code cannot be decoded.
    assert ["reconstruction_mse" in row for row in rows] == [True, True, False, True, True]
    assert all(0.0 <= row["probe_bits"] <= 1.0 and row["clock"] == "cpu" for row in rows)
    assert rows[0]["seconds_an_image"] == pytest.approx(rows[0]["seconds"] / rows[0]["images_seen"], rel=0.05)
    ordered_code.main(options)
    assert len(tiny) == 3 and read(ordered_code.RESULTS, tmp_path) == rows


def test_rates_are_measured_for_each_length_and_without_a_code(tiny, tmp_path):
    options = ["--data", ".", "--bits", "0", "8", "--seconds", "0.3", "--seeds", "0", "--terms", "4"]
    options += ["--images", "20", "--results", str(tmp_path)]
    likelihood.main(options)
    none, coded = read(likelihood.RESULTS, tmp_path)
    assert [bits for bits, _ in tiny] == [1, 8]
    assert none["code"] == none["code_of_coins"] == 0.0 and none["prior"] is None
    assert coded["code_of_coins"] == 8 / 64 and coded["code"] > 0.0
    for row in (none, coded):
        assert row["total"] == pytest.approx(row["image"] + row["code"], abs=1e-4)
    likelihood.main(options)
    assert len(tiny) == 2


def test_inverted_noise_rebuilds_better_than_random_noise(tmp_path):
    options = ["--data", ".", "--models", str(tmp_path / "models"), "--seconds", "0.5", "--seeds", "0"]
    options += ["--steps", "20", "--images", "10", "--params", json.dumps(TINY), "--results", str(tmp_path)]
    inversion.main(options)
    rows = read(inversion.RESULTS, tmp_path)
    kinds = [(row["kind"], row["noise"]) for row in rows]
    assert kinds == [("bits", "random"), ("bits", "inverted"), ("none", "inverted")]
    assert rows[1]["mse"] < rows[0]["mse"] <= rows[0]["mse_95th_percentile"]
    inversion.main(options)
    assert read(inversion.RESULTS, tmp_path) == rows


@pytest.mark.slow
def test_pictures_of_samples_are_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(sample_pictures, "STEPS", (1, 2))
    monkeypatch.setattr(Models, "model", lambda self, key: [tiny_encoder(self.data.train)])
    options = ["--data", ".", "--models", str(tmp_path / "models"), "--out", str(tmp_path / "out")]
    sample_pictures.main(options)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"steps_mnist.png", "priors_mnist.png", "walk_mnist.png"}


def tiny_encoder(images):
    return make_encoder(16, **TINY, max_iter=1, random_state=0).fit(images)


def test_time_to_quality_scores_encoders_of_the_benchmark_of_samples(monkeypatch, tmp_path):
    given = ["--data", ".", "--set", "mnist", "--seconds", "0.3", "--seeds", "0", "--part", "test"]
    given += ["--models", str(tmp_path / "models"), "--results", str(tmp_path)]
    time_to_quality.main(given)
    (row,) = read(time_to_quality.RESULTS, tmp_path)
    assert row["name"] == time_to_quality.WITH_PRIOR and row["images_seen"] > 0
    assert 0.0 < row["reconstruction_ssim"] < 1.0
    # The same encoder is loaded, and makes the samples.
    monkeypatch.setattr(DMZEncoder, "fit", None)
    time_to_quality.main([*given[:-1], str(tmp_path / "again")])
    (again,) = read(time_to_quality.RESULTS, tmp_path / "again")
    assert {k: again[k] for k in again if k.startswith(("probe", "rec"))}.items() <= row.items()
    with pytest.raises(SystemExit):
        time_to_quality.main([*given, "--configs", "16 bits"])


def test_residue_of_reconstructions_where_images_are_constant():
    rng = np.random.default_rng(0)
    images = np.full((4, 12, 12, 3), (10, 100, 200), np.uint8)
    images[:, :, 6:] = rng.integers(0, 256, (4, 12, 6, 3))
    noise = rng.normal(0.0, 12.75, (4, 12, 12, 3))
    rebuilt = (images + 30 + noise).clip(0, 255).astype(np.uint8)
    # Another brightness is no residue; of 25 pixels, the deviation from their mean is smaller by 2 %.
    assert flat_residue(images[:, :, :6], rebuilt[:, :, :6]) == pytest.approx(0.098, rel=0.1)
    assert flat_residue(images, images) == pytest.approx(0.0, abs=1e-9)
    assert flat_residue(images[:, :, 6:], rebuilt[:, :, 6:]) is None
    assert flat_residue(images[..., 1], rebuilt[..., 1]) == pytest.approx(0.098, rel=0.15)
