import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep.networks._relaxation import code_columns, code_features, hard_bits, relaxed_bernoulli

quick = settings(deadline=None, max_examples=15)
N_DRAWS = 20_000
#: Kolmogorov-Smirnov distance that chance exceeds once in 10 million.
ONE_SAMPLE = math.sqrt(math.log(2e7) / 2 / N_DRAWS)

any_seed = st.integers(0, 2**31)
any_logit = st.floats(-4, 4)
any_temperature = st.sampled_from([0.3, 0.7, 1.0, 2.5])


def draw(logits, temperature, seed, **options):
    return relaxed_bernoulli(logits, temperature, generator=torch.Generator().manual_seed(seed), **options)


@quick
@given(seed=any_seed, logit=any_logit, temperature=any_temperature)
def test_relaxed_bits_have_the_binary_concrete_distribution(seed, logit, temperature):
    bits = draw(torch.full((N_DRAWS, 1), logit, dtype=torch.float64), temperature, seed)[:, 0].sort().values
    # P(bit <= y) in closed form: Maddison et al., appendix B.
    shares = torch.sigmoid(temperature * torch.logit(bits) - logit)
    expected = (torch.arange(N_DRAWS) + 0.5) / N_DRAWS
    assert (shares - expected).abs().max() < ONE_SAMPLE + 0.5 / N_DRAWS


@quick
@given(seed=any_seed, temperature=any_temperature, scale=st.sampled_from([1.0, 5.0, 100.0]))
def test_straight_through_bits_are_hard_with_the_gradient_of_relaxed_ones(seed, temperature, scale):
    logits = (scale * torch.randn(20, 8, dtype=torch.float64)).requires_grad_()
    weights = torch.randn(20, 8)
    soft, hard = (draw(logits, temperature, seed, straight_through=kind) for kind in (False, True))
    assert torch.equal(hard, (soft > 0.5).double())
    gradients = [torch.autograd.grad((weights * bits).sum(), logits)[0] for bits in (soft, hard)]
    assert torch.equal(*gradients)
    torch.testing.assert_close(gradients[0], weights * soft * (1 - soft) / temperature)


@pytest.mark.parametrize("straight_through", [False, True])
def test_extreme_logits_have_finite_bits_and_gradients(straight_through):
    logits = torch.tensor([[-1e30, -1e4, 0.0, 1e4, 1e30]], requires_grad=True)
    bits = relaxed_bernoulli(logits, 0.1, straight_through=straight_through)
    bits.sum().backward()
    assert bits[0, :2].tolist() == [0, 0] and bits[0, 3:].tolist() == [1, 1]
    assert torch.isfinite(logits.grad).all()


def test_a_probability_of_one_half_is_a_zero_bit():
    above = torch.tensor(0.5).nextafter(torch.tensor(1.0)).item()
    assert hard_bits(torch.tensor([0.0, 0.5, above, 1.0])).tolist() == [0, 0, 1, 1]


def test_code_features_are_signs_or_two_columns_per_bit():
    z = torch.tensor([[0.0, 1.0, 0.25]])
    assert code_features(z, "signed").tolist() == [[-1.0, 1.0, -0.5]]
    assert code_features(z, "one_hot").tolist() == [[1.0, 0.0, 0.75, 0.0, 1.0, 0.25]]
    for kind in ("signed", "one_hot"):
        assert code_features(z, kind).shape[1] == code_columns(3, kind)
