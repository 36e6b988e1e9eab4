"""Expected Hamming distance against a sum over bits, and the search by it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from dmzrep.retrieval import FaissNeighbors
from dmzrep.retrieval._asymmetric import expected_hamming


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
