import numpy as np
import pytest

from dmzrep.priors import IndependentPrior, UniformPrior


def test_uniform_prior_has_equal_probabilities():
    prior = UniformPrior().fit(np.ones((50, 7)))
    bits = np.random.default_rng(0).integers(0, 2, (20, 7))
    np.testing.assert_allclose(prior.log_prob(bits), -7 * np.log(2))


def test_independent_prior_multiplies_shares_of_ones():
    bits = (np.random.default_rng(0).random((1000, 3)) < [0.1, 0.5, 0.8]).astype(int)
    prior = IndependentPrior().fit(bits)
    np.testing.assert_allclose(prior.probabilities_, bits.mean(axis=0), atol=1e-3)
    p = prior.probabilities_
    assert prior.log_prob([[1, 0, 1]])[0] == pytest.approx(np.log(p[0]) + np.log(1 - p[1]) + np.log(p[2]))
