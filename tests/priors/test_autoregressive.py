import itertools
from functools import partial

import numpy as np
import torch
from scipy.special import expit

from dmzrep.priors import AutoregressivePrior, IndependentPrior

autoregressive = partial(AutoregressivePrior, random_state=0)


def parity(seed, n=1500):
    """Four bits, pairwise independent; the last is the parity of the others in nine of ten cases."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (n, 4))
    bits[:, 3] = bits[:, :3].sum(axis=1) % 2 ^ (rng.random(n) < 0.1)
    return bits


def test_parity_of_three_bits_is_learned_by_hidden_units():
    prior = autoregressive().fit(parity(0))
    truth = -3 * np.log(2) + 0.1 * np.log(0.1) + 0.9 * np.log(0.9)
    assert prior.score(parity(1)) > truth - 0.08
    assert autoregressive(0).fit(parity(0)).score(parity(1)) < -4 * np.log(2) + 0.05


def test_probabilities_reduce_overfitting():
    # Bits of noisy copies of six patterns; the probabilities tell which bits are uncertain.
    rng = np.random.default_rng(0)
    logits = 4.0 * rng.standard_normal((6, 24))[rng.integers(0, 6, 2600)] + 2.0 * rng.standard_normal(
        (2600, 24)
    )
    kept, held_out = np.split(expit(logits), [600])
    from_bits, from_probabilities = autoregressive().fit(kept > 0.5), autoregressive().fit(kept)
    assert from_probabilities.score(held_out > 0.5) > from_bits.score(held_out > 0.5) + 0.1


def test_few_samples_are_modelled_as_independent_bits():
    bits = np.random.default_rng(1).random((19, 6)) < 0.3
    bits[:, 2] = True
    codes = np.array(list(itertools.product([0, 1], repeat=6)))
    few, independent = autoregressive().fit(bits), IndependentPrior().fit(bits)
    np.testing.assert_allclose(few.log_prob(codes), independent.log_prob(codes), rtol=1e-6)


def test_constant_bits_are_smoothed_by_half_a_count():
    bits = np.zeros((400, 3), dtype=int)
    bits[:, 2] = 1
    prior = autoregressive().fit(bits)
    np.testing.assert_allclose(np.exp(prior.log_prob([[1, 0, 1]])), 0.5 / 401, rtol=0.01)


def test_fits_are_reproducible_and_leave_torchs_generator_unchanged():
    bits = parity(3, 2000)
    before = torch.get_rng_state()
    first = autoregressive(random_state=1, max_iter=4).fit(bits)
    assert torch.equal(before, torch.get_rng_state())
    second, other = (autoregressive(random_state=seed, max_iter=4).fit(bits) for seed in (1, 2))
    assert np.array_equal(first.log_prob(bits), second.log_prob(bits))
    assert not np.array_equal(first.log_prob(bits), other.log_prob(bits))
