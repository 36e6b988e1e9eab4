"""FaissNeighbors.recall: the share of exact neighbours that searches find."""

import numpy as np
import pytest

from dmzrep.retrieval import FaissNeighbors, ITQTransformer


@pytest.fixture
def codes(clustered):
    itq = ITQTransformer(16, random_state=0).fit(clustered[0])
    return [itq.transform(part) for part in clustered]


def share(found, exact):
    return np.mean([np.isin(*pair).mean() for pair in zip(exact, found, strict=True)])


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("rescore", [True, False])
def test_recall_is_that_of_searches(metric, rescore, clustered, codes):
    X, queries = clustered
    neighbors = FaissNeighbors(rescore=metric if rescore else None)
    neighbors.fit(codes[0], vectors=X if rescore else None)
    given = {} if rescore else {"reference": X, "metric": metric}
    table = neighbors.recall(
        codes[1], vectors=queries, k=(5, 20), oversample=(1, 3, 400), wanted=0.6, **given
    )
    assert list(table.columns) == ["k", "oversample", "candidates", "recall", "enough"]
    assert table["candidates"].tolist() == [5, 15, 2000, 20, 60, 2000]
    checked = FaissNeighbors(rescore=metric).fit(codes[0], vectors=X)
    for row in table.itertuples():
        exact = FaissNeighbors(row.k, metric=metric).fit(X).kneighbors(queries)[1]
        checked.set_params(n_neighbors=row.k, oversample=row.oversample)
        assert row.recall == pytest.approx(share(checked.kneighbors(codes[1], vectors=queries)[1], exact))
        assert row.enough == (row.recall >= 0.6)
    assert table["recall"].tolist() == sorted(table["recall"][:3]) + sorted(table["recall"][3:])
    assert table["recall"][2] == 1.0 and table["recall"][0] < 0.9
    first = [table[(table["k"] == k) & table["enough"]]["oversample"].min() for k in (5, 20)]
    assert table.attrs["oversample"] == dict(zip((5, 20), first, strict=True))


def test_recall_of_rescoring_by_coarse_vectors_is_below_one(clustered, codes):
    X, queries = clustered
    coarse = np.rint(X).astype(np.int8)
    neighbors = FaissNeighbors(rescore="l2").fit(codes[0], vectors=coarse)
    options = {"vectors": queries, "k": 10, "oversample": 1000}
    assert neighbors.recall(codes[1], **options)["recall"][0] == 1.0  # By the coarse vectors themselves.
    assert 0.5 < neighbors.recall(codes[1], reference=X, **options)["recall"][0] < 0.99


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf", "pq"])
def test_recall_of_vector_indexes(metric, index, clustered):
    X, queries = (part + 100.0 if metric == "l2" else part for part in clustered)
    neighbors = FaissNeighbors(metric=metric, index=index, n_lists=30, n_probes=3, random_state=0).fit(X)
    given = {"reference": X} if index == "pq" else {}
    table = neighbors.recall(queries, oversample=(1, 10), **given)
    if index == "flat":
        assert (table["recall"] > 0.999).all() and table.attrs["oversample"] == {10: 1, 100: 1}
    else:
        assert 0.2 < table["recall"][0] <= 1.0


def test_recall_follows_removed_samples(clustered, codes):
    neighbors = FaissNeighbors(rescore="l2").fit(codes[0], vectors=clustered[0]).remove(range(0, 2000, 2))
    table = neighbors.recall(codes[1], vectors=clustered[1], k=5, oversample=[1000])
    assert table["recall"].tolist() == [1.0] and table["candidates"].tolist() == [1000]


def test_equal_samples_count_as_found():
    X = np.repeat(np.random.default_rng(0).normal(size=(50, 8)), 2, axis=0)
    neighbors = FaissNeighbors().fit(X > 0)
    table = neighbors.recall(X > 0, vectors=X, reference=X, k=1, oversample=100)
    assert table["recall"].tolist() == [1.0]


def test_no_oversample_may_be_enough(clustered, codes):
    neighbors = FaissNeighbors(rescore="l2").fit(codes[0], vectors=clustered[0])
    assert neighbors.recall(codes[1], vectors=clustered[1], oversample=1).attrs["oversample"] == {
        10: None,
        100: None,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"recall needs the float vectors of the samples.*pass reference="),
        ({"reference": np.ones((2000, 3))}, "recall needs the float vectors of the queries"),
        ({"reference": np.ones((1999, 3)), "vectors": np.ones((60, 3))}, "reference .* got 1999 for 2000"),
        ({"reference": np.ones((2000, 3)), "vectors": np.ones((60, 4))}, "must have 3 columns"),
    ],
)
def test_invalid_calls_are_refused(options, message, codes):
    with pytest.raises(ValueError, match=message):
        FaissNeighbors().fit(codes[0]).recall(codes[1], **options)
