from functools import partial

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dmzrep.priors import ChowLiuPrior, IndependentPrior, MixturePrior

quick = settings(deadline=None, max_examples=5)
any_seed = st.integers(0, 2**31)
mixture = partial(MixturePrior, random_state=0)


def draw_clusters(seed, n=600, latent_dim=12, n_clusters=3, flips=0.05):
    rng = np.random.default_rng(seed)
    centres = np.repeat(np.eye(n_clusters), latent_dim // n_clusters, axis=1)[:, rng.permutation(latent_dim)]
    chosen = rng.integers(n_clusters, size=n)
    return (centres[chosen].astype(bool) ^ (rng.random((n, latent_dim)) < flips)).astype(int)


@quick
@given(seed=any_seed)
def test_mixture_beats_independent_bits_and_trees_on_clusters(seed):
    bits = draw_clusters(seed, 1200)
    held_out, bits = bits[:600], bits[600:]
    score = mixture().fit(bits).score(held_out)
    assert score > IndependentPrior().fit(bits).score(held_out) + 1.0
    assert score > ChowLiuPrior().fit(bits).score(held_out) - 0.2
    # No model exceeds the truth: log 3 for the cluster, the entropy of flips for each bit.
    entropy = -(0.05 * np.log(0.05) + 0.95 * np.log(0.95))
    assert score < -np.log(3) - 12 * entropy + 6 * 2.5 / 600**0.5


@quick
@given(seed=any_seed)
@example(seed=439)  # The first five codes of the permutation are equal.
def test_likelihood_increases_with_iterations(seed):
    bits = draw_clusters(seed, 300)
    priors = [mixture(5, max_iter=n, tol=0.0, random_state=seed) for n in (1, 2, 4, 8, 16)]
    scores = [prior.fit(bits).score(bits) for prior in priors]
    assert np.diff(scores).min() > -0.01
    assert scores[-1] > scores[0]


def test_a_single_component_is_independent_bits():
    bits = draw_clusters(0)
    one, independent = mixture(1).fit(bits), IndependentPrior().fit(bits)
    np.testing.assert_allclose(one.log_prob(bits), independent.log_prob(bits))


@pytest.mark.parametrize(("n_samples", "n_components"), [(5, 1), (30, 3), (99, 9), (1000, 32)])
def test_number_of_components_is_limited_by_the_samples(n_samples, n_components):
    bits = draw_clusters(1, n_samples)
    prior = mixture().fit(bits)
    assert prior.probabilities_.shape == (n_components, 12)
    assert np.exp(prior.log_weights_).sum() == pytest.approx(1.0)
    assert ((prior.probabilities_ > 0) & (prior.probabilities_ < 1)).all()
