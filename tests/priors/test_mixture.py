import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep.priors import ChowLiuPrior, IndependentPrior, MixturePrior

quick = settings(deadline=None, max_examples=10)
any_seed = st.integers(0, 2**31)


def mixture(*args, **params):
    return MixturePrior(*args, **{"random_state": 0} | params)


def draw_clusters(seed, n=600, latent_dim=12, n_clusters=3, flips=0.05):
    rng = np.random.default_rng(seed)
    centres = np.repeat(np.eye(n_clusters), latent_dim // n_clusters, axis=1)[:, rng.permutation(latent_dim)]
    chosen = rng.integers(n_clusters, size=n)
    return (centres[chosen].astype(bool) ^ (rng.random((n, latent_dim)) < flips)).astype(int), centres


@quick
@given(seed=any_seed)
def test_clusters_are_modelled_better_than_by_independent_bits_or_a_tree(seed):
    bits, _ = draw_clusters(seed, 1200)
    held_out, bits = bits[:600], bits[600:]
    # With many components no start leaves a cluster without one.
    score = mixture().fit(bits).score(held_out)
    assert score > IndependentPrior().fit(bits).score(held_out) + 1.0
    assert score > ChowLiuPrior().fit(bits).score(held_out) - 0.2
    # No model can be better than the truth: log 3 for the cluster, the entropy of flips for each bit.
    entropy = -(0.05 * np.log(0.05) + 0.95 * np.log(0.95))
    assert score < -np.log(3) - 12 * entropy + 6 * 2.5 / 600**0.5


@quick
@given(seed=any_seed)
def test_more_iterations_do_not_lower_the_likelihood(seed):
    bits, _ = draw_clusters(seed, 300)
    priors = [mixture(5, max_iter=n, tol=0.0, random_state=seed) for n in (1, 2, 4, 8, 16)]
    scores = [prior.fit(bits).score(bits) for prior in priors]
    assert np.diff(scores).min() > -0.01
    assert scores[-1] > scores[0]


def test_a_single_component_is_independent_bits():
    bits, _ = draw_clusters(0)
    one, independent = mixture(1).fit(bits), IndependentPrior().fit(bits)
    np.testing.assert_allclose(one.log_prob(bits), independent.log_prob(bits))


@pytest.mark.parametrize(("n_rows", "n_components"), [(5, 1), (30, 3), (99, 9), (1000, 32)])
def test_there_are_at_most_as_many_components_as_tens_of_rows(n_rows, n_components):
    bits, _ = draw_clusters(1, n_rows)
    prior = mixture().fit(bits)
    assert prior.probabilities_.shape == (n_components, 12)
    assert np.exp(prior.log_weights_).sum() == pytest.approx(1.0)
    assert ((prior.probabilities_ > 0) & (prior.probabilities_ < 1)).all()


def test_samples_of_well_separated_clusters_lie_near_the_centres():
    bits, centres = draw_clusters(2, 900)
    samples = mixture(12).fit(bits).sample(300, 0)
    distances = np.abs(samples[:, None] - centres[None]).sum(axis=2)
    # A right sample has 0.6 flips on average; an independent one is four or more away.
    assert distances.min(axis=1).mean() < 1.5
    assert np.bincount(distances.argmin(axis=1), minlength=3).min() > 50
