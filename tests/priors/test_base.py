"""Properties that all priors share, and the simplest ones."""

import itertools
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from dmzrep import DMZEncoder
from dmzrep.priors import (
    PRIORS,
    AutoregressivePrior,
    DatasetPrior,
    IndependentPrior,
    ResampledPrior,
    UniformPrior,
    fit_prior,
)
from tests.encoders import make_encoder


def seeded(prior, **params):
    """Return a constructor of a prior, with a seed where it is random."""
    random = {"random_state": 0} if "random_state" in prior().get_params() else {}
    return partial(prior, **random | params)


KINDS = {name: seeded(prior) for name, prior in PRIORS.items()}
# Without hidden units, the autoregressive prior is poor, so that samples are rejected.
KINDS["rejecting"] = seeded(ResampledPrior, n_hidden=0)


def every_code(latent_dim):
    return np.array(list(itertools.product([0, 1], repeat=latent_dim)), dtype=np.uint8)


def correlated_bits(seed, n=400, latent_dim=8):
    """A chain of noisy copies, some inverted, with unequal means."""
    rng = np.random.default_rng(seed)
    bits = np.zeros((n, latent_dim), dtype=np.uint8)
    bits[:, 0] = rng.random(n) < 0.3
    for i in range(1, latent_dim):
        source = bits[:, rng.integers(i)] ^ rng.integers(2)
        bits[:, i] = np.where(rng.random(n) < 0.2, rng.random(n) < 0.5, source)
    return bits


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def prior(kind):
    bits = correlated_bits(0, 1000)
    bits.setflags(write=False)
    return kind().fit(bits)


@settings(deadline=None, max_examples=15)
@given(
    kind=st.sampled_from(list(KINDS.values())),
    seed=st.integers(0, 2**31 - 1),
    latent_dim=st.integers(1, 10),
    n=st.integers(1, 200),
)
def test_probabilities_of_all_codes_sum_to_one(kind, seed, latent_dim, n):
    prior = kind().fit(correlated_bits(seed, n, latent_dim))
    log_prob = prior.log_prob(every_code(latent_dim))
    assert log_prob.dtype == np.float64 and log_prob.shape == (2**latent_dim,)
    assert np.exp(log_prob).sum() == pytest.approx(1.0, abs=1e-9)


def test_samples_follow_the_probabilities(prior):
    if isinstance(prior, ResampledPrior) and prior.n_hidden == 0:
        assert prior.acceptance_ < 0.9
    samples = prior.sample(60_000, random_state=1)
    counts = np.bincount(samples @ (1 << np.arange(8)[::-1]), minlength=256)
    expected = 60_000 * np.exp(prior.log_prob(every_code(8)))
    # Codes that are expected often enough for the statistic, and all others together.
    often = expected >= 10
    pooled = [np.append(part[often], part[~often].sum()) for part in (counts, expected)]
    pooled = [part[pooled[1] > 0] for part in pooled]
    assert chisquare(pooled[0], pooled[1] * 60_000 / pooled[1].sum()).pvalue > 1e-4


def test_samples_are_reproducible_only_with_a_seed(prior):
    samples = prior.sample(50, random_state=0)
    assert samples.shape == (50, 8) and samples.dtype == np.uint8 and set(np.unique(samples)) == {0, 1}
    assert np.array_equal(samples, prior.sample(50, random_state=0))
    assert not np.array_equal(samples, prior.sample(50, random_state=1))
    assert not np.array_equal(prior.sample(50), prior.sample(50))
    assert prior.sample().shape == (1, 8)
    random_state = np.random.RandomState(0)
    assert not np.array_equal(prior.sample(20, random_state), prior.sample(20, random_state))


def test_results_are_batch_invariant(prior):
    bits = correlated_bits(13, 300)
    assert np.array_equal(prior.log_prob(bits)[130:132], prior.log_prob(bits[130:132]))
    samples = prior.sample(300, 0)
    for n in (1, 7, 129):
        assert np.array_equal(samples[:n], prior.sample(n, 0))


@pytest.mark.parametrize("n", [1, 5, 300])
def test_constant_bits_have_finite_log_probabilities(kind, n):
    bits = correlated_bits(5, n, 4)
    bits[:, 1], bits[:, 3] = 0, 1
    prior = kind().fit(bits)
    assert np.isfinite(prior.log_prob(every_code(4))).all()
    if not isinstance(prior, UniformPrior):
        seen, unseen = prior.log_prob(bits[:1]), prior.log_prob(bits[:1] ^ [[0, 1, 0, 0]])
        assert seen > unseen


@pytest.mark.parametrize("kind", [seeded(prior) for prior in PRIORS.values()], ids=PRIORS)
def test_priors_may_have_fewer_samples_than_bits(kind):
    bits, fresh = np.split(correlated_bits(14, 500, 64), [25])
    prior = kind().fit(bits)
    assert np.isfinite(prior.log_prob(np.random.default_rng(0).integers(0, 2, (50, 64)))).all()
    assert prior.score(fresh) > IndependentPrior().fit(bits).score(fresh) - 0.5


def test_a_second_fit_replaces_the_first(kind, prior):
    bits = correlated_bits(0, 1000)
    again = kind().fit(correlated_bits(10, 50, 5)).fit(bits.astype(float).tolist())
    assert np.array_equal(prior.log_prob(bits), again.log_prob(bits))


def test_clones_are_not_fitted(prior):
    for call in (clone(prior).sample, clone(prior).state, lambda: clone(prior).log_prob([[0, 1]])):
        with pytest.raises(NotFittedError):
            call()


@pytest.mark.parametrize("call", [UniformPrior().fit, lambda codes: fit_prior("auto", codes)])
def test_logits_in_the_place_of_probabilities_raise(call):
    with pytest.raises(ValueError, match=r"codes must lie in \[0, 1\].*scipy.special.expit"):
        call([[0, 1.5]])


def test_log_prob_of_probabilities_raises():
    with pytest.raises(ValueError, match=r"zeros and ones; threshold probabilities with Z > 0\.5"):
        UniformPrior().fit([[0, 1]]).log_prob([[0, 0.5]])


@pytest.mark.parametrize("name", [name for name, kind in PRIORS.items() if not kind.uses_probabilities])
def test_probabilities_are_thresholded(name):
    bits = correlated_bits(3, 300)
    random = np.random.default_rng(0).uniform(0.1, 0.4, bits.shape)
    first, second = (fit_prior(name, codes, 0) for codes in (bits, np.where(bits, 1.0 - random, random)))
    assert np.array_equal(first.log_prob(bits), second.log_prob(bits))


def test_independent_prior_multiplies_shares_of_ones():
    bits = (np.random.default_rng(0).random((1000, 3)) < [0.1, 0.5, 0.8]).astype(int)
    prior = IndependentPrior().fit(bits)
    np.testing.assert_allclose(prior.probabilities_, bits.mean(axis=0), atol=1e-3)
    p = prior.probabilities_
    assert prior.log_prob([[1, 0, 1]])[0] == pytest.approx(np.log(p[0]) + np.log(1 - p[1]) + np.log(p[2]))


@pytest.fixture(scope="module")
def small_encoder(digits):
    tiny = {"width": (8,), "encoder_width": 8, "max_iter": 1, "n_timesteps": 50, "prior": "uniform"}
    return make_encoder(8, **tiny, random_state=0).fit(digits[:200])


CHOICES = [*PRIORS, DatasetPrior(0.2, max_codes=50), AutoregressivePrior(0)]


@pytest.mark.parametrize("prior", CHOICES, ids=str)
def test_files_restore_priors(small_encoder, digits, tmp_path, prior):
    bits = small_encoder.transform(digits) > 0.5
    small_encoder.prior_ = fit_prior(prior, bits)
    small_encoder.save(tmp_path / "encoder")
    prior, copied = small_encoder.prior_, DMZEncoder.load(tmp_path / "encoder").prior_
    assert type(copied) is type(prior) and copied.get_params() == prior.get_params()
    every = (np.arange(256)[:, None] >> np.arange(8)) & 1
    assert np.array_equal(copied.log_prob(every), prior.log_prob(every))
    assert np.array_equal(copied.sample(50, 1), prior.sample(50, 1))
    for name, array in prior.state().items():
        assert copied.state()[name].dtype == array.dtype and copied.state()[name].shape == array.shape
