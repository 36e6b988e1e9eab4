import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep.priors import ChowLiuPrior, IndependentPrior

quick = settings(deadline=None, max_examples=10)
any_seed = st.integers(0, 2**31)
PAIRS = list(itertools.combinations(range(4), 2))


def edges_of(prior):
    return {frozenset((i, int(parent))) for i, parent in enumerate(prior.parents_) if parent >= 0}


def log_likelihood_of_tree(bits, edges):
    """Mean log-likelihood of the best model of this tree: entropies of bits and pairs."""

    def entropy(columns):
        p = np.unique(bits[:, columns], axis=0, return_counts=True)[1] / len(bits)
        return -(p * np.log(p)).sum()

    singles = [entropy([i]) for i in range(bits.shape[1])]
    return -sum(singles) + sum(singles[a] + singles[b] - entropy([a, b]) for a, b in edges)


@quick
@given(seed=any_seed)
def test_likelihood_is_that_of_the_best_tree_on_four_bits(seed):
    rng = np.random.default_rng(seed)
    codes = rng.choice(16, size=1000, p=rng.dirichlet(np.full(16, 0.3)))
    bits = codes[:, None] >> np.arange(4) & 1
    # Three of six edges are a tree unless they are a triangle.
    trees = [edges for edges in itertools.combinations(PAIRS, 3) if len({*sum(edges, ())}) == 4]
    assert len(trees) == 16
    scores = {frozenset(map(frozenset, edges)): log_likelihood_of_tree(bits, edges) for edges in trees}
    prior = ChowLiuPrior().fit(bits)
    # Smoothing may prefer another tree where two are nearly equal.
    assert scores[frozenset(edges_of(prior))] >= max(scores.values()) - 2e-3
    assert prior.score(bits) == pytest.approx(max(scores.values()), abs=0.02)


def test_independent_and_constant_bits_are_one_tree():
    bits = np.random.default_rng(0).integers(0, 2, (300, 6))
    bits[:, 2:4] = [0, 1]
    prior = ChowLiuPrior().fit(bits)
    assert len(edges_of(prior)) == 5
    assert prior.score(bits) == pytest.approx(IndependentPrior().fit(bits).score(bits), abs=0.05)


def test_unseen_values_of_the_parent_carry_no_information():
    bits = np.zeros((40, 2), dtype=int)
    bits[:, 0] = 1
    bits[:30, 1] = 1
    prior = ChowLiuPrior().fit(bits)
    given_zero = np.exp(prior.log_prob([[0, 1]]) - np.logaddexp(*prior.log_prob([[0, 0], [0, 1]])))
    assert given_zero[0] == pytest.approx(30.5 / 41)
