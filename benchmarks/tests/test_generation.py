"""The harness of generated images against steps, on digits and tiny networks; and codes that are clusters."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from sklearn.cluster import MiniBatchKMeans

from benchmarks import cluster_code, generation, results
from benchmarks.cluster_code import ClusterTrainer, fit_clusters, flat_units
from benchmarks.datasets import SETS
from benchmarks.generation import RESULTS, main
from dmzrep import DMZEncoder
from dmzrep.data import learn_image_format
from tests.encoders import make_encoder

TINY = {"width": [8, 16], "encoder_width": 8, "n_timesteps": 50, "batch_size": 64}

pytestmark = pytest.mark.filterwarnings("ignore:.*covariance is singular")


@pytest.fixture
def call(monkeypatch, tmp_path, digits):
    small = dataclasses.replace(SETS["mnist"], load=lambda folder: digits, latent_dim=8)
    monkeypatch.setitem(generation.SETS, "mnist", small)
    monkeypatch.setattr(generation, "CLASSIFIERS", tmp_path)

    def run(*arguments):
        common = ["--data", "nowhere", "--models", str(tmp_path / "models"), "--results", str(tmp_path)]
        common += ["--set", "mnist", "--samples", "80", "--seconds", "0.3", "--params", json.dumps(TINY)]
        main([*common, "--extractors", "classifier", *arguments])
        return results.read(RESULTS, tmp_path)

    return run


def test_every_kind_of_model_is_measured_and_runs_go_on(call, tmp_path, monkeypatch):
    asked = ["--seeds", "0", "--steps", "1", "2", "--samplers", "ddim"]
    rows = call(*asked)
    keys = [(row["kind"], row["prior"], row["steps"]) for row in rows]
    assert keys == [
        *(("bits", prior, steps) for prior in ("fitted", "uniform") for steps in (1, 2)),
        *(("none", None, steps) for steps in (1, 2)),
        *(("clusters", "shares", steps) for steps in (1, 2)),
        ("real", None, None),
    ]
    for row in rows:
        assert row["n_reference"] == 100 and row["n_generated"] == 80 and row["n_manifold"] == 80
        assert row["reference"] == "test" and row["extractor"] == "classifier"
        assert row["extractor_sha256"] == rows[0]["extractor_sha256"] and len(row["extractor_sha256"]) == 64
        assert {"kernel_distance", "precision", "recall", "density", "coverage"} <= set(row)
        assert row["frechet_distance"] >= 0.0 and 0.0 <= row["extractor_accuracy"] <= 1.0
    # Real images are nearer than those of models that were trained for a moment.
    assert rows[-1]["frechet_distance"] == min(row["frechet_distance"] for row in rows)
    files = sorted(path.name for path in (tmp_path / "models").iterdir())
    assert len(files) == 4 and "mnist-clusters-8-0.3s-0-v7-shares.npy" in files
    # Nothing is done twice, and what is added uses the models that are there.
    assert call(*asked) == rows
    monkeypatch.setattr(DMZEncoder, "fit", None)
    more = call("--seeds", "0", "--steps", "2", "3", "--samplers", "ddim", "--kinds", "bits", "clusters")
    assert more[: len(rows)] == rows
    assert [(row["kind"], row["steps"]) for row in more[len(rows) :]] == [
        *(("bits", 3), ("bits", 3), ("clusters", 3))
    ]
    assert more[-1]["images_seen"] == rows[-2]["images_seen"]
    last = call(
        "--seeds", "0", "--steps", "4", "--samplers", "ddim", "--kinds", "bits", "--priors", "uniform"
    )
    assert [(row["prior"], row["steps"]) for row in last[len(more) :]] == [("uniform", 4)]
    with pytest.raises(ValueError, match="was trained with other parameters than"):
        call(*asked, "--kinds", "none", "--params", json.dumps(TINY | {"batch_size": 32}))


def test_the_denoiser_receives_the_clusters(digits, monkeypatch):
    seen = []

    class Watched(ClusterTrainer):
        def _code(self, x0, n_rows):
            found = super()._code(x0, n_rows)
            seen.append((x0.flatten(1).numpy(), found[-1]))
            return found

    monkeypatch.setattr(cluster_code, "ClusterTrainer", Watched)
    encoder, prior = fit_clusters(make_encoder(6, **TINY, max_iter=1, random_state=0), digits.train)
    kmeans = MiniBatchKMeans(6, random_state=0, n_init=3, batch_size=2048).fit(flat_units(digits.train))
    assert len(seen) == 7
    for samples, codes in seen:
        assert np.array_equal(codes.numpy(), np.eye(6)[kmeans.predict(samples)])
    labels = kmeans.predict(flat_units(digits.train))
    assert prior.shares_ == pytest.approx(np.bincount(labels) / 500)
    # The code reaches the denoiser: its layers, which start at zero, have moved.
    drawn = prior.sample(4000, random_state=0)
    assert (drawn.sum(axis=1) == 1).all() and drawn.mean(axis=0) == pytest.approx(prior.shares_, abs=0.03)
    with torch.no_grad():
        x, t = torch.ones(2, 1, 8, 8), torch.full((2,), 500.0)
        one, two = (encoder.model_(x, t, torch.eye(6)[[k, k]]) for k in (0, 1))
    assert not torch.equal(one, two)
    rgb = np.random.default_rng(0).integers(0, 256, (3, 8, 9, 3)).astype(np.uint8)
    units = learn_image_format(rgb).to_model(torch.from_numpy(rgb)).flatten(1)
    np.testing.assert_allclose(flat_units(rgb), units.numpy(), atol=1e-6)
