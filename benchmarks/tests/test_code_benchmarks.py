"""Small runs of the benchmarks of ordered codes, likelihood and inversion, on digits."""

import dataclasses
import json

import pytest

from benchmarks import generation, inversion, likelihood, ordered_code, sample_pictures, time_to_quality
from benchmarks.generation import Models
from benchmarks.results import read
from tests.encoders import make_encoder

TINY = {"width": [8, 16], "encoder_width": 8, "n_timesteps": 50, "batch_size": 64}

pytestmark = pytest.mark.filterwarnings("ignore::dmzrep.errors.LikelihoodWarning")


@pytest.fixture(autouse=True)
def _digits_as_mnist(monkeypatch, digits):
    small = dataclasses.replace(time_to_quality.SETS["mnist"], load=lambda folder: digits, latent_dim=16)
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
