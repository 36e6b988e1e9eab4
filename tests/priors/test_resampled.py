import numpy as np
import pytest

from dmzrep.errors import PersistenceError
from dmzrep.priors import AutoregressivePrior, ResampledPrior, UniformPrior, _selection, fit_prior
from tests.priors.test_autoregressive import parity


def xor_bits(seed):
    """Codes with an equal pair of bits, and a bit that is the exclusive or of two others."""
    bits = np.random.default_rng(seed).integers(0, 2, (6000, 16))
    bits[:, 1], bits[:, 9] = bits[:, 0], bits[:, 2] ^ bits[:, 5]
    return bits


def test_acceptance_adds_what_the_autoregressive_prior_cannot_represent():
    # Without hidden units, the parity of three bits is invisible to it.
    prior = ResampledPrior(0, random_state=0).fit(parity(0, 4000))
    base, fresh = prior.autoregressive(), parity(1)
    assert type(base) is AutoregressivePrior and 0.0 < prior.acceptance_ < 1.0
    assert prior.score(fresh) > base.score(fresh) + 0.3
    odd = [(p.sample(4000, random_state=1).sum(axis=1) % 2).mean() for p in (base, prior)]
    assert odd[0] == pytest.approx(0.5, abs=0.04) and odd[1] < 0.2


@pytest.mark.parametrize("n", [60, 3000])
def test_every_sample_is_accepted_if_held_out_codes_do_not_gain(n):
    bits = np.random.default_rng(0).random((n, 16)) < 0.4
    prior = ResampledPrior(random_state=0).fit(bits)
    base = AutoregressivePrior(random_state=0).fit(bits)
    assert prior.acceptance_ == 1.0
    assert np.array_equal(prior.log_prob(bits), base.log_prob(bits))
    assert np.array_equal(prior.sample(50, 0)[:1], base.sample(1, 0))


def test_probabilities_of_long_codes_are_normalised():
    prior = ResampledPrior(0, random_state=0).fit(xor_bits(0))
    base = prior.autoregressive()
    assert prior.acceptance_ < 0.9 and prior.score(xor_bits(1)) > base.score(xor_bits(1)) + 0.5
    samples = base.sample(20_000, random_state=12345)
    ratios = np.exp(prior.log_prob(samples) - base.log_prob(samples))
    assert ratios.mean() == pytest.approx(1.0, abs=0.03)


def test_auto_selects_it_where_held_out_codes_gain(monkeypatch):
    kinds = {"uniform": UniformPrior, "autoregressive": lambda: AutoregressivePrior(0)}
    monkeypatch.setattr(_selection, "PRIORS", kinds | {"resampled": ResampledPrior})
    bits = xor_bits(1)
    chosen = fit_prior("auto", bits, random_state=0)
    assert chosen.name == "resampled"
    assert chosen.score(xor_bits(2)) > AutoregressivePrior(0).fit(bits).score(xor_bits(2)) + 0.5


@pytest.mark.parametrize(
    "changed", [{"acceptance_": np.array(2.0)}, {"classifier_bias_0_": np.zeros((256, 1))}]
)
def test_inconsistent_arrays_are_rejected(changed):
    prior = ResampledPrior(0, random_state=0).fit(parity(0, 2000))
    with pytest.raises(PersistenceError):
        ResampledPrior(0).restore(prior.state() | changed, 4)
