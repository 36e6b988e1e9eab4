"""The measures that benchmarks share, against slow definitions; the benchmark of checkpoints."""

import numpy as np
import pytest

from benchmarks import checkpoint_cost, report_costs, results
from benchmarks.code_quality import knn_accuracy, mean_average_precision


@pytest.fixture
def codes():
    random = np.random.default_rng(0)
    # Wide codes, so that no two distances from a query are likely to tie.
    bits = random.random((80, 4096)) < 0.5
    return bits[:60], random.integers(0, 3, 60), bits[60:], random.integers(0, 3, 20)


def ranked_labels(codes, query):
    index_bits, index_labels, query_bits, _ = codes
    return index_labels[np.argsort((index_bits != query_bits[query]).sum(axis=1), kind="stable")]


@pytest.mark.parametrize("divide_by", ["findable", "found"])
def test_mean_average_precision_is_that_of_a_loop(codes, divide_by):
    precisions = []
    for query, label in enumerate(codes[3]):
        relevant = [x == label for x in ranked_labels(codes, query)[:10]]
        hits = [sum(relevant[: i + 1]) / (i + 1) for i in range(10) if relevant[i]]
        count = min(10, (codes[1] == label).sum()) if divide_by == "findable" else max(1, len(hits))
        precisions.append(sum(hits) / count)
    assert mean_average_precision(*codes, k=10, divide_by=divide_by) == pytest.approx(np.mean(precisions))


def test_nearest_neighbour_accuracy_is_that_of_a_loop(codes):
    correct = [
        np.bincount(ranked_labels(codes, query)[:7]).argmax() == label for query, label in enumerate(codes[3])
    ]
    assert knn_accuracy(*codes, k=7) == pytest.approx(np.mean(correct))


def test_rows_are_appended_with_their_environment_and_read_back(tmp_path):
    results.append("some", {"value": 1.5}, tmp_path)
    results.append("some", {"value": 2.5}, tmp_path)
    rows = results.read("some", tmp_path)
    assert [row["value"] for row in rows] == [1.5, 2.5]
    assert {"processor", "torch", "dmzrep", "threads", "date"} <= set(rows[0]["environment"])
    assert results.read("none", tmp_path) == []


@pytest.mark.slow
def test_the_checkpoint_benchmark_writes_a_row_once(tmp_path, monkeypatch):
    monkeypatch.setitem(checkpoint_cost.SIZES, "mnist", ((8, 8), None))
    options = ["--sizes", "mnist", "--fits", "mnist", "--repeats", "2", "--every", "1e-6", "--steps", "3"]
    options += ["--rounds", "1", "--threads", "1", "--folder", str(tmp_path), "--results", str(tmp_path)]
    for _ in range(2):
        checkpoint_cost.main(options)
    (row,) = results.read(checkpoint_cost.RESULTS, tmp_path)
    # Weights, their average and two moments, in four bytes each, and little else.
    assert 16 * row["parameters"] < row["bytes"] < 20 * row["parameters"]
    assert row["repeats"] == 2 and 0.0 < row["seconds"] <= row["spread"][1]
    # One after each step, and the last step's is that of the end.
    assert row["fit_checkpoints"] == 3 and row["fit_inside_seconds"] > 0.0
    assert row["clock"] == "wall" and row["threads"] == row["environment"]["threads"] == 1
    checkpoint_cost.main([*options, "--again"])
    assert len(results.read(checkpoint_cost.RESULTS, tmp_path)) == 2
    monkeypatch.setattr(report_costs, "read", lambda name: results.read(name, tmp_path))
    assert f"{100 * row['share']:.2f}"[:1] in report_costs.checkpoint_section()
    assert list(tmp_path.iterdir()) == [tmp_path / "checkpoint_cost.jsonl"]
