"""FaissNeighbors in the place of a transformer of neighbours: its graphs, and estimators that take them."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import DBSCAN, SpectralClustering
from sklearn.manifold import TSNE, Isomap
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsTransformer,
    LocalOutlierFactor,
    RadiusNeighborsTransformer,
)
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
    graph = FaissNeighbors(5, metric=metric, index=index, n_lists=1).fit_transform(X)
    check_graph(graph, 300, 6)
    expected = 0.0
    if metric == "asymmetric":  # An uncertain query is at a distance from its own bits.
        expected = np.minimum(X[0], 1 - X[0]).sum()
    assert_allclose(graph.data.reshape(300, 6)[:, 1:], expected, atol=1e-6)


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


def test_spectral_clustering(blobs):
    X, labels = blobs
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Graph is not fully connected")
        params = {"n_clusters": 4, "n_neighbors": 12, "random_state": 0, "assign_labels": "cluster_qr"}
        chain = make_pipeline(
            FaissNeighbors(12, metric="l2"),
            SpectralClustering(affinity="precomputed_nearest_neighbors", **params),
        )
        found = chain.fit_predict(X)
        direct = SpectralClustering(affinity="nearest_neighbors", **params).fit_predict(X)
    assert adjusted_rand_score(found, direct) == 1.0
    assert adjusted_rand_score(found, labels) > 0.9


def test_isomap():
    X = np.random.default_rng(0).random((150, 2)) @ np.random.default_rng(1).normal(size=(2, 6))
    chain = make_pipeline(FaissNeighbors(8, metric="l2"), Isomap(n_neighbors=8, metric="precomputed"))
    found, direct = chain.fit_transform(X), Isomap(n_neighbors=8).fit_transform(X)
    assert_allclose(np.abs(found), np.abs(direct), atol=1e-4 * np.abs(direct).max())
    assert_allclose(
        np.abs(chain.transform(X[:20] + 0.01)), np.abs(chain[-1].transform(chain[0].transform(X[:20] + 0.01)))
    )


def test_tsne():
    X = np.random.default_rng(0).normal(size=(60, 5))
    # 3 * perplexity + 1 neighbours, as the estimator itself uses.
    params = {"perplexity": 5, "init": "random", "random_state": 0, "max_iter": 250, "method": "barnes_hut"}
    chain = make_pipeline(FaissNeighbors(16, metric="l2"), TSNE(metric="precomputed", **params))
    reference = make_pipeline(KNeighborsTransformer(n_neighbors=16), TSNE(metric="precomputed", **params))
    found, expected = chain.fit(X)[-1], reference.fit(X)[-1]
    direct = TSNE(**params).fit(X)
    assert found.kl_divergence_ == pytest.approx(direct.kl_divergence_, rel=0.1)
    assert found.kl_divergence_ == pytest.approx(expected.kl_divergence_, rel=0.1)


def test_local_outlier_factor(blobs):
    X = blobs[0]
    chain = make_pipeline(
        FaissNeighbors(12, metric="l2"),
        LocalOutlierFactor(n_neighbors=12, metric="precomputed", contamination=0.05),
    )
    direct = LocalOutlierFactor(n_neighbors=12, contamination=0.05)
    assert_array_equal(chain.fit_predict(X), direct.fit_predict(X))
    scores = chain[-1].negative_outlier_factor_
    assert_allclose(scores, direct.negative_outlier_factor_, rtol=1e-5)
    chain = make_pipeline(
        FaissNeighbors(12, metric="l2"),
        LocalOutlierFactor(n_neighbors=12, metric="precomputed", novelty=True),
    ).fit(X)
    direct = LocalOutlierFactor(n_neighbors=12, novelty=True).fit(X)
    queries = X[:30] + 0.3
    assert_allclose(chain.score_samples(queries), direct.score_samples(queries), rtol=1e-5)


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
