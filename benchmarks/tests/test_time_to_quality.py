"""The harness of quality against seconds on small stand-ins, its measures, and its page."""

import dataclasses
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import datasets, report_time_to_quality, results
from benchmarks.code_quality import attribute_auroc
from benchmarks.configurations import CONFIGURATIONS
from benchmarks.datasets import SETS, ImageData
from benchmarks.results import is_done
from benchmarks.time_to_quality import RESULTS, divide, main
from tests.encoders import make_encoder


class Closed:
    """Test images or labels that nobody may look at."""

    def __getattribute__(self, name):
        raise AssertionError(f"test data were read: {name}")

    def __len__(self):
        raise AssertionError("test data were counted")

    def __getitem__(self, rows):
        raise AssertionError("test data were indexed")


def stand_in(attributes, n=400, closed=True):
    """Images whose upper half is bright in one class, as classes or as attributes."""
    random = np.random.default_rng(0)
    parts = []
    for size in (n, 80):
        up = random.integers(0, 2, size)
        images = random.integers(0, 60, (size, 8, 8)).astype(np.uint8)
        images[up == 1, :4] += 150
        images[up == 0, 4:] += 150
        labels = up
        if attributes:
            labels = pd.DataFrame({"up": up, "coin": random.integers(0, 2, size), "always": 1})
        parts.append((images, labels, labels if attributes else None))
    train, test = parts
    test = (Closed(), Closed(), Closed()) if closed else test
    return ImageData(train[0], test[0], train[1], test[1], train[2], test[2])


@pytest.fixture
def closed_sets(monkeypatch):
    """Two sets whose test part raises when it is touched."""
    for name in ("mnist", "posed"):
        data = stand_in(attributes=name == "posed")
        small = dataclasses.replace(SETS[name], load=lambda folder, data=data: data, latent_dim=8)
        monkeypatch.setitem(datasets.SETS, name, small)


def call(folder, *arguments):
    main(["--data", "nowhere", "--results", str(folder), "--seeds", "0", *arguments])
    return results.read(RESULTS, folder)


def test_a_run_on_classes_measures_everything_without_test_images_and_goes_on(closed_sets, tmp_path):
    asked = ["--set", "mnist", "--images", "150", "--threads", "1"]
    asked += ["--configs", "default", "16 bits", "convolutional VAE", "--rivals", "PCA", "pixels"]
    first = call(tmp_path, *asked)
    assert [(row["name"], row["latent_dim"]) for row in first] == [
        *(("PCA", 8), ("pixels", 8), ("default", 8), ("16 bits", 16), ("convolutional VAE", 8))
    ]
    assert call(tmp_path, *asked) == first
    more = call(tmp_path, *asked[:2], "--images", "600", "--configs", "default")
    # Two passes over 300 images, less those set aside.
    assert len(more) == 6 and 450 < more[-1]["images_seen"] <= 600
    ours, vae = first[2], first[4]
    common = {"probe_bits", "map_at_100", "map_at_100_found", "knn_10", "entropy", "dead_bits", "seconds"}
    common |= {"images_per_second", "reconstruction_mse", "threads", "parameters", "environment"}
    gaps = {"probe_logits", "probe_probabilities", "soft_hard_gap", "shuffled_code_gap"}
    assert common | gaps <= set(ours) and common | {"probe_floats"} <= set(vae)
    assert "probe_floats" not in ours and "soft_hard_gap" not in vae
    assert "probe_bits" not in first[1] and first[1]["probe_floats"] == 1.0
    assert ours["scored_rows"] == 100 and ours["index_rows"] == 300 and ours["threads"] == 1
    assert ours["images_seen"] <= 150 and ours["probe_logits"] > 0.9
    assert (ours["reconstructed_from"], vae["reconstructed_from"]) == ("bits", "floats")


@pytest.mark.filterwarnings("ignore:Scores are undefined in 1 of 3 fits")
def test_a_run_on_attributes(closed_sets, tmp_path, monkeypatch):
    rows = call(tmp_path, "--set", "posed", "--seconds", "0.3", "0.6", "--rivals", "PCA")
    assert [row["seconds_asked"] for row in rows] == [None, 0.3, 0.6]
    assert all(row["auroc_bits"] <= 1.0 and row["auroc_bits_min"] < 0.75 for row in rows)
    assert {"auroc_logits", "auroc_probabilities_std", "attributes_alike", "factors_alike"} <= set(rows[1])
    # "up" is told, "coin" is not, and an attribute that never varies counts for neither.
    assert 0.6 < rows[0]["auroc_floats"] < 0.9 and rows[0]["attributes_alike"] > 0.1
    tested = [row | {"part": "test"} for row in rows]
    monkeypatch.setattr(report_time_to_quality, "read", lambda name: tested)
    page = report_time_to_quality.set_section("posed")
    assert "| DMZEncoder, default | 8 |" in page and "--set posed --part test --seconds 0.3 0.6`" in page


def test_other_parameters_need_a_name_of_their_own(closed_sets, tmp_path, capsys):
    asked = ["--set", "mnist", "--images", "150", "--name", "narrow"]
    (row,) = call(tmp_path, *asked, "--params", '{"encoder_width": 8}')
    assert row["name"] == "narrow" and row["parameters"] == {"encoder_width": 8}
    with pytest.raises(ValueError, match="name='narrow' already stands for other parameters"):
        call(tmp_path, *asked, "--params", '{"encoder_width": 16}')
    for wrong in (["--params", "{}"], ["--name", "x"], ["--params", "{}", "--name", "PCA"]):
        with pytest.raises(SystemExit):
            call(tmp_path, "--set", "mnist", *wrong)
    assert "--params and --name must be passed together" in capsys.readouterr().err


def test_parts():
    data = stand_in(attributes=True, closed=False)
    assert divide(data, "test", 50) is data
    parts = divide(data, "validation", 50)
    assert len(parts.train) == len(parts.train_labels) == 350
    assert len(parts.test) == len(parts.test_labels) == len(parts.test_factors) == 50
    whole = np.concatenate([parts.train, parts.test]).reshape(400, -1)
    assert len(np.unique(whole, axis=0)) == len(np.unique(data.train.reshape(400, -1), axis=0))
    assert (parts.test[:, :4].mean(axis=(1, 2)) > 100).astype(int).tolist() == parts.test_labels[
        "up"
    ].tolist()
    assert np.array_equal(parts.test, divide(data, "validation", 50).test)


def test_attribute_auroc_is_that_of_scikit_learn():
    random = np.random.default_rng(0)
    codes = random.normal(size=(300, 5))
    labels = pd.DataFrame({"a": codes[:, 0] + random.normal(size=300) > 0.0, "b": codes[:, 1] > 1.0})
    labels = labels.astype(int)
    found = attribute_auroc(codes[:200], labels[:200], codes[200:], labels[200:])
    for name in labels:
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(
            codes[:200], labels[name][:200]
        )
        expected = roc_auc_score(labels[name][200:], probe.decision_function(codes[200:]))
        assert found[name] == pytest.approx(expected, abs=1e-9)


def test_seconds_of_a_core_are_those_of_one_thread(closed_sets, tmp_path, capsys):
    options = ["--set", "mnist", "--seconds", "0.2", "--cpu-time"]
    with pytest.raises(SystemExit):
        call(tmp_path, *options, "--threads", "2")
    assert "--threads 1" in capsys.readouterr().err
    begun = time.process_time()
    (row,) = call(tmp_path, *options, "--threads", "1")
    # The limit of 0.2 s includes the prior, which these seconds do not.
    assert row["clock"] == "cpu" and 0.1 <= row["seconds"] <= time.process_time() - begun


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configurations_are_parameters_of_the_encoder(name):
    make_encoder(**CONFIGURATIONS[name])._validate_params()


def test_a_row_is_done_where_all_values_of_its_key_are_there():
    rows = [{"name": "a", "widths": [8, 16], "score": 0.5}]
    assert is_done(rows, {"name": "a", "widths": (8, 16)})
    assert not is_done(rows, {"name": "a", "seed": None, "widths": (8, 8)})
    assert not is_done([], {"name": "a"})
