import itertools
from functools import partial

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep.priors import DatasetPrior

quick = settings(deadline=None, max_examples=10)
any_seed = st.integers(0, 2**31)
dataset = partial(DatasetPrior, random_state=0)


def random_codes(seed, n=30, latent_dim=6):
    rng = np.random.default_rng(seed)
    return (rng.random((n, latent_dim)) < rng.random(latent_dim)).astype(np.uint8)


def test_samples_have_their_probabilities():
    bits, n = random_codes(0, 12, 4), 40_000
    prior = dataset(0.05).fit(bits)
    counts = np.bincount(prior.sample(n, random_state=1) @ (1 << np.arange(4)[::-1]), minlength=16)
    probabilities = np.exp(prior.log_prob(list(itertools.product([0, 1], repeat=4))))
    # The expected distance is below 0.008.
    assert np.abs(counts / n - probabilities).sum() / 2 < 0.016


@quick
@given(seed=any_seed, flip_rate=st.floats(1e-9, 0.5))
def test_bootstrap_probabilities_are_means_over_codes(seed, flip_rate):
    bits, codes = random_codes(seed), random_codes(seed + 1)
    distances = (codes[:, None] != bits).sum(axis=2)
    expected = (flip_rate**distances * (1.0 - flip_rate) ** (6 - distances)).mean(axis=1)
    prior = dataset(flip_rate).fit(bits)
    np.testing.assert_allclose(np.exp(prior.log_prob(codes)), expected, rtol=1e-6)


def leave_one_out(bits, rates):
    """Mean log-likelihood of each code given all other codes."""
    total = 0.0
    for i, code in enumerate(bits):
        others = np.delete(bits, i, axis=0)
        total += np.log(np.where(others == code, 1.0 - rates, rates).prod(axis=1).mean())
    return total / len(bits)


@quick
@given(seed=any_seed)
def test_flip_rates_maximise_the_leave_one_out_likelihood(seed):
    rng = np.random.default_rng(seed)
    flips = rng.random((150, 10)) < np.linspace(0.0, 0.2, 10)
    bits = random_codes(3, 8, 10)[rng.integers(8, size=150)] ^ flips
    rates = dataset().fit(bits).flip_rates_
    best = leave_one_out(bits, rates)
    # EM stops slightly before the maximum, and half a count is added.
    for changed in (0.7 * rates, np.minimum(1.4 * rates, 0.5)):
        assert best > leave_one_out(bits, changed) - 0.02
    for changed in (0.5 * rates, np.full(10, rates.mean())):
        assert best > leave_one_out(bits, changed)


def test_max_codes_are_stored_reproducibly():
    bits = random_codes(4, 500, 20)
    priors = [dataset(max_codes=40, random_state=seed).fit(bits) for seed in (0, 0, 1)]
    assert all(len(prior.codes_) <= 40 for prior in priors)
    assert np.array_equal(priors[0].codes_, priors[1].codes_)
    assert not np.array_equal(priors[0].codes_, priors[2].codes_)
    # Copies of one code count once.
    few = dataset(max_codes=40).fit(np.repeat(bits[:3], [100, 100, 200], axis=0))
    np.testing.assert_allclose(np.exp(few.log_weights_[few.log_weights_.argmax()]), 0.5)
