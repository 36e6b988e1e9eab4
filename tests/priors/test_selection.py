import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

from dmzrep.priors import PRIORS, ChowLiuPrior, IndependentPrior, MixturePrior, UniformPrior, fit_prior

quick = settings(deadline=None, max_examples=3)
any_seed = st.integers(0, 2**31)


def independent_bits(seed, n=1500, latent_dim=8):
    rng = np.random.default_rng(seed)
    return rng.random((n, latent_dim)) < np.linspace(0.05, 0.6, latent_dim)


@quick
@given(seed=any_seed)
def test_auto_takes_the_independent_prior_for_independent_bits(seed):
    # On this many codes a richer prior cannot gain by chance.
    assert fit_prior("auto", independent_bits(seed, 10_000, 4), seed).name == "independent"


@quick
@given(seed=any_seed)
def test_auto_takes_the_uniform_prior_for_fair_bits(seed):
    bits = np.random.default_rng(seed).random((5000, 4)) < 0.5
    assert fit_prior("auto", bits, seed).name == "uniform"


@quick
@given(seed=any_seed)
def test_auto_takes_a_richer_prior_for_correlated_bits(seed):
    rng = np.random.default_rng(seed)
    bits = np.repeat(rng.random((600, 3)) < 0.4, 3, axis=1) ^ (rng.random((600, 9)) < 0.05)
    prior = fit_prior("auto", bits, seed)
    assert prior.name in ("chow_liu", "mixture", "dataset", "autoregressive")
    assert prior.score(bits) > IndependentPrior().fit(bits).score(bits) + 1.0


def test_auto_fits_the_chosen_prior_to_all_codes():
    bits = independent_bits(0, 20_000, 4)
    chosen = fit_prior("auto", bits, random_state=0)
    assert np.array_equal(chosen.log_prob(bits[:50]), IndependentPrior().fit(bits).log_prob(bits[:50]))


@pytest.mark.parametrize("n", [1, 2, 19])
def test_few_codes_get_independent_bits(n):
    bits = np.repeat(np.arange(n)[:, None] % 2, 4, axis=1)
    assert fit_prior("auto", bits).name == "independent"


def test_bits_that_never_change_can_be_fitted():
    prior = fit_prior("auto", np.tile([0, 1, 1], (200, 1)), random_state=0)
    assert prior.log_prob([[0, 1, 1]])[0] == pytest.approx(0.0, abs=0.02)
    assert np.isfinite(prior.log_prob([[1, 0, 0]])).all()


@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_by_name_is_reproducible(name):
    bits = independent_bits(1, 100)
    one, two = (fit_prior(name, bits, random_state=3) for _ in range(2))
    assert type(one) is PRIORS[name]
    assert np.array_equal(one.log_prob(bits), two.log_prob(bits))


@pytest.mark.parametrize(
    "given_prior", [UniformPrior(), ChowLiuPrior(), MixturePrior(3, random_state=7)], ids=lambda p: p.name
)
def test_a_prior_by_instance_is_not_touched(given_prior):
    bits = independent_bits(2, 100)
    fitted = fit_prior(given_prior, bits)
    assert fitted is not given_prior and fitted.get_params() == given_prior.get_params()
    assert fitted.sample(3, 0).shape == (3, 8)
    with pytest.raises(NotFittedError):
        given_prior.sample()


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="chow_liu"):
        fit_prior("gaussian", independent_bits(3, 50))


def test_a_single_code_of_one_bit():
    assert fit_prior("auto", [[1]]).sample(2, 0).shape == (2, 1)
