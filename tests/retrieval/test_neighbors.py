"""FaissNeighbors against scikit-learn and a count of differing bits."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier, KNeighborsTransformer, NearestNeighbors
from sklearn.pipeline import make_pipeline

from dmzrep.retrieval import FaissNeighbors


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_floats_agree_with_scikit_learn(clustered, metric, shift):
    rows, queries = (part + (shift if metric == "l2" else 0.0) for part in clustered)
    theirs = NearestNeighbors(n_neighbors=8, metric="euclidean" if metric == "l2" else metric).fit(rows)
    ours = FaissNeighbors(8, metric=metric).fit(rows)
    for X in (queries, None):
        expected, expected_rows = theirs.kneighbors(X)
        distances, ids = ours.kneighbors(X)
        assert_allclose(distances, expected, rtol=1e-5, atol=1e-7)
        assert_array_equal(ids, expected_rows)
        assert_array_equal(ours.kneighbors(X, return_distance=False), ids)
    assert distances.dtype == np.float64 and ids.dtype == np.int64


@pytest.mark.parametrize("latent_dim", [3, 64, 77])
@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_bits_agree_with_a_count(latent_dim, index, count_differing):
    random = np.random.default_rng(latent_dim)
    bits, queries = random.integers(0, 2, (400, latent_dim)), random.integers(0, 2, (50, latent_dim))
    neighbors = FaissNeighbors(10, index=index, n_probes=1000, ef_search=500).fit(bits)
    distances, ids = neighbors.kneighbors(queries)
    counted = count_differing(queries, bits)
    assert_array_equal(np.take_along_axis(counted, ids, axis=1), distances)
    assert_array_equal(distances, np.sort(counted, axis=1)[:, :10])
    # scikit-learn's distance is the share of bits that differ.
    theirs = NearestNeighbors(n_neighbors=10, metric="hamming", algorithm="brute").fit(bits > 0)
    assert_allclose(distances / neighbors.n_features_in_, theirs.kneighbors(queries > 0)[0])


def test_a_sample_is_not_its_own_neighbour_even_among_equals():
    bits = np.repeat(np.eye(8, dtype=np.uint8), 5, axis=0)
    distances, ids = FaissNeighbors(4).fit(bits).kneighbors()
    assert_array_equal(distances, 0)
    assert not (ids == np.arange(40)[:, None]).any()
    assert FaissNeighbors(2).fit(bits).kneighbors(n_neighbors=2)[1].shape == (40, 2)
    # Of 40 equal rows, most leave themselves out of 3 nearest.
    _, ids = FaissNeighbors(3).fit(np.zeros((40, 8), dtype=np.uint8)).kneighbors()
    assert ids.shape == (40, 3) and not (ids == np.arange(40)[:, None]).any()


def test_packed_codes_are_the_same_codes(clustered_bits):
    bits, queries = clustered_bits
    plain, packed = FaissNeighbors(7).fit(bits), FaissNeighbors(7, packed=True).fit(np.packbits(bits, axis=1))
    expected, found = plain.kneighbors(queries), packed.kneighbors(np.packbits(queries, axis=1))
    for mine, other in zip(found, expected, strict=True):
        assert_array_equal(mine, other)


@pytest.mark.parametrize(
    ("metric", "index", "least"),
    [
        ("hamming", "hnsw", 0.95),
        ("hamming", "ivf", 0.95),
        ("l2", "hnsw", 0.95),
        ("l2", "ivf", 0.95),
        ("cosine", "hnsw", 0.95),
        ("cosine", "ivf", 0.95),
        ("l2", "pq", 0.5),
        ("cosine", "pq", 0.5),
    ],
)
def test_approximate_indexes_find_most_of_the_nearest(metric, index, least, clustered, clustered_bits):
    rows, queries = clustered_bits if metric == "hamming" else clustered
    exact = FaissNeighbors(10, metric=metric).fit(rows)
    approximate = FaissNeighbors(10, metric=metric, index=index).fit(rows)
    furthest = exact.kneighbors(queries)[0][:, -1:]
    found, ids = approximate.kneighbors(queries)
    if index == "pq":  # Its own distances are of compressed vectors.
        recall = np.mean(
            [len(set(a) & set(b)) / 10 for a, b in zip(ids, exact.kneighbors(queries)[1], strict=True)]
        )
    else:
        recall = (found <= furthest * (1 + 1e-6)).mean()
    assert recall >= least


@pytest.mark.parametrize("metric", ["hamming", "l2"])
def test_probed_lists_with_fewer_samples_than_k(metric, clustered, clustered_bits):
    rows, queries = clustered_bits if metric == "hamming" else clustered
    few = FaissNeighbors(metric=metric, index="ivf", n_lists=100, n_probes=1).fit(rows)
    exact = FaissNeighbors(metric=metric).fit(rows)
    assert_allclose(few.kneighbors(queries, 1000)[0], exact.kneighbors(queries, 1000)[0], rtol=1e-5)


@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_radius_neighbours_of_bits(index, clustered_bits, count_differing):
    bits, queries = clustered_bits
    neighbors = FaissNeighbors(radius=9, index=index, n_probes=1000).fit(bits)
    counted = count_differing(queries, bits)
    for radius in (None, 12, 12.7, 0, 64):
        limit = 9 if radius is None else radius
        distances, ids = neighbors.radius_neighbors(queries, radius)
        for row, (d, i) in enumerate(zip(distances, ids, strict=True)):
            assert_array_equal(np.sort(i), np.flatnonzero(counted[row] <= limit))
            assert_array_equal(d, counted[row][i])
            assert (np.diff(d) >= 0).all()


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_radius_neighbours_of_floats_are_scikit_learns(metric, index, clustered):
    rows, queries = clustered
    radius = 5.0 if metric == "l2" else 0.2
    theirs = NearestNeighbors(radius=radius, metric="euclidean" if metric == "l2" else metric).fit(rows)
    ours = FaissNeighbors(radius=radius, metric=metric, index=index, n_probes=1000).fit(rows)
    for X in (queries, None):
        expected = theirs.radius_neighbors(X, return_distance=False)
        for mine, other in zip(ours.radius_neighbors(X, return_distance=False), expected, strict=True):
            assert_array_equal(np.sort(mine), np.sort(other))
    graph = ours.radius_neighbors_graph(queries, mode="distance")
    assert_allclose(
        graph.toarray(), theirs.radius_neighbors_graph(queries, mode="distance").toarray(), rtol=1e-5
    )


@pytest.mark.parametrize("mode", ["distance", "connectivity"])
def test_graphs_are_scikit_learns(mode, clustered):
    rows, queries = clustered
    theirs = KNeighborsTransformer(mode=mode, n_neighbors=6).fit(rows)
    ours = FaissNeighbors(6, mode=mode, metric="l2").fit(rows)
    assert_allclose(ours.transform(queries).toarray(), theirs.transform(queries).toarray(), rtol=1e-5)
    expected = theirs.kneighbors_graph(mode=mode)
    assert_allclose(ours.kneighbors_graph(mode=mode).toarray(), expected.toarray(), rtol=1e-5)
    assert ours.transform(rows).nnz == theirs.transform(rows).nnz
    assert len(ours.get_feature_names_out()) == len(rows)


def test_a_classifier_takes_the_precomputed_graph(digits, digit_labels):
    bits = (digits.reshape(len(digits), -1) > 100).astype(np.uint8)
    chain = make_pipeline(FaissNeighbors(5), KNeighborsClassifier(5, metric="precomputed"))
    chain.fit(bits[:500], digit_labels[:500])
    alone = KNeighborsClassifier(5, metric="hamming", algorithm="brute").fit(bits[:500], digit_labels[:500])
    accuracy = chain.score(bits[500:], digit_labels[500:])
    assert accuracy == pytest.approx(alone.score(bits[500:], digit_labels[500:]), abs=0.05)
    assert accuracy > 0.8
    assert clone(chain).get_params()["faissneighbors__n_neighbors"] == 5


def test_graph_columns_are_indices_and_neighbours_are_ids(clustered_bits):
    bits, queries = clustered_bits
    ids = np.random.default_rng(0).permutation(10**12 + np.arange(len(bits)))
    plain, named = FaissNeighbors(3).fit(bits), FaissNeighbors(3).fit(bits, ids=ids)
    assert_array_equal(named.kneighbors(queries)[1], ids[plain.kneighbors(queries)[1]])
    assert (named.kneighbors_graph(queries) != plain.kneighbors_graph(queries)).nnz == 0
    assert_array_equal(named.indices_of(ids[[5, 2]]), [5, 2])


@pytest.mark.parametrize("metric", ["hamming", "l2"])
@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_among_compares_exactly_those(metric, index, clustered, clustered_bits):
    rows, queries = clustered_bits if metric == "hamming" else clustered
    ids = 7 * np.arange(len(rows)) + 3
    chosen = np.random.default_rng(0).choice(len(rows), 100, replace=False)
    neighbors = FaissNeighbors(metric=metric, index=index).fit(rows, ids=ids)
    distances, found = neighbors.kneighbors(queries, 100, among=ids[chosen])
    assert_array_equal(np.sort(found, axis=1), np.tile(np.sort(ids[chosen]), (len(queries), 1)))
    expected = FaissNeighbors(metric=metric).fit(rows[chosen]).kneighbors(queries, 100)[0]
    assert_allclose(distances, expected, rtol=1e-5)


def test_parameters_of_a_search_may_change_after_fitting(clustered_bits):
    bits, queries = clustered_bits
    neighbors = FaissNeighbors(10, index="ivf", n_lists=200, n_probes=1).fit(bits)
    exact = FaissNeighbors(10).fit(bits).kneighbors(queries)[0]
    assert (neighbors.kneighbors(queries)[0] > exact).any()
    neighbors.set_params(n_probes=200)
    assert_array_equal(neighbors.kneighbors(queries)[0], exact)
    with pytest.raises(ValueError, match="'n_probes' parameter of FaissNeighbors must be"):
        neighbors.set_params(n_probes=-1).kneighbors(queries)


def test_tables_and_their_names(clustered_bits):
    bits, queries = (pd.DataFrame(part).add_prefix("bit") for part in clustered_bits)
    neighbors = FaissNeighbors(2).fit(bits)
    assert neighbors.feature_names_in_[0] == "bit0"
    assert_array_equal(
        neighbors.kneighbors(queries)[0],
        FaissNeighbors(2).fit(bits.to_numpy()).kneighbors(queries.to_numpy())[0],
    )
    with pytest.raises(ValueError, match="feature names should match"):
        neighbors.kneighbors(queries[queries.columns[::-1]])


def test_threads_are_set_and_set_back(clustered_bits):
    import faiss

    before = faiss.omp_get_max_threads()
    expected = FaissNeighbors(5).fit(clustered_bits[0]).kneighbors(clustered_bits[1])[0]
    for n_jobs in (1, 2, -1):
        found = FaissNeighbors(5, n_jobs=n_jobs).fit(clustered_bits[0]).kneighbors(clustered_bits[1])[0]
        assert_array_equal(found, expected)
        assert faiss.omp_get_max_threads() == before


@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_queries_from_several_threads(index, clustered_bits):
    from concurrent.futures import ThreadPoolExecutor

    bits, queries = clustered_bits
    neighbors = FaissNeighbors(5, index=index, n_jobs=1).fit(bits)
    expected = neighbors.kneighbors(queries)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: neighbors.kneighbors(queries), range(24)):
            assert_array_equal(found[0], expected[0])
            assert_array_equal(found[1], expected[1])


def test_building_again_gives_the_same_clusters(clustered):
    rows, queries = clustered
    one, two = (FaissNeighbors(5, metric="l2", index="ivf", n_probes=1, n_jobs=1).fit(rows) for _ in range(2))
    assert_array_equal(one.kneighbors(queries)[1], two.kneighbors(queries)[1])
