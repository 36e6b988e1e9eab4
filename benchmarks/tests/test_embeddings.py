"""The benchmarks of embeddings and of rescoring."""

import json
import time

import faiss
import numpy as np
import pytest
from sklearn.preprocessing import normalize

from benchmarks import embeddings, rescoring
from benchmarks.embeddings_data import Embeddings, load_embeddings


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    centres, y = rng.normal(size=(20, 32)), rng.integers(20, size=500)
    X = normalize(centres[y] + 0.5 * rng.normal(size=(500, 32))).astype(np.float32)
    return Embeddings(X[50:], y[50:], X[:50], y[:50])


def scores(method, data):
    true = embeddings.nearest(data.queries, data.X)
    return {row["search"]: row for row in embeddings.measure(method, data, true, time.perf_counter)}


def test_exact_search_has_full_recall(data):
    row = scores(embeddings.Exact(), data)["asymmetric"]
    assert row["recall@10"] == row["recall@100"] == row["recall@10 of 20"] == 1.0 and row["bytes"] == 128


def test_recall_grows_with_candidates_and_real_valued_queries(data):
    found = scores(embeddings.itq("itq", 16, 0), data)
    codes = found["codes"]
    assert 0.2 < codes["recall@10"] < codes["recall@10 of 20"] < codes["recall@10 of 100"] <= 1.0
    assert found["asymmetric"]["recall@10"] > codes["recall@10"] and codes["bytes"] == 2


@pytest.mark.parametrize("n_bits", [16, embeddings.ALL_FEATURES])
def test_methods_have_the_same_columns(n_bits, data):
    made = embeddings.methods(n_bits, 32, 0, {"max_time": 0.1})
    names = set(made) - {"PQ", "PQ of PCA, random rotation"}  # They need more vectors.
    if not hasattr(faiss, "IndexRaBitQ"):
        names -= {"RaBitQ", "RaBitQ of PCA"}
    columns = {tuple(row) for name in names for row in scores(made[name](), data).values()}
    assert len(columns) == 1


def test_stored_embeddings_and_queries_of_choices_and_tests_are_disjoint(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "WordNet.npz", X=rng.normal(size=(100, 4)), y=np.arange(100))
    parts = [load_embeddings("WordNet", "", tmp_path, part, n_queries=10) for part in ("validation", "test")]
    used = [*parts[0].query_labels, *parts[0].y, *parts[1].query_labels]
    assert sorted(used) == list(range(100)) and np.array_equal(parts[0].y, parts[1].y)


@pytest.mark.slow  # FAISS trains product quantisers.
def test_rescoring_finds_more_than_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(rescoring, "N_QUERIES", 50)
    rescoring.main(["--vectors", "3000", "--features", "32", "--bits", "32", "--results", str(tmp_path)])
    rows = [json.loads(line) for line in (tmp_path / "rescoring.jsonl").read_text().splitlines()]
    recall = {row["search"]: row["recall@10"] for row in rows}
    assert recall["exact, float32"] == 1.0
    assert recall["bits, rescored from a float16 file"] > recall["bits"] + 0.1
