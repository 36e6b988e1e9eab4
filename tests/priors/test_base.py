"""Properties that all priors share."""

import itertools
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from dmzrep.priors import (
    PRIORS,
    DatasetPrior,
    IndependentPrior,
    UniformPrior,
    fit_prior,
)
from dmzrep.priors._base import smoothed_mean

quick = settings(deadline=None, max_examples=15)
any_seed = st.integers(0, 2**31 - 1)


def seeded(prior, **params):
    """A constructor of a prior, with a seed where it is random."""
    random = {"random_state": 0} if "random_state" in prior().get_params() else {}
    return partial(prior, **random | params)


KINDS = {name: seeded(prior) for name, prior in PRIORS.items()}
KINDS["swapped"] = seeded(DatasetPrior, swap=0.3, n_neighbors=3)
any_prior = st.sampled_from(list(KINDS.values()))


def every_code(latent_dim):
    return np.array(list(itertools.product([0, 1], repeat=latent_dim)), dtype=np.uint8)


def correlated_bits(seed, n=400, latent_dim=5):
    """Correlated bits: a chain of noisy copies, some inverted, with unequal means."""
    rng = np.random.default_rng(seed)
    bits = np.zeros((n, latent_dim), dtype=np.uint8)
    bits[:, 0] = rng.random(n) < 0.3
    for i in range(1, latent_dim):
        source = bits[:, rng.integers(i)] ^ rng.integers(2)
        bits[:, i] = np.where(rng.random(n) < 0.2, rng.random(n) < 0.5, source)
    return bits


def distance_to_frequencies(prior, samples):
    """Total variation between the probabilities of all codes and their frequencies in samples."""
    n, latent_dim = samples.shape
    counts = np.bincount(samples @ (1 << np.arange(latent_dim)[::-1]), minlength=2**latent_dim)
    return np.abs(counts / n - np.exp(prior.log_prob(every_code(latent_dim)))).sum() / 2


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def kind(request):
    return request.param


@quick
@given(kind=any_prior, seed=any_seed, latent_dim=st.integers(1, 10), n=st.integers(1, 200))
def test_probabilities_of_all_codes_sum_to_one(kind, seed, latent_dim, n):
    prior = kind().fit(correlated_bits(seed, n, latent_dim))
    log_prob = prior.log_prob(every_code(latent_dim))
    assert log_prob.dtype == np.float64 and log_prob.shape == (2**latent_dim,)
    assert np.exp(log_prob).sum() == pytest.approx(1.0, abs=1e-9)


@quick
@given(kind=any_prior, seed=any_seed)
def test_samples_are_as_frequent_as_their_probabilities(kind, seed):
    prior = kind().fit(correlated_bits(seed, latent_dim=4))
    # The expected distance of a right sampler is below 0.012.
    assert distance_to_frequencies(prior, prior.sample(20_000, random_state=seed)) < 0.025


@quick
@given(kind=any_prior, seed=any_seed, few=st.integers(1, 30), more=st.integers(0, 30))
def test_few_samples_are_the_first_of_many(kind, seed, few, more):
    prior = kind().fit(correlated_bits(1, 60))
    assert np.array_equal(prior.sample(few, seed), prior.sample(few + more, seed)[:few])


def test_samples_are_bits_and_new_ones_without_a_seed(kind):
    prior = kind().fit(correlated_bits(3, latent_dim=8))
    samples = prior.sample(50)
    assert samples.shape == (50, 8) and samples.dtype == np.uint8
    assert set(np.unique(samples)) == {0, 1}
    assert not np.array_equal(samples, prior.sample(50))
    assert not np.array_equal(prior.sample(50, random_state=0), prior.sample(50, random_state=1))
    assert prior.sample().shape == (1, 8)


def test_a_random_state_goes_on_from_sample_to_sample(kind):
    prior = kind().fit(correlated_bits(4, latent_dim=8))
    random_state = np.random.RandomState(0)
    first, second = prior.sample(20, random_state), prior.sample(20, random_state)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, prior.sample(20, np.random.RandomState(0)))


@pytest.mark.parametrize("n", [1, 5, 300])
def test_bits_that_never_change_have_finite_log_probabilities(kind, n):
    bits = correlated_bits(5, n, 4)
    bits[:, 1], bits[:, 3] = 0, 1
    prior = kind().fit(bits)
    log_prob = prior.log_prob(every_code(4))
    assert np.isfinite(log_prob).all()
    assert np.exp(log_prob).sum() == pytest.approx(1.0)
    if not isinstance(prior, UniformPrior):
        seen, unseen = prior.log_prob(bits[:1]), prior.log_prob(bits[:1] ^ [[0, 1, 0, 0]])
        assert seen > unseen


def test_samples_of_twelve_bits_fit_their_probabilities(kind):
    prior = kind().fit(correlated_bits(12, 500, 12))
    log_prob = prior.log_prob(every_code(12))
    assert np.exp(log_prob).sum() == pytest.approx(1.0, abs=1e-9)
    samples = prior.sample(60_000, random_state=1)
    counts = np.bincount(samples @ (1 << np.arange(12)[::-1]), minlength=4096)
    # Codes that are expected often enough for the statistic, and all others together.
    expected = 60_000 * np.exp(log_prob)
    often = expected >= 10
    pooled = [np.append(part[often], part[~often].sum()) for part in (counts, expected)]
    pooled = [part[pooled[1] > 0] for part in pooled]
    assert chisquare(pooled[0], pooled[1] * 60_000 / pooled[1].sum()).pvalue > 1e-4


def test_results_are_batch_invariant(kind):
    bits = correlated_bits(13, 300, 9)
    prior = kind().fit(bits)
    assert np.array_equal(prior.log_prob(bits)[130:132], prior.log_prob(bits[130:132]))
    assert np.array_equal(prior.sample(300, 0)[:1], prior.sample(1, 0))


def test_fewer_samples_than_bits(kind):
    bits, fresh = np.split(correlated_bits(14, 500, 64), [25])
    prior = kind().fit(bits)
    others = np.random.default_rng(0).integers(0, 2, (50, 64))
    assert np.isfinite(prior.log_prob(others)).all()
    assert prior.sample(3, 0).shape == (3, 64)
    assert prior.score(fresh) > IndependentPrior().fit(bits).score(fresh) - 0.5


def test_bools_and_floats_of_zero_and_one_are_bits_too(kind):
    bits = correlated_bits(6)
    expected = kind().fit(bits).log_prob(bits)
    for same in (bits.astype(bool), bits.astype(float), bits.tolist()):
        np.testing.assert_allclose(kind().fit(same).log_prob(same), expected)


def test_a_prior_is_rebuilt_from_its_state(kind):
    bits = correlated_bits(8)
    prior = kind().fit(bits)
    state = prior.state()
    assert set(state) == set(prior.state_names)
    rebuilt = clone(prior).restore(state, bits.shape[1])
    codes = every_code(bits.shape[1])
    assert np.array_equal(rebuilt.log_prob(codes), prior.log_prob(codes))
    assert np.array_equal(rebuilt.sample(30, 5), prior.sample(30, 5))
    assert distance_to_frequencies(rebuilt, rebuilt.sample(20_000, 6)) < 0.03
    for array in state.values():
        array[...] = 0
    assert np.isfinite(rebuilt.log_prob(bits)).all()


def test_fitting_twice_is_fitting_once_and_bits_are_left_alone(kind):
    bits = correlated_bits(9)
    bits.setflags(write=False)
    once = kind().fit(bits)
    again = kind().fit(correlated_bits(10)).fit(bits)
    assert np.array_equal(once.log_prob(bits), again.log_prob(bits))


def test_a_clone_is_not_fitted(kind):
    with pytest.raises(NotFittedError):
        clone(kind().fit(correlated_bits(11))).sample()
    with pytest.raises(NotFittedError):
        kind().log_prob([[0, 1]])
    with pytest.raises(NotFittedError):
        kind().state()


# -- errors ----------------------------------------------------------------------------------------


def test_codes_of_another_width_are_refused(kind):
    with pytest.raises(
        ValueError, match="must have shape \\(n, 5\\), one column for each bit, got \\(2, 6\\)"
    ):
        kind().fit(correlated_bits(0)).log_prob(np.zeros((2, 6)))


@pytest.mark.parametrize("value", [2, 0.5, np.nan])
def test_values_that_are_no_bits_are_refused(value):
    bits = correlated_bits(0).astype(float)
    prior = UniformPrior().fit(bits)
    bits[3, 2] = value
    for call in (UniformPrior().fit, prior.log_prob, prior.score):
        with pytest.raises(ValueError, match=r"zeros and ones; threshold probabilities with Z > 0.5"):
            call(bits)


def test_fewer_than_one_sample_is_refused():
    with pytest.raises(ValueError, match="n_samples must be an integer of at least 1, got 0"):
        UniformPrior().fit(correlated_bits(0)).sample(0)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,)])
def test_arrays_that_are_no_codes_are_refused(shape):
    for call in (UniformPrior().fit, lambda bits: fit_prior("auto", bits)):
        with pytest.raises(ValueError, match=r"non-empty array of shape \(n, latent_dim\), got"):
            call(np.zeros(shape, dtype=np.uint8))


# -- means -----------------------------------------------------------------------------------------


def test_means_are_smoothed_by_half_a_count_on_each_side():
    bits = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(smoothed_mean(bits), [0.5 / 4, 2.5 / 4])
    weights = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    np.testing.assert_allclose(smoothed_mean(bits, weights), [[0.5 / 2.5, 2.0 / 2.5], [0.5 / 2.5, 1.0 / 2.5]])
