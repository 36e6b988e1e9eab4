"""Hamming search against a count of differing bits, and asymmetric search against a sum over bits."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dmzrep.retrieval import FaissNeighbors, hamming_neighbors
from dmzrep.retrieval import _hamming as hamming


def test_codes_of_two_widths_are_refused():
    with pytest.raises(ValueError, match="queries have 8 bits, but bits have 9"):
        hamming_neighbors(np.zeros((2, 8)), np.zeros((5, 9)), 1)


@pytest.mark.parametrize("latent_dim", [1, 8, 61, 64, 240, 241])
@pytest.mark.parametrize("k", [1, 7, 300])
@pytest.mark.parametrize("n_queries", [9, 120])
def test_search_agrees_with_a_count_of_differing_bits(latent_dim, k, n_queries, monkeypatch, count_differing):
    monkeypatch.setattr(hamming, "BLOCK_CODES", 128)
    monkeypatch.setattr(hamming, "BLOCK_QUERIES", 50)
    random = np.random.default_rng(latent_dim)
    bits, queries = (random.integers(0, 2, (n, latent_dim)) for n in (300, n_queries))
    counted = count_differing(queries, bits)
    distances, indices = hamming_neighbors(queries, bits > 0, k)
    assert np.array_equal(distances, np.sort(counted, axis=1)[:, :k])
    assert np.array_equal(np.take_along_axis(counted, indices, axis=1), distances)
    assert all(len(set(found)) == k for found in indices)


def test_look_up_tables_are_exact_where_rounding_is_worst(count_differing):
    # Complements differ everywhere; half of each four bits gives the value that is rounded the most.
    queries = np.zeros((40, 240), dtype=np.uint8)
    bits = np.tile([1, 1, 0, 0], (241, 60)).astype(np.uint8)
    for i, code in enumerate(bits):
        code[:i] = 1 - code[:i]
    distances, _ = hamming_neighbors(queries, bits, len(bits))
    assert np.array_equal(distances, np.sort(count_differing(queries, bits), axis=1))


@pytest.mark.parametrize("n_queries", [1, 40])
def test_equal_distances_are_sorted_by_index(n_queries):
    bits = np.zeros((50, 8), dtype=np.uint8)
    _, indices = hamming_neighbors(bits[:n_queries], bits, 50)
    assert np.array_equal(indices, np.tile(np.arange(50), (n_queries, 1)))


@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_asymmetric_search_with_a_full_shortlist_is_exact(index, monkeypatch):
    monkeypatch.setattr(hamming, "_BLOCK_BITS", 30_000)  # Of three queries.
    random = np.random.default_rng(0)
    stored, queries = random.random((500, 20)), random.random((40, 20))
    expected = np.abs(queries[:, None] - (stored > 0.5)[None]).sum(axis=2)
    neighbors = FaissNeighbors(9, metric="asymmetric", index=index, shortlist=500, n_probes=99).fit(stored)
    distances, ids = neighbors.kneighbors(queries)
    assert_allclose(distances, np.sort(expected, axis=1)[:, :9])
    assert_allclose(np.take_along_axis(expected, ids, axis=1), distances)
    among = np.arange(0, 500, 5)
    found = neighbors.kneighbors(queries, 4, among=among)[0]
    assert_allclose(found, np.sort(expected[:, among], axis=1)[:, :4])


def test_asymmetric_search_for_bits_returns_hamming_distances():
    bits = np.random.default_rng(0).integers(0, 2, (300, 20))
    found, expected = (FaissNeighbors(5, metric=metric).fit(bits) for metric in ("asymmetric", "hamming"))
    assert_array_equal(found.kneighbors(bits)[0], expected.kneighbors(bits)[0])
    assert_array_equal(found.kneighbors()[0], expected.kneighbors()[0])
