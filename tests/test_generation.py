"""The harness of generated images against steps, on digits and tiny networks; and codes that are clusters."""

import dataclasses
import json

import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans

from benchmarks import generation, results
from benchmarks.cluster_code import ClusterPrior, fit_clusters, flat_units
from benchmarks.datasets import ImageData
from benchmarks.generation import RESULTS, main
from benchmarks.time_to_quality import SETS
from dmzrep import DMZEncoder
from dmzrep.datasets import load_digits_images

TINY = {"width": [8, 16], "encoder_width": 8, "n_timesteps": 50, "batch_size": 64}

pytestmark = [
    pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning"),
    pytest.mark.filterwarnings("ignore:.*covariance is singular"),
]


@pytest.fixture(scope="module")
def data():
    digits = load_digits_images()
    images = np.rint(digits.images * 255).astype(np.uint8)
    return ImageData(images[:500], images[500:600], digits.target[:500], digits.target[500:600])


@pytest.fixture
def call(monkeypatch, tmp_path, data):
    small = dataclasses.replace(SETS["mnist"], load=lambda folder: data, latent_dim=8)
    monkeypatch.setitem(generation.SETS, "mnist", small)

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
    assert len(files) == 5 and "mnist-clusters-8-0.3s-0-shares.npy" in files
    # Nothing is done twice, and what is added uses the models that are there.
    assert call(*asked) == rows
    monkeypatch.setattr(DMZEncoder, "fit", None)
    more = call("--seeds", "0", "--steps", "2", "3", "--samplers", "ddim", "--kinds", "bits", "clusters")
    assert more[: len(rows)] == rows
    assert [(row["kind"], row["steps"]) for row in more[len(rows) :]] == [
        *(("bits", 3), ("bits", 3), ("clusters", 3))
    ]
    assert more[-1]["images_seen"] == rows[-2]["images_seen"]
    with pytest.raises(ValueError, match="was trained with other parameters than"):
        call(*asked, "--kinds", "none", "--params", json.dumps(TINY | {"batch_size": 32}))


def test_the_denoiser_learns_from_the_clusters(data):
    encoder = DMZEncoder(6, **TINY, max_iter=12, random_state=0)
    encoder, prior = fit_clusters(encoder, data.train)
    shares = prior.shares_
    assert shares.sum() == pytest.approx(1.0) and (shares > 0.0).all()
    codes = np.repeat(np.eye(6), 8, axis=0)
    images = encoder.inverse_transform(codes, n_steps=10)
    # Images of a cluster look like its mean rather than like that of the others.
    chosen = prior.sample(4000, random_state=0)
    assert (chosen.sum(axis=1) == 1).all() and chosen.mean(axis=0) == pytest.approx(shares, abs=0.03)
    kmeans = MiniBatchKMeans(6, random_state=0, n_init=3, batch_size=2048).fit(flat_units(data.train))
    assert shares == pytest.approx(np.bincount(kmeans.predict(flat_units(data.train))) / 500)
    assert (kmeans.predict(flat_units(images)) == codes.argmax(axis=1)).mean() > 0.5


def test_the_prior_of_clusters_is_categorical():
    prior = ClusterPrior().fit(np.eye(3)[[0, 0, 1, 0]])
    assert prior.shares_.tolist() == [0.75, 0.25, 0.0]
    assert np.exp(prior.log_prob(np.eye(3))).tolist() == pytest.approx([0.75, 0.25, 0.0])
    assert prior.log_prob([[1, 1, 0]]).tolist() == [-np.inf]
    with pytest.raises(ValueError, match="one-hot"):
        ClusterPrior().fit([[1, 1, 0]])
