import itertools

import numpy as np
import pytest
import torch
from scipy.special import expit

from dmzrep.priors import AutoregressivePrior, IndependentPrior
from dmzrep.priors._masked_network import MaskedNetwork, unit_places


def made(*args, **params):
    return AutoregressivePrior(*args, **{"random_state": 0} | params)


def parity(seed, n=1500):
    """Four bits, all pairs independent; the last is the parity of the others in nine cases of ten."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (n, 4))
    bits[:, 3] = bits[:, :3].sum(axis=1) % 2 ^ (rng.random(n) < 0.1)
    return bits


def chain(seed, n=3000, latent_dim=6):
    """Bits from a logistic regression on those before, and the true log-probability."""
    weights = np.tril(np.random.default_rng(0).normal(0.0, 2.0, (latent_dim, latent_dim)), -1)
    rng = np.random.default_rng(seed)
    bits, log_prob = np.zeros((n, latent_dim)), np.zeros(n)
    for bit in range(latent_dim):
        p = expit((2.0 * bits[:, :bit] - 1.0) @ weights[bit, :bit] - 0.5)
        bits[:, bit] = rng.random(n) < p
        log_prob += np.where(bits[:, bit] > 0, np.log(p), np.log1p(-p))
    return bits, log_prob


def test_the_parity_of_three_bits_is_learned():
    prior = made().fit(parity(0))
    truth = -3 * np.log(2) + 0.1 * np.log(0.1) + 0.9 * np.log(0.9)
    assert prior.score(parity(1)) > truth - 0.08
    # Without hidden units the bits look independent.
    assert made(0).fit(parity(0)).score(parity(1)) < -4 * np.log(2) + 0.05


@pytest.mark.parametrize("params", [{}, {"n_hidden": 0, "learning_rate": 0.1, "max_iter": 30}], ids=str)
def test_a_chain_of_logistic_regressions_is_nearly_known(params):
    prior = made(**params).fit(chain(1)[0])
    bits, truth = chain(2)
    assert truth.mean() - 0.06 < prior.score(bits) < truth.mean() + 0.02


def test_few_rows_are_independent_bits():
    bits = np.random.default_rng(1).random((19, 6)) < 0.3
    bits[:, 2] = True
    codes = np.array(list(itertools.product([0, 1], repeat=6)))
    few, independent = made().fit(bits), IndependentPrior().fit(bits)
    np.testing.assert_allclose(few.log_prob(codes), independent.log_prob(codes), rtol=1e-6)


@pytest.mark.parametrize(("n_hidden", "n_layers"), [(0, 1), (5, 1), (23, 3), (3, 2)])
def test_a_logit_depends_on_the_bits_before_it_only(n_hidden, n_layers):
    generator = torch.Generator().manual_seed(0)
    network = MaskedNetwork(7, n_hidden, n_layers, np.zeros(7), generator)
    for value in network.parameters():
        value.data.normal_(generator=generator)
    bits = torch.randint(0, 2, (50, 7), generator=generator).float()
    logits = network(bits)
    for bit in range(7):
        turned = bits.clone()
        turned[:, bit] = 1.0 - turned[:, bit]
        changed = (network(turned) != logits).any(dim=0)
        assert not changed[: bit + 1].any()
        assert bit == 6 or changed[bit + 1 :].all()


def test_probabilities_are_those_of_the_network():
    generator = torch.Generator().manual_seed(1)
    network = MaskedNetwork(6, 20, 2, np.linspace(-1, 1, 6), generator)
    for value in network.parameters():
        value.data.normal_(generator=generator)
    state = {f"{name}_": array for name, array in network.arrays().items()} | {"bound_": np.array(3.0)}
    prior = made().restore(state, 6)
    codes = np.array(list(itertools.product([0, 1], repeat=6)))
    expected = network.log_prob(torch.from_numpy(codes).float(), 3.0).detach().numpy()
    np.testing.assert_allclose(prior.log_prob(codes), expected, rtol=1e-4)


def test_places_of_units_are_spread_over_the_bits():
    assert unit_places(5, 1).tolist() == []
    assert unit_places(0, 4).tolist() == []
    places = unit_places(512, 64)
    assert places.min() == 1 and places.max() == 63 and (np.diff(places) >= 0).all()
    assert set(np.bincount(places)[1:]) <= {8, 9}


def test_constant_bits_get_half_a_count():
    bits = np.zeros((400, 3), dtype=int)
    bits[:, 2] = 1
    prior = made().fit(bits)
    np.testing.assert_allclose(np.exp(prior.log_prob([[1, 0, 1]])), 0.5 / 401, rtol=0.01)


def test_the_seed_decides_and_torchs_global_generator_is_not_touched():
    bits = parity(3, 200)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    with torch.inference_mode():
        first = made(random_state=1).fit(bits).log_prob(bits)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(8)
    assert np.array_equal(first, made(random_state=1).fit(bits).log_prob(bits))
    assert not np.array_equal(first, made(random_state=2).fit(bits).log_prob(bits))


def test_state_is_plain_arrays_without_forbidden_weights():
    prior = made(12, n_layers=2).fit(parity(4, 300))
    assert all(type(array) is np.ndarray for array in prior.state().values())
    assert not np.triu(prior.direct_weights_).any()
    assert prior.hidden_weights_.shape == (1, 12, 12)


@pytest.mark.parametrize(
    "params", [{"n_hidden": -1}, {"n_layers": 0}, {"max_iter": 0}, {"learning_rate": 0.0}], ids=str
)
def test_other_parameters_are_refused(params):
    with pytest.raises(ValueError, match=f"The '{next(iter(params))}' parameter of AutoregressivePrior must"):
        made(**params).fit(parity(0, 50))
