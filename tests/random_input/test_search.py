"""Random input to the search: neighbours by brute force, and histories of changes against a dict."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_calls import accepted, call, cases, refused
from random_values import ANYTHING, NUMBERS, SCALARS, WHOLE, as_reference, choices, inputs, near, same_values

from dmzrep.retrieval import FaissNeighbors, ImageRetriever, hamming_neighbors

RNG = np.random.default_rng(0)
BITS = RNG.integers(0, 2, (12, 9)).astype(np.uint8)
QUERIES = RNG.integers(0, 2, (3, 9)).astype(np.uint8)
VECTORS = RNG.normal(size=(12, 3))


def hamming(queries, bits):
    queries, bits = as_reference(queries), as_reference(bits)
    return (queries[:, None] != bits[None]).sum(axis=2)


def check_neighbors(result, all_distances, k):
    """Compare with the distances of all pairs: ties may be cut anywhere."""
    distances, rows = result
    nearest = np.sort(all_distances, axis=1)[:, :k]
    assert distances.shape == rows.shape == nearest.shape
    assert np.allclose(distances, nearest, rtol=1e-4, atol=1e-5)
    assert np.allclose(np.take_along_axis(all_distances, rows, axis=1), distances, rtol=1e-4, atol=1e-5)
    assert all(len(set(row)) == k for row in rows.tolist())


@cases(500)
@given(inputs(QUERIES), inputs(BITS), WHOLE)
def test_hamming_neighbors(queries, bits, k):
    result = call(hamming_neighbors, queries, bits, k)
    if not refused(result):
        check_neighbors(result, hamming(queries, bits), int(k))
        assert result[0].dtype == np.int32 and result[1].dtype == np.int64


@cases(200)
@given(
    same_values(QUERIES, casts=(">f8", ">i2", "?", "O")),
    same_values(BITS, casts=(">f8", ">i2", "?", "O")),
    st.integers(1, 12),
)
def test_hamming_neighbors_take_right_codes_in_any_form(queries, bits, k):
    result = accepted(call(hamming_neighbors, queries, bits, k))
    check_neighbors(result, hamming(QUERIES, BITS), k)


FITTED = {
    (metric, index): FaissNeighbors(2, metric=metric, index=index).fit(
        VECTORS if metric in ("l2", "cosine") else BITS
    )
    for metric in ("hamming", "asymmetric", "l2", "cosine")
    for index in ("flat", "ivf", "hnsw")
}


def distances_of(metric, queries, rows):
    queries, rows = as_reference(queries), as_reference(rows)
    if metric == "hamming":
        return hamming(queries, rows).astype(float)
    if metric == "asymmetric":
        return np.abs(queries[:, None] - rows[None]).sum(axis=2)
    if metric == "l2":
        return np.sqrt(np.square(queries[:, None] - rows[None]).sum(axis=2))
    with np.errstate(all="ignore"):
        one, two = (np.nan_to_num(a / np.abs(a).max(axis=1, keepdims=True)) for a in (queries, rows))
        one, two = (np.nan_to_num(a / np.linalg.norm(a, axis=1, keepdims=True)) for a in (one, two))
    return 1.0 - one @ two.T


METHODS = ("kneighbors", "kneighbors_graph", "radius_neighbors", "radius_neighbors_graph", "transform")


@cases(700)
@given(st.sampled_from(sorted(FITTED)), st.data())
def test_a_fitted_search(fitted, data):
    metric, index = fitted
    neighbors, rows = FITTED[fitted], (VECTORS if metric in ("l2", "cosine") else BITS)
    X = data.draw(st.one_of(st.none(), inputs(rows[:3].copy())))
    method = data.draw(st.sampled_from(METHODS))
    if method == "transform":
        result = call(neighbors.transform, X)
    elif method.startswith("radius"):
        result = call(getattr(neighbors, method), X, data.draw(NUMBERS))
    else:
        k = data.draw(WHOLE)
        result = call(getattr(neighbors, method), X, k)
        if not refused(result) and method == "kneighbors" and X is not None and index == "flat":
            k = 2 if k is None else int(k)
            if np.abs(as_reference(X)).max() < 1e6:
                check_neighbors(result, distances_of(metric, X, rows), k)
            assert np.isfinite(result[0]).all()
    if not refused(result) and method.endswith("graph"):
        assert result.shape[1] == len(rows) and np.isfinite(result.data).all()


@cases(200)
@given(
    st.sampled_from(("hamming", "asymmetric", "l2", "cosine")),
    st.sampled_from(("flat", "ivf", "hnsw", "pq")),
    st.booleans(),
    st.data(),
)
def test_fit_of_a_search(metric, index, packed, data):
    rows = VECTORS if metric in ("l2", "cosine") else BITS
    X = data.draw(inputs(rows))
    ids = data.draw(st.one_of(st.none(), near(np.arange(12)), SCALARS))
    neighbors = FaissNeighbors(1, metric=metric, index=index, packed=packed)
    if not refused(call(neighbors.fit, X, ids=ids)):
        assert neighbors.n_samples_fit_ == len(as_reference(X))
        distances, _ = accepted(call(neighbors.kneighbors, X))
        if index == "flat" and not packed and metric == "hamming":
            assert (distances == 0).all()


@cases(250)
@given(st.sampled_from(sorted(FaissNeighbors().get_params())), st.data())
def test_parameters_of_a_search(name, data):
    words = choices("hamming", "l2", "flat", "ivf", "hnsw", "auto", "distance", "connectivity")
    value = data.draw(st.one_of(WHOLE, NUMBERS, words))
    neighbors = FaissNeighbors(2, **{} if name == "n_neighbors" else {name: value})
    if name == "n_neighbors":
        neighbors.n_neighbors = value
    for step in (lambda: call(neighbors.fit, BITS), lambda: call(neighbors.kneighbors, BITS[:2])):
        result = step()
        if refused(result):
            return
    assert result[0].shape == result[1].shape and len(result[0]) == 2


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(("add", "remove", "search", "rows_of", "among")),
        st.one_of(
            st.lists(st.integers(-1, 20), max_size=4),
            st.sampled_from(
                ([0, 0], [2**63], [-(2**63)], [0.0], ["a"], None, 3, [[1]], [True], np.uint64(2**63))
            ),
        ),
    ),
    max_size=6,
)


@cases(300)
@given(st.sampled_from(("flat", "ivf", "hnsw")), st.booleans(), CHANGES)
def test_histories_of_an_index(index, named, changes):
    """Keep a dict of ids and codes beside the index; both must tell the same after each change."""
    ids = np.arange(12) if not named else np.arange(12) * 10
    neighbors = FaissNeighbors(1, index=index).fit(BITS, ids=ids if named else None)
    known = dict(zip(ids.tolist(), BITS, strict=True))
    for step, (what, numbers) in enumerate(changes):
        if what == "add":
            rows = BITS[: len(numbers) if isinstance(numbers, list) else 2] ^ (step % 2)
            result = call(neighbors.add, rows, numbers)
            if not refused(result):
                known |= dict(zip(neighbors.ids_[len(known) :].tolist(), rows, strict=True))
        elif what == "remove":
            if not refused(call(neighbors.remove, numbers)):
                for number in numbers:
                    known.pop(int(number), None)
        elif what == "rows_of":
            result = call(neighbors.rows_of, numbers)
            assert refused(result) or np.array_equal(neighbors.ids_[result], np.asarray(numbers, dtype=int))
        elif what == "among":
            result = call(neighbors.kneighbors, BITS[:1], 1, among=numbers)
            assert refused(result) or numbers is None or set(result[1].ravel().tolist()) <= set(numbers)
        assert neighbors.ids_.tolist() == list(known)
        if known:
            result = accepted(call(neighbors.kneighbors, QUERIES, len(known)))
            assert set(result[1][0].tolist()) == set(known)
            if index == "flat":
                for query, distances, found in zip(QUERIES, *result, strict=True):
                    assert distances.tolist() == [int((known[i] != query).sum()) for i in found.tolist()]


TABLE = pd.DataFrame({"colour": ["red", "blue"] * 6, "price": range(12)})
EXPRESSIONS = (
    "colour == 'red'", "price > 4 and colour == 'blue'", "prices > 4", "price >", "price", "colour",
    "price / 0", "@x", "__import__('os')", "id in [1, 2]", "price = 3", "", " ", "colour > 3", "(" * 30,
    "not price", "1", "True", "price.foo", "price[0]", "price > 'a'", "`price` > 2",
)  # fmt: skip
WHERE = st.one_of(
    st.sampled_from(EXPRESSIONS),
    st.text(max_size=8),
    st.lists(st.booleans(), min_size=11, max_size=13),
    st.sampled_from((lambda table: table["price"] > 3, lambda table: None)),
    # Callables raise what they like.
    st.one_of(SCALARS, ANYTHING).filter(lambda where: where is not object),
)


@pytest.fixture(scope="session")
def retriever(pixels):
    return ImageRetriever(pixels, FaissNeighbors()).fit(BITS, metadata=TABLE)


@cases(400)
@given(st.one_of(st.just(QUERIES), inputs(QUERIES)), WHOLE, st.one_of(st.none(), WHERE))
def test_query_of_a_retriever(retriever, X, k, where):
    result = call(retriever.query, X, k, where)
    if not refused(result):
        assert len(result) == int(k) * len(X)
        assert result["distance"].between(0, 9).all() and result["rank"].between(1, int(k)).all()
        distances = hamming(as_reference(X) > 0.5, BITS)
        assert (distances[result["query"], result["id"]] == result["distance"]).all()
        if isinstance(where, list):
            assert np.asarray(where)[result["id"]].all()


@cases(120)
@given(inputs(BITS), st.one_of(st.none(), st.just(TABLE), SCALARS, ANYTHING), st.data())
def test_fit_and_change_of_a_retriever(pixels, X, metadata, data):
    ids = data.draw(st.one_of(st.none(), near(np.arange(12))))
    metric = data.draw(st.sampled_from(("hamming", "asymmetric", "l2")))
    retriever = ImageRetriever(pixels, FaissNeighbors(metric=metric))
    if refused(call(retriever.fit, X, metadata, ids)):
        return
    assert retriever.neighbors_.n_samples_fit_ == len(X)
    call(retriever.add, data.draw(inputs(BITS[:2])), data.draw(st.one_of(st.just(metadata), ANYTHING)))
    call(retriever.remove, data.draw(st.one_of(st.just([0]), near(np.arange(2)), SCALARS)))
    assert retriever.metadata_ is None or len(retriever.metadata_) == retriever.neighbors_.n_samples_fit_
