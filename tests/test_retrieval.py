"""Hamming search against a count of differing bits."""

import numpy as np
import pytest

from dmzrep.retrieval import hamming_neighbors


@pytest.mark.parametrize("latent_dim", [1, 7, 8, 64, 77])
def test_neighbours_are_those_of_a_count_of_differing_bits(latent_dim):
    random = np.random.default_rng(latent_dim)
    bits, queries = (random.integers(0, 2, (n, latent_dim)) for n in (60, 9))
    counted = (queries[:, None] != bits[None]).sum(axis=2)
    distances, indices = hamming_neighbors(queries, bits, 20)
    assert np.array_equal(distances, np.sort(counted, axis=1)[:, :20])
    assert np.array_equal(np.take_along_axis(counted, indices, axis=1), distances)
    assert all(len(set(row)) == 20 for row in indices)


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
        (np.zeros((2, 8)), np.zeros((5, 8)), 6, "k must be from 1 to the number of codes, 5, got 6"),
        (np.zeros((2, 8)), np.zeros((5, 8)), 0, "got 0"),
        (np.zeros((2, 8)), np.zeros((0, 8)), 1, "bits must be a non-empty array"),
        (np.zeros(8), np.zeros((5, 8)), 1, "queries must be a non-empty array"),
    ],
)
def test_bad_codes_are_refused(queries, bits, k, message):
    with pytest.raises(ValueError, match=message):
        hamming_neighbors(queries, bits, k)
