"""The boundary of `radius_neighbors`: included, as in scikit-learn, for every metric."""

import numpy as np
import pytest

from dmzrep.retrieval import FaissNeighbors


def counts(neighbors, X):
    return [len(found) for found in neighbors.radius_neighbors(X, return_distance=False)]


@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
@pytest.mark.parametrize(
    ("dtype", "scale", "shift"),
    [
        (np.uint8, 1, 0),
        (np.int64, 1, -3),
        (np.float32, 0.25, 1e5),
        (np.float64, 1.0, 1.7e9),  # Seconds since 1970: float32 alone would hold steps of 128.
        (np.float64, 2.0**-20, 0.5),
        (np.float64, 1e6, 0.0),
    ],
)
def test_radius_includes_its_boundary_for_exact_vectors(index, dtype, scale, shift):
    steps = np.random.default_rng(0).integers(0, 9, (250, 3))
    X = (steps * scale + shift).astype(dtype)
    squared = ((steps[:, None] - steps[None]) ** 2).sum(axis=2)
    neighbors = FaissNeighbors(metric="l2", index=index, n_probes=1000).fit(X)
    for square in (0, 1, 4, 9, 25):
        radius = np.sqrt(square) * scale
        expected = (squared <= square).sum(axis=1)
        assert counts(neighbors.set_params(radius=radius), X) == expected.tolist()
        assert counts(neighbors, None) == (expected - 1).tolist()
        inside = np.nextafter(radius, -1.0)
        if inside > 0.0:
            assert counts(neighbors.set_params(radius=inside), X) == (squared < square).sum(axis=1).tolist()


@pytest.mark.parametrize("step", [0.1, 1 / 3, 0.7])
def test_radius_includes_its_boundary_for_rounded_vectors(step):
    X = np.arange(100.0)[:, None] * step
    distances, ids = FaissNeighbors(metric="l2", radius=3 * step).fit(X).radius_neighbors(X)
    expected = (np.abs(np.arange(100)[:, None] - np.arange(100)) <= 3).sum(axis=1)
    assert [len(found) for found in ids] == expected.tolist()
    assert max(map(np.max, distances)) <= 3 * step


def test_radius_includes_its_boundary_for_added_samples():
    X = np.arange(40.0)[:, None]
    grown = FaissNeighbors(metric="l2", radius=2.0).fit(X[:20]).add(X[20:])
    assert counts(grown, X) == counts(FaissNeighbors(metric="l2", radius=2.0).fit(X), X)
    grown.add(X + 0.1)
    assert counts(grown, X[5:6]) == [5 + 4]


@pytest.mark.parametrize("radius", [0.0, 1 - np.sqrt(0.5), 0.5, 1.0, 1.5, 2.0])
def test_cosine_radius_includes_its_boundary(radius):
    X = np.random.default_rng(1).integers(-2, 3, (200, 2))
    X = X[X.any(axis=1)]
    dots = X @ X.T
    lengths = (X**2).sum(axis=1)
    # The margin is far below the gaps between angles.
    expected = (dots >= (1 - radius - 1e-9) * np.sqrt(np.outer(lengths, lengths))).sum(axis=1)
    assert counts(FaissNeighbors(metric="cosine", radius=radius).fit(X), X) == expected.tolist()


def test_duplicates_of_long_vectors_are_within_radius_zero():
    # FAISS's float32 distances of long vectors are off by more than these.
    X = np.random.default_rng(3).normal(size=(50, 200)) * 1000 + 300
    X = np.concatenate([X, X])
    neighbors = FaissNeighbors(metric="l2", radius=0.0).fit(X)
    for queries in (X, X[:3]):
        assert counts(neighbors, queries) == [2] * len(queries)
