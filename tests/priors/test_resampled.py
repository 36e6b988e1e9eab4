import numpy as np
import pytest

from dmzrep.priors import AutoregressivePrior, ResampledPrior, UniformPrior, _selection, fit_prior
from tests.priors.test_autoregressive import parity


def xor_bits(seed):
    """Codes with an equal pair of bits, and a bit that is the exclusive or of two others."""
    bits = np.random.default_rng(seed).integers(0, 2, (6000, 16))
    bits[:, 1], bits[:, 9] = bits[:, 0], bits[:, 2] ^ bits[:, 5]
    return bits


def test_acceptance_adds_what_the_autoregressive_prior_cannot_represent():
    bits, fresh = parity(0, 4000), parity(1)
    # Without hidden units, the parity of three bits is invisible to it.
    base = AutoregressivePrior(0, random_state=0).fit(bits)
    prior = ResampledPrior(0, random_state=0).fit(bits)
    assert prior.score(fresh) > base.score(fresh) + 0.3
    assert 0.0 < prior.acceptance_ < 1.0
    odd = [(p.sample(4000, random_state=1).sum(axis=1) % 2).mean() for p in (base, prior)]
    assert odd[0] == pytest.approx(0.5, abs=0.04) and odd[1] < 0.2


def test_every_sample_is_accepted_if_held_out_codes_do_not_gain():
    bits = np.random.default_rng(0).random((3000, 16)) < 0.4
    prior = ResampledPrior(random_state=0).fit(bits)
    base = AutoregressivePrior(random_state=0).fit(bits)
    assert prior.acceptance_ == 1.0
    assert np.array_equal(prior.log_prob(bits), base.log_prob(bits))


def test_probabilities_of_long_codes_are_normalised():
    bits = xor_bits(0)
    base = AutoregressivePrior(0, random_state=0).fit(bits)
    prior = ResampledPrior(0, random_state=0).fit_to(base, bits)
    assert prior.acceptance_ < 0.9 and prior.score(bits) > base.score(bits) + 0.5
    samples = base.sample(20_000, random_state=1)
    ratios = np.exp(prior.log_prob(samples) - base.log_prob(samples))
    assert ratios.mean() == pytest.approx(1.0, abs=0.03)


def test_auto_selects_it_where_held_out_codes_gain(monkeypatch):
    kinds = {"uniform": UniformPrior, "autoregressive": lambda: AutoregressivePrior(0)}
    monkeypatch.setattr(_selection, "PRIORS", kinds | {"resampled": ResampledPrior})
    bits = xor_bits(1)
    chosen = fit_prior("auto", bits, random_state=0)
    assert chosen.name == "resampled"
    assert chosen.score(xor_bits(2)) > AutoregressivePrior(0).fit(bits).score(xor_bits(2)) + 0.5
