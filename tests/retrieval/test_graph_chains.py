"""FaissNeighbors in the place of a transformer of neighbours: its graphs, and estimators that take them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsTransformer, RadiusNeighborsTransformer
from sklearn.pipeline import make_pipeline

from dmzrep.retrieval import FaissNeighbors

KINDS = [(m, i) for m in ("hamming", "asymmetric", "l2", "cosine") for i in ("flat", "hnsw", "ivf", "pq")]
KINDS = [kind for kind in KINDS if kind[1] != "pq" or kind[0] in ("l2", "cosine")]


def samples(metric, n=300):
    X = np.random.default_rng(0).normal(size=(n, 16))
    return {"hamming": X > 0, "asymmetric": 1 / (1 + np.exp(-X))}.get(metric, X)


def check_graph(graph, n_samples, n_stored):
    """Check that the first stored neighbour is the sample itself, and distinct others follow by distance."""
    assert graph.format == "csr" and graph.shape == (n_samples, n_samples)
    assert_array_equal(np.diff(graph.indptr), n_stored)
    indices, distances = (x.reshape(n_samples, n_stored) for x in (graph.indices, graph.data))
    assert_array_equal(indices[:, 0], np.arange(n_samples))
    assert_array_equal(distances[:, 0], 0.0)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert all(len(set(row)) == n_stored for row in indices)


@pytest.mark.parametrize(("metric", "index"), KINDS)
def test_graph_of_training_samples(metric, index):
    X = samples(metric)
    neighbors = FaissNeighbors(5, metric=metric, index=index, random_state=0)
    check_graph(neighbors.fit_transform(X), 300, 6)
    ones = neighbors.set_params(mode="connectivity").fit_transform(X)
    assert_array_equal(ones.data, 1.0)
    assert ones.nnz == 300 * 5 and (ones.diagonal() == 1.0).all()


@pytest.mark.parametrize(("metric", "index"), KINDS)
def test_graph_of_equal_samples(metric, index):
    X = np.repeat(samples(metric)[:1], 300, axis=0)
    neighbors = FaissNeighbors(5, metric=metric, index=index, n_lists=1)
    graph = neighbors.fit_transform(X)
    check_graph(graph, 300, 6)
    expected = 0.0
    if metric == "asymmetric":  # An uncertain query is at a distance from its own bits.
        expected = np.minimum(X[0], 1 - X[0]).sum()
    assert_allclose(graph.data.reshape(300, 6)[:, 1:], expected, atol=1e-6)
    distances, ids = neighbors.kneighbors()
    assert_allclose(distances, 0.0, atol=1e-6)
    assert ids.shape == (300, 5) and not (ids == np.arange(300)[:, None]).any()


def test_graph_with_rescoring():
    X = samples("l2")
    neighbors = FaissNeighbors(5, rescore="l2", oversample=100)
    graph = neighbors.fit_transform(X > 0, vectors=X)
    check_graph(graph, 300, 6)
    assert_allclose(
        graph.toarray(), KNeighborsTransformer(n_neighbors=5).fit_transform(X).toarray(), atol=1e-6
    )
    queries = neighbors.kneighbors_graph(X[:9] > 0, 6, "distance", vectors=X[:9])
    assert_allclose(queries.toarray(), graph[:9].toarray())


@pytest.fixture(scope="module")
def blobs():
    random = np.random.default_rng(2)
    labels = random.integers(0, 4, 240)
    return random.normal(size=(4, 6))[labels] * 4.0 + random.normal(size=(240, 6)), labels


def test_dbscan(blobs):
    X, labels = blobs
    neighbors = FaissNeighbors(metric="l2", radius=2.5).fit(X)
    graph = neighbors.radius_neighbors_graph(X, mode="distance")
    expected = RadiusNeighborsTransformer(radius=2.5).fit_transform(X)
    assert_allclose(graph.toarray(), expected.toarray(), rtol=1e-5)
    found = DBSCAN(eps=2.5, min_samples=6, metric="precomputed").fit_predict(graph)
    direct = DBSCAN(eps=2.5, min_samples=6).fit_predict(X)
    assert_array_equal(found, direct)
    # The nearest neighbours are enough if they reach beyond eps.
    chain = make_pipeline(
        FaissNeighbors(150, metric="l2"), DBSCAN(eps=2.5, min_samples=6, metric="precomputed")
    )
    assert_array_equal(chain.fit_predict(X), direct)
    assert adjusted_rand_score(direct, labels) > 0.9


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_classifier(weights, blobs):
    X, labels = blobs
    chain = make_pipeline(
        FaissNeighbors(7, metric="l2"), KNeighborsClassifier(7, metric="precomputed", weights=weights)
    )
    direct = KNeighborsClassifier(7, weights=weights).fit(X, labels)
    queries = X + np.random.default_rng(0).normal(size=X.shape)
    chain.fit(X, labels)
    assert_allclose(chain.predict_proba(queries), direct.predict_proba(queries), atol=1e-5)
    assert_array_equal(chain.predict(X), direct.predict(X))
