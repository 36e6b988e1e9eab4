import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep.codes._information import joint_distribution, mutual_information
from dmzrep.priors import ChowLiuPrior, IndependentPrior

quick = settings(deadline=None, max_examples=25)
any_seed = st.integers(0, 2**31)


def draw_tree(seed, n=600, latent_dim=4):
    """Bits of a random tree whose edges are of clearly different strength."""
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


def spanning_trees(latent_dim):
    for edges in itertools.combinations(itertools.combinations(range(latent_dim), 2), latent_dim - 1):
        reached, frontier = {0}, [0]
        while frontier:
            node = frontier.pop()
            for edge in edges:
                if node in edge:
                    (other,) = set(edge) - {node}
                    if other not in reached:
                        reached.add(other)
                        frontier.append(other)
        if len(reached) == latent_dim:
            yield edges


def log_likelihood_of_tree(bits, edges):
    """Mean log-likelihood of the best model of this shape, from counts: entropies and pair terms."""

    def entropy(columns):
        _, counts = np.unique(bits[:, columns], axis=0, return_counts=True)
        p = counts / len(bits)
        return -(p * np.log(p)).sum()

    singles = [entropy([i]) for i in range(bits.shape[1])]
    return -sum(singles) + sum(singles[a] + singles[b] - entropy([a, b]) for a, b in edges)


@quick
@given(seed=any_seed)
def test_the_tree_is_as_likely_as_the_best_of_all_trees_on_four_bits(seed):
    rng = np.random.default_rng(seed)
    # Any joint distribution of four bits, of a tree or not.
    codes = rng.choice(16, size=1000, p=rng.dirichlet(np.full(16, 0.3)))
    bits = codes[:, None] >> np.arange(4) & 1
    trees = list(spanning_trees(4))
    assert len(trees) == 16
    scores = {frozenset(map(frozenset, edges)): log_likelihood_of_tree(bits, edges) for edges in trees}
    prior = ChowLiuPrior().fit(bits)
    # Smoothing may prefer another tree where two are a hair apart.
    assert scores[frozenset(edges_of(prior))] >= max(scores.values()) - 2e-3
    assert prior.score(bits) == pytest.approx(max(scores.values()), abs=0.02)


@quick
@given(seed=any_seed, latent_dim=st.integers(2, 12))
def test_the_tree_that_made_the_bits_is_found(seed, latent_dim):
    bits, edges = draw_tree(seed, 5000, latent_dim)
    assert edges_of(ChowLiuPrior().fit(bits)) == edges


@quick
@given(seed=any_seed)
def test_on_correlated_bits_the_tree_beats_independent_bits_by_the_information_of_its_edges(seed):
    drawn, edges = draw_tree(seed, 6000, 6)
    bits, fresh = drawn[:2000], drawn[2000:]
    prior, independent = ChowLiuPrior().fit(bits), IndependentPrior().fit(bits)
    gain = prior.score(fresh) - independent.score(fresh)
    information = np.log(2) * mutual_information(joint_distribution(bits.astype(float)))
    assert gain > 0.3
    assert gain == pytest.approx(sum(information[tuple(edge)] for edge in edges), abs=0.15)


def test_parents_come_before_children_and_the_root_has_none():
    bits, _ = draw_tree(3, 1000, 9)
    prior = ChowLiuPrior().fit(bits)
    assert sorted(prior.order_) == list(range(9))
    assert prior.parents_[prior.order_[0]] == -1
    place = np.argsort(prior.order_)
    for bit in prior.order_[1:]:
        assert place[prior.parents_[bit]] < place[bit]


def test_independent_and_constant_bits_still_make_one_tree():
    bits = np.random.default_rng(0).integers(0, 2, (300, 6))
    bits[:, 2:4] = [0, 1]
    prior = ChowLiuPrior().fit(bits)
    assert len(edges_of(prior)) == 5
    assert prior.score(bits) == pytest.approx(IndependentPrior().fit(bits).score(bits), abs=0.05)


def test_an_unseen_value_of_the_parent_carries_no_information():
    bits = np.zeros((40, 2), dtype=int)
    bits[:, 0] = 1
    bits[:30, 1] = 1
    prior = ChowLiuPrior().fit(bits)
    given_zero = np.exp(prior.log_prob([[0, 1]]) - np.logaddexp(*prior.log_prob([[0, 0], [0, 1]])))
    assert given_zero[0] == pytest.approx(30.5 / 41)
