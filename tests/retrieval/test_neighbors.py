"""FaissNeighbors against scikit-learn and a count of differing bits."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.neighbors import KNeighborsTransformer, NearestNeighbors

from dmzrep.retrieval import FaissNeighbors

KINDS = [(metric, kind) for metric in ("hamming", "l2", "cosine") for kind in ("flat", "hnsw", "ivf")]


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_neighbors_of_vectors_agree_with_scikit_learn(clustered, metric, shift):
    X, queries = (part + (shift if metric == "l2" else 0.0) for part in clustered)
    reference = NearestNeighbors(n_neighbors=8, metric="euclidean" if metric == "l2" else metric).fit(X)
    neighbors = FaissNeighbors(8, metric=metric).fit(X)
    for Q in (queries, None):
        expected, expected_indices = reference.kneighbors(Q)
        distances, ids = neighbors.kneighbors(Q)
        assert_allclose(distances, expected, rtol=1e-5, atol=1e-7)
        assert_array_equal(ids, expected_indices)
        assert_array_equal(neighbors.kneighbors(Q, return_distance=False), ids)
    assert distances.dtype == np.float64 and ids.dtype == np.int64


@pytest.mark.parametrize("latent_dim", [3, 64, 77])
@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_neighbors_of_bits_agree_with_a_count(latent_dim, index, count_differing):
    random = np.random.default_rng(latent_dim)
    bits, queries = random.integers(0, 2, (400, latent_dim)), random.integers(0, 2, (50, latent_dim))
    neighbors = FaissNeighbors(10, index=index, n_probes=1000, ef_search=500).fit(bits)
    distances, ids = neighbors.kneighbors(queries)
    counted = count_differing(queries, bits)
    assert_array_equal(np.take_along_axis(counted, ids, axis=1), distances)
    assert_array_equal(distances, np.sort(counted, axis=1)[:, :10])
    # scikit-learn's distance is the share of bits that differ.
    reference = NearestNeighbors(n_neighbors=10, metric="hamming", algorithm="brute").fit(bits > 0)
    assert_allclose(distances / neighbors.n_features_in_, reference.kneighbors(queries > 0)[0])


def test_packed_codes_have_the_neighbors_of_their_bits(clustered_bits):
    bits, queries = clustered_bits
    plain, packed = FaissNeighbors(7).fit(bits), FaissNeighbors(7, packed=True).fit(np.packbits(bits, axis=1))
    expected, found = plain.kneighbors(queries), packed.kneighbors(np.packbits(queries, axis=1))
    for one, other in zip(found, expected, strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize(("metric", "index"), [*KINDS, ("l2", "pq"), ("cosine", "pq")])
def test_approximate_indexes_find_most_of_the_nearest(metric, index, clustered, clustered_bits):
    X, queries = clustered_bits if metric == "hamming" else clustered
    expected, expected_ids = FaissNeighbors(10, metric=metric).fit(X).kneighbors(queries)
    found, ids = FaissNeighbors(10, metric=metric, index=index, random_state=0).fit(X).kneighbors(queries)
    if index == "pq":  # Its own distances are of compressed vectors.
        shared = [len(set(one) & set(other)) for one, other in zip(ids, expected_ids, strict=True)]
        assert np.mean(shared) >= 5
    else:
        assert (found <= expected[:, -1:] * (1 + 1e-6)).mean() >= 0.95


@pytest.mark.parametrize("metric", ["hamming", "l2"])
def test_probed_lists_with_fewer_samples_than_k(metric, clustered, clustered_bits):
    X, queries = clustered_bits if metric == "hamming" else clustered
    few = FaissNeighbors(metric=metric, index="ivf", n_lists=100, n_probes=1).fit(X)
    exact = FaissNeighbors(metric=metric).fit(X)
    assert_allclose(few.kneighbors(queries, 1000)[0], exact.kneighbors(queries, 1000)[0], rtol=1e-5)


@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_radius_neighbors_of_bits_agree_with_a_count(index, clustered_bits, count_differing):
    bits, queries = clustered_bits
    neighbors = FaissNeighbors(radius=9, index=index, n_probes=1000).fit(bits)
    counted = count_differing(queries, bits)
    for radius in (None, 12, 12.7, 0, 64):
        limit = 9 if radius is None else radius
        for count, distances, ids in zip(counted, *neighbors.radius_neighbors(queries, radius), strict=True):
            assert_array_equal(np.sort(ids), np.flatnonzero(count <= limit))
            assert_array_equal(distances, count[ids])
            assert (np.diff(distances) >= 0).all()


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_radius_neighbors_of_vectors_agree_with_scikit_learn(metric, index, clustered):
    X, queries = clustered[0][:1000], clustered[1]
    radius = 5.0 if metric == "l2" else 0.2
    reference = NearestNeighbors(radius=radius, metric="euclidean" if metric == "l2" else metric).fit(X)
    neighbors = FaissNeighbors(radius=radius, metric=metric, index=index, n_probes=1000).fit(X)
    for Q in (queries, None):
        expected = reference.radius_neighbors(Q, return_distance=False)
        for one, other in zip(neighbors.radius_neighbors(Q, return_distance=False), expected, strict=True):
            assert_array_equal(np.sort(one), np.sort(other))
    graphs = [one.radius_neighbors_graph(queries, mode="distance") for one in (neighbors, reference)]
    assert_allclose(graphs[0].toarray(), graphs[1].toarray(), rtol=1e-5)


@pytest.mark.parametrize("mode", ["distance", "connectivity"])
@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_graphs_agree_with_scikit_learn(mode, index, clustered):
    X, queries = clustered[0][:500], clustered[1]
    reference = KNeighborsTransformer(mode=mode, n_neighbors=6).fit(X)
    neighbors = FaissNeighbors(6, mode=mode, metric="l2", index=index, n_probes=99, ef_search=500).fit(X)
    graph = neighbors.transform(queries)
    assert graph.format == "csr" and len(neighbors.get_feature_names_out()) == len(X)
    assert_allclose(graph.toarray(), reference.transform(queries).toarray(), rtol=1e-5)
    expected = reference.kneighbors_graph(mode=mode)
    assert_allclose(neighbors.kneighbors_graph(mode=mode).toarray(), expected.toarray(), rtol=1e-5)
    graph = neighbors.transform(X)
    assert_allclose(graph.toarray(), reference.transform(X).toarray(), rtol=1e-5, atol=1e-6)
    if mode == "distance":  # Each sample is its own first neighbour.
        assert_array_equal(graph.indices.reshape(500, 7)[:, 0], np.arange(500))
        assert_array_equal(graph.diagonal(), 0.0)


def test_graph_columns_are_indices_and_neighbors_are_ids(clustered_bits):
    bits, queries = clustered_bits
    ids = np.random.default_rng(0).permutation(10**12 + np.arange(len(bits)))
    plain, named = FaissNeighbors(3).fit(bits), FaissNeighbors(3).fit(bits, ids=ids)
    assert_array_equal(named.kneighbors(queries)[1], ids[plain.kneighbors(queries)[1]])
    assert (named.kneighbors_graph(queries) != plain.kneighbors_graph(queries)).nnz == 0
    assert_array_equal(named.indices_of(ids[[5, 2]]), [5, 2])


@pytest.mark.parametrize("metric", ["hamming", "l2"])
@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_among_searches_exactly_those_samples(metric, index, clustered, clustered_bits):
    X, queries = clustered_bits if metric == "hamming" else clustered
    ids = 7 * np.arange(len(X)) + 3
    chosen = np.random.default_rng(0).choice(len(X), 100, replace=False)
    neighbors = FaissNeighbors(metric=metric, index=index).fit(X, ids=ids)
    distances, found = neighbors.kneighbors(queries, 100, among=ids[chosen])
    assert_array_equal(np.sort(found, axis=1), np.tile(np.sort(ids[chosen]), (len(queries), 1)))
    expected = FaissNeighbors(metric=metric).fit(X[chosen]).kneighbors(queries, 100)[0]
    assert_allclose(distances, expected, rtol=1e-5)


def test_search_parameters_may_change_after_fitting(clustered_bits):
    bits, queries = clustered_bits
    neighbors = FaissNeighbors(10, index="ivf", n_lists=200, n_probes=1, random_state=0).fit(bits)
    exact = FaissNeighbors(10).fit(bits).kneighbors(queries)[0]
    assert (neighbors.kneighbors(queries)[0] > exact).any()
    neighbors.set_params(n_probes=200)
    assert_array_equal(neighbors.kneighbors(queries)[0], exact)
    with pytest.raises(ValueError, match="'n_probes' parameter of FaissNeighbors must be"):
        neighbors.set_params(n_probes=-1).kneighbors(queries)


def test_number_of_threads_is_restored(clustered_bits):
    import faiss

    before = faiss.omp_get_max_threads()
    expected = FaissNeighbors(5).fit(clustered_bits[0]).kneighbors(clustered_bits[1])[0]
    for n_jobs in (1, 2, -1):
        found = FaissNeighbors(5, n_jobs=n_jobs).fit(clustered_bits[0]).kneighbors(clustered_bits[1])[0]
        assert_array_equal(found, expected)
        assert faiss.omp_get_max_threads() == before


@pytest.mark.parametrize("make_state", [lambda: 3, lambda: np.random.RandomState(3)])
def test_clusters_are_reproducible_with_random_state(make_state, clustered):
    X, queries = clustered
    params = {"metric": "l2", "index": "ivf", "n_probes": 1, "n_jobs": 1}
    one, two = (FaissNeighbors(5, random_state=make_state(), **params).fit(X) for _ in range(2))
    assert_array_equal(one.kneighbors(queries)[1], two.kneighbors(queries)[1])
