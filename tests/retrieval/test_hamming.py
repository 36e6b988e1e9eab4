"""Hamming search against a count of differing bits, and expected distances against a sum over bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from dmzrep.retrieval import FaissNeighbors, hamming_neighbors
from dmzrep.retrieval import _hamming as hamming
from dmzrep.retrieval._hamming import expected_hamming


def test_booleans_and_integers_are_the_same_codes():
    bits = np.random.default_rng(0).integers(0, 2, (30, 16))
    for mine, other in zip(
        hamming_neighbors(bits, bits, 3), hamming_neighbors(bits > 0, bits, 3), strict=True
    ):
        assert np.array_equal(mine, other)


@pytest.mark.parametrize(
    ("queries", "bits", "k", "message"),
    [
        (np.zeros((2, 8)), np.zeros((5, 9)), 1, "queries have 8 bits, but bits have 9"),
        (np.full((2, 8), 0.3), np.zeros((5, 8)), 1, "queries must be zeros and ones; threshold"),
        (np.zeros((2, 8)), np.full((5, 8), 2), 1, "bits must be zeros and ones"),
        (
            np.zeros((2, 8)),
            np.zeros((5, 8)),
            6,
            "k must be an integer from 1 to 5, the number of codes, got 6",
        ),
        (np.zeros((2, 8)), np.zeros((5, 8)), 0, "got 0"),
        (np.zeros((2, 8)), np.zeros((0, 8)), 1, "bits must be a non-empty array"),
        (np.zeros(8), np.zeros((5, 8)), 1, "queries must be a non-empty array"),
    ],
)
def test_bad_codes_are_refused(queries, bits, k, message):
    with pytest.raises(ValueError, match=message):
        hamming_neighbors(queries, bits, k)


@pytest.mark.parametrize("latent_dim", [1, 8, 61, 64, 240, 241])
@pytest.mark.parametrize("k", [1, 7, 300])
@pytest.mark.parametrize("n_queries", [9, 120])
def test_search_agrees_with_a_count_of_differing_bits(latent_dim, k, n_queries, monkeypatch):
    monkeypatch.setattr(hamming, "BLOCK_CODES", 128)
    monkeypatch.setattr(hamming, "BLOCK_QUERIES", 50)
    random = np.random.default_rng(latent_dim)
    bits, queries = (random.integers(0, 2, (n, latent_dim)) for n in (300, n_queries))
    counted = (queries[:, None] != bits[None]).sum(axis=2)
    distances, indices = hamming_neighbors(queries, bits, k)
    assert np.array_equal(distances, np.sort(counted, axis=1)[:, :k])
    assert np.array_equal(np.take_along_axis(counted, indices, axis=1), distances)
    assert all(len(set(row)) == k for row in indices)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 240), st.integers(33, 200), st.integers(0, 2**32 - 1), st.floats(0.02, 0.98))
def test_look_ups_never_misjudge_a_distance(latent_dim, n, seed, share):
    random = np.random.default_rng(seed)
    bits, queries = (random.random((rows, latent_dim)) < share for rows in (n, 40))
    counted = (queries[:, None] != bits[None]).sum(axis=2)
    distances, indices = hamming_neighbors(queries, bits, n)
    assert np.array_equal(distances, np.sort(counted, axis=1))
    assert np.array_equal(np.take_along_axis(counted, indices, axis=1), distances)


def test_the_largest_look_up_stands_the_worst_rounding():
    # Complements differ everywhere; halves of a nibble hit the value that is rounded the most.
    queries = np.zeros((40, 240), dtype=np.uint8)
    bits = np.tile([1, 1, 0, 0], (241, 60)).astype(np.uint8)
    for i, row in enumerate(bits):
        row[:i] = 1 - row[:i]
    counted = (queries[:, None] != bits[None]).sum(axis=2)
    distances, _ = hamming_neighbors(queries, bits, len(bits))
    assert np.array_equal(distances, np.sort(counted, axis=1))


def test_equal_distances_are_sorted_by_index():
    bits = np.zeros((50, 8), dtype=np.uint8)
    for n_queries in (1, 40):
        _, indices = hamming_neighbors(bits[:n_queries], bits, 50)
        assert np.array_equal(indices, np.tile(np.arange(50), (n_queries, 1)))


def test_packed_codes_are_refused():
    with pytest.raises(ValueError, match=r"bits must be zeros and ones, got 255.*numpy\.unpackbits"):
        hamming_neighbors(np.zeros((2, 8), np.uint8), np.full((5, 8), 255, np.uint8), 1)


@pytest.mark.parametrize("latent_dim", [1, 8, 21])
def test_the_distance_is_the_mean_over_drawn_codes(latent_dim):
    random = np.random.default_rng(latent_dim)
    p, bits = random.random((5, latent_dim)), random.integers(0, 2, (5, 7, latent_dim))
    expected = np.abs(p[:, None] - bits).sum(axis=2)
    assert_allclose(expected_hamming(np.packbits(bits, axis=2), p), expected)
    drawn = random.random((20_000, 5, latent_dim)) < p
    assert_allclose((drawn[:, :, None] != bits[None]).sum(axis=3).mean(axis=0), expected, atol=0.1)


@pytest.mark.parametrize("index", ["flat", "hnsw", "ivf"])
def test_a_shortlist_of_everything_gives_the_exact_order(index):
    random = np.random.default_rng(0)
    stored, queries = random.random((500, 20)), random.random((40, 20))
    expected = np.abs(queries[:, None] - (stored > 0.5)[None]).sum(axis=2)
    neighbors = FaissNeighbors(9, metric="asymmetric", index=index, shortlist=500, n_probes=99).fit(stored)
    distances, ids = neighbors.kneighbors(queries)
    assert_allclose(distances, np.sort(expected, axis=1)[:, :9])
    assert_allclose(np.take_along_axis(expected, ids, axis=1), distances)
    among = np.arange(0, 500, 5)
    assert_allclose(
        neighbors.kneighbors(queries, 4, among=among)[0], np.sort(expected[:, among], axis=1)[:, :4]
    )


def test_bits_as_queries_give_hamming_distances():
    bits = np.random.default_rng(0).integers(0, 2, (300, 20))
    mine, other = (FaissNeighbors(5, metric=metric).fit(bits) for metric in ("asymmetric", "hamming"))
    assert_array_equal(mine.kneighbors(bits)[0], other.kneighbors(bits)[0])
    assert_array_equal(mine.kneighbors()[0], other.kneighbors()[0])


def test_probabilities_tell_more_than_bits():
    # Noise on a code moves uncertain bits; a query that knows which are uncertain finds the code again.
    random = np.random.default_rng(0)
    bits = random.integers(0, 2, (2000, 32))
    rate = random.choice([0.02, 0.4], (500, 32))
    queries = np.abs((bits[:500] ^ (random.random((500, 32)) < rate)) - rate)
    hits = {}
    for metric, X in (("asymmetric", queries), ("hamming", queries > 0.5)):
        ids = FaissNeighbors(1, metric=metric).fit(bits).kneighbors(X)[1]
        hits[metric] = (ids[:, 0] == np.arange(500)).mean()
    assert hits["asymmetric"] > hits["hamming"] + 0.05
