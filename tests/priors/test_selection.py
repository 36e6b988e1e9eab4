import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from dmzrep.priors import PRIORS, ChowLiuPrior, IndependentPrior, MixturePrior, UniformPrior, fit_prior


def independent_bits(seed, n=1500, latent_dim=8):
    rng = np.random.default_rng(seed)
    return rng.random((n, latent_dim)) < np.linspace(0.05, 0.6, latent_dim)


@pytest.mark.parametrize("n", [1, 2, 19])
def test_auto_is_independent_for_few_codes(n):
    bits = np.repeat(np.arange(n)[:, None] % 2, 4, axis=1)
    assert fit_prior("auto", bits).name == "independent"


@pytest.mark.parametrize(
    "given_prior", [UniformPrior(), ChowLiuPrior(), MixturePrior(3, random_state=7)], ids=lambda p: p.name
)
def test_instances_are_cloned(given_prior):
    bits = independent_bits(2, 100)
    fitted = fit_prior(given_prior, bits)
    assert fitted is not given_prior and fitted.get_params() == given_prior.get_params()
    assert fitted.sample(3, 0).shape == (3, 8)
    with pytest.raises(NotFittedError):
        given_prior.sample()


@pytest.fixture(scope="module")
def bits():
    """Codes of independent bits, fair bits and correlated bits."""
    rng = np.random.default_rng(0)
    return {
        "independent": independent_bits(0, 10_000, 4),
        "uniform": rng.random((5000, 4)) < 0.5,
        "correlated": np.repeat(rng.random((600, 3)) < 0.4, 3, axis=1) ^ (rng.random((600, 9)) < 0.05),
    }


def test_auto_selects_the_simplest_prior_that_fits(bits):
    for name in ("independent", "uniform"):
        chosen = fit_prior("auto", bits[name], 0)
        assert chosen.name == name
        expected = PRIORS[name]().fit(bits[name])
        assert np.array_equal(chosen.log_prob(bits[name][:50]), expected.log_prob(bits[name][:50]))
    richer = fit_prior("auto", bits["correlated"], 0)
    assert richer.name not in ("independent", "uniform")
    independent = IndependentPrior().fit(bits["correlated"])
    assert richer.score(bits["correlated"]) > independent.score(bits["correlated"]) + 1.0


def test_auto_accepts_constant_bits_and_single_codes():
    prior = fit_prior("auto", np.tile([0, 1, 1], (200, 1)), random_state=0)
    assert prior.log_prob([[0, 1, 1]])[0] == pytest.approx(0.0, abs=0.02)
    assert np.isfinite(prior.log_prob([[1, 0, 0]])).all()
    assert fit_prior("auto", [[1]]).sample(2, 0).shape == (2, 1)


@pytest.mark.parametrize("name", PRIORS)
def test_named_priors_are_reproducible(name):
    bits = independent_bits(1, 100)
    one, two = (fit_prior(name, bits, random_state=3) for _ in range(2))
    assert type(one) is PRIORS[name]
    assert np.array_equal(one.log_prob(bits), two.log_prob(bits))
