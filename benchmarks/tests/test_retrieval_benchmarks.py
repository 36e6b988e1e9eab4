"""The measures of the retrieval benchmarks against loops, and small runs of both commands."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import retrieval_quality, retrieval_speed
from benchmarks.results import read


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


def test_faiss_lsh_has_balanced_bits_of_its_seed(digits):
    one, two = (retrieval_quality.FaissLSH(32).fit(digits.train).transform(digits.train) for _ in range(2))
    assert one["bits"].shape == (500, 32) and set(np.unique(one["bits"])) == {0, 1}
    assert np.abs(one["bits"].mean(axis=0) - 0.5).max() < 0.05
    assert np.array_equal(one["bits"], two["bits"])


def test_the_quality_benchmark_measures_each_rival_once(folder):
    arguments = ["--data", str(folder), "--images", "mnist", "--latent-dim", "16", "--only-rivals"]
    for _ in range(2):
        retrieval_quality.main([*arguments, "--results", str(folder)])
    rows = read(retrieval_quality.RESULTS, folder)
    assert [row["name"] for row in rows] == ["FAISS LSH", "PCA", "ITQ", "LSH", "BernoulliRBM", "BernoulliRBM"]
    assert all(0.1 < row["map_at_100"] <= row.get("map_at_100_found", 1.0) <= 1.0 for row in rows)


@pytest.mark.slow
def test_exact_search_of_the_speed_benchmark_finds_all_neighbours(monkeypatch):
    rows = []
    monkeypatch.setattr(retrieval_speed, "append", lambda name, row: rows.append(row))
    retrieval_speed.main(["--rows", "3000", "--queries", "40", "--repeats", "1"])
    names = [row["name"] for row in rows]
    assert {retrieval_speed.SKLEARN, retrieval_speed.FLAT, retrieval_speed.DIRECT} <= set(names)
    assert all(row["recall"] == 1.0 and row["same_distances"] for row in rows if row["name"] in names[:3])
    assert all(row["recall"] > 0.5 for row in rows)
