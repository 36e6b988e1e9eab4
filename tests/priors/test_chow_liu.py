import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep.priors import ChowLiuPrior, IndependentPrior

quick = settings(deadline=None, max_examples=10)
any_seed = st.integers(0, 2**31)
PAIRS = list(itertools.combinations(range(4), 2))


def draw_tree(seed, n, latent_dim):
    """Bits of a random tree whose edges are of clearly different strength, and its edges."""
    rng = np.random.default_rng(seed)
    bits = np.zeros((n, latent_dim), dtype=int)
    bits[:, 0] = rng.random(n) < 0.5
    edges, strengths = set(), rng.permutation(np.linspace(0.5, 0.95, latent_dim - 1))
    for i in range(1, latent_dim):
        parent = int(rng.integers(i))
        copied, tossed = bits[:, parent] ^ rng.integers(2), rng.random(n) < 0.5
        bits[:, i] = np.where(rng.random(n) < strengths[i - 1], copied, tossed)
        edges.add((parent, i))
    order = rng.permutation(latent_dim)
    place = np.argsort(order)
    return bits[:, order], {frozenset((int(place[a]), int(place[b]))) for a, b in edges}


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


@quick
@given(seed=any_seed, latent_dim=st.integers(2, 12))
def test_true_tree_is_recovered(seed, latent_dim):
    bits, edges = draw_tree(seed, 5000, latent_dim)
    prior = ChowLiuPrior().fit(bits)
    assert edges_of(prior) == edges
    assert sorted(prior.order_) == list(range(latent_dim)) and prior.parents_[prior.order_[0]] == -1
    place = np.argsort(prior.order_)
    assert all(place[prior.parents_[bit]] < place[bit] for bit in prior.order_[1:])


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
