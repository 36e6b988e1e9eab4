import numpy as np
import pytest

from dmzrep.priors import IndependentPrior, UniformPrior


def test_the_uniform_prior_gives_every_code_the_same_probability():
    prior = UniformPrior().fit(np.ones((50, 7)))
    bits = np.random.default_rng(0).integers(0, 2, (20, 7))
    np.testing.assert_allclose(prior.log_prob(bits), -7 * np.log(2))


def test_the_independent_prior_multiplies_shares_of_ones():
    bits = (np.random.default_rng(0).random((1000, 3)) < [0.1, 0.5, 0.8]).astype(int)
    prior = IndependentPrior().fit(bits)
    np.testing.assert_allclose(prior.probabilities_, bits.mean(axis=0), atol=1e-3)
    p = prior.probabilities_
    expected = np.log(p[0]) + np.log(1 - p[1]) + np.log(p[2])
    assert prior.log_prob([[1, 0, 1]])[0] == pytest.approx(expected)


def test_the_independent_prior_beats_the_uniform_one_on_unequal_bits():
    bits = (np.random.default_rng(1).random((500, 4)) < 0.1).astype(int)
    gain = IndependentPrior().fit(bits).score(bits) - UniformPrior().fit(bits).score(bits)
    entropy = -(0.1 * np.log(0.1) + 0.9 * np.log(0.9))
    assert gain == pytest.approx(4 * (np.log(2) - entropy), rel=0.2)
