"""The retrieval benchmarks' measures against loops, and small runs of both commands."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import retrieval_quality, retrieval_speed
from benchmarks.results import read
from dmzrep.datasets import load_digits_images


def test_agreement_is_that_of_a_loop():
    random = np.random.default_rng(0)
    index, queries = (pd.DataFrame(random.integers(0, (2, 5), (n, 2)), columns=["a", "b"]) for n in (50, 7))
    neighbors = random.integers(0, 50, (7, 10))
    agreed, chance = np.zeros(2), np.zeros(2)
    for column, name in enumerate(index.columns):
        for query in range(7):
            value = queries[name][query]
            agreed[column] += (index[name][neighbors[query]] == value).mean() / 7
            chance[column] += (index[name] == value).mean() / 7
    expected = agreed.mean(), chance.mean(), ((agreed - chance) / (1 - chance)).mean()
    assert retrieval_quality.agreement(index, queries, neighbors) == pytest.approx(expected)


def test_equal_faces_agree_and_constant_attributes_do_not_count():
    table = pd.DataFrame({"a": [0, 1] * 5, "always": 1})
    shares = retrieval_quality.agreement(table, table, np.arange(10)[:, None])
    assert shares == pytest.approx((1.0, 0.5, 1.0))


def test_faiss_lsh_gives_balanced_bits_that_keep_neighbours():
    digits = load_digits_images()
    bits = retrieval_quality.FaissLSH(32).fit(digits.images).transform(digits.images)["bits"]
    assert bits.shape == (len(digits.images), 32) and set(np.unique(bits)) == {0, 1}
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.05
    again = retrieval_quality.FaissLSH(32).fit(digits.images).transform(digits.images)["bits"]
    assert np.array_equal(bits, again)


def test_a_small_run_of_the_quality_benchmark(tmp_path):
    digits = load_digits_images()
    images, labels = digits.images, digits.target
    np.savez(
        tmp_path / "mnist.npz",
        x_train=images[:500],
        y_train=labels[:500],
        x_test=images[500:600],
        y_test=labels[500:600],
    )
    arguments = ["--data", str(tmp_path), "--images", "mnist", "--latent-dim", "16", "--only-rivals"]
    for _ in range(2):  # The second run finds its rows.
        retrieval_quality.main([*arguments, "--results", str(tmp_path)])
    rows = read(retrieval_quality.RESULTS, tmp_path)
    assert [row["name"] for row in rows] == ["FAISS LSH", "PCA", "ITQ", "LSH", "BernoulliRBM", "BernoulliRBM"]
    assert all(0.1 < row["map_at_100"] <= row.get("map_at_100_found", 1.0) <= 1.0 for row in rows)


@pytest.mark.slow
def test_a_small_run_of_the_speed_benchmark(monkeypatch):
    monkeypatch.setattr(retrieval_speed, "append", lambda name, row: rows.append(row))
    rows = []
    retrieval_speed.main(["--rows", "3000", "--queries", "40", "--repeats", "1"])
    names = [row["name"] for row in rows]
    assert {retrieval_speed.SKLEARN, retrieval_speed.FLAT, retrieval_speed.DIRECT} <= set(names)
    exact = [row for row in rows if row["name"] in names[:3]]
    assert all(row["recall"] == 1.0 and row["same_distances"] for row in exact)
    assert all(row["recall"] > 0.5 for row in rows)
