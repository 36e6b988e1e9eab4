import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_ndtr
from torch.distributions import Normal, kl_divergence

from dmzrep.diffusion._likelihood import discretised_gaussian_log_likelihood, gaussian_kl

quick = settings(deadline=None, max_examples=60)
LEVELS = torch.linspace(-1.0, 1.0, 256, dtype=torch.float64)
BIN = 2.0 / 255.0
any_mean = st.floats(-3, 3)
any_log_variance = st.floats(-14, 6)


@quick
@given(means=st.tuples(any_mean, any_mean), log_variances=st.tuples(st.floats(-8, 5), st.floats(-8, 5)))
def test_the_divergence_of_gaussians_is_that_of_torch(means, log_variances):
    first, second = (
        (torch.tensor(m, dtype=torch.float64), torch.tensor(v, dtype=torch.float64))
        for m, v in zip(means, log_variances, strict=True)
    )
    oracle = kl_divergence(*(Normal(mean, (0.5 * v).exp()) for mean, v in (first, second)))
    torch.testing.assert_close(gaussian_kl(*first, *second), oracle, rtol=1e-6, atol=1e-9)


@quick
@given(mean=any_mean, log_variance=any_log_variance)
def test_a_gaussian_does_not_diverge_from_itself(mean, log_variance):
    mean, log_variance = torch.tensor(mean), torch.tensor(log_variance)
    assert gaussian_kl(mean, log_variance, mean, log_variance).item() == 0.0


@quick
@given(mean=any_mean, log_variance=any_log_variance, n_levels=st.sampled_from([2, 17, 256]))
def test_the_masses_of_all_grey_levels_sum_to_one(mean, log_variance, n_levels):
    for dtype, tolerance in ((torch.float64, 1e-8), (torch.float32, 1e-4)):
        levels = torch.linspace(-1.0, 1.0, n_levels, dtype=dtype)
        log_mass = discretised_gaussian_log_likelihood(
            levels,
            torch.tensor(mean, dtype=dtype),
            torch.tensor(log_variance, dtype=dtype),
            2.0 / (n_levels - 1),
        )
        assert torch.isfinite(log_mass).all()
        assert log_mass.double().exp().sum().item() == pytest.approx(1.0, abs=tolerance)


def exact_log_mass(level, mean, sd):
    """Logarithm of the mass of a bin, exact in both tails."""
    low, high = (level - BIN / 2 - mean) / sd, (level + BIN / 2 - mean) / sd
    if level < -1 + BIN / 2:
        low = -math.inf
    if level > 1 - BIN / 2:
        high = math.inf
    if low > 0:
        low, high = -high, -low
    if low == -math.inf:
        return log_ndtr(high)
    return log_ndtr(high) + np.log1p(-np.exp(log_ndtr(low) - log_ndtr(high)))


@quick
@given(
    level=st.integers(0, 255),
    mean=any_mean,
    log_variance=any_log_variance,
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_masses_are_exact_far_into_both_tails(level, mean, log_variance, dtype):
    mean, log_variance = (torch.tensor(v, dtype=dtype) for v in (mean, log_variance))
    found = discretised_gaussian_log_likelihood(LEVELS[level].to(dtype), mean, log_variance, BIN).item()
    expected = exact_log_mass(LEVELS[level].item(), mean.item(), math.exp(0.5 * log_variance.item()))
    floor = math.log(1e-12)
    # In float32 the edges of a narrow bin are rounded, which counts the more the further out they are.
    tolerance = 1e-6 if dtype == torch.float64 else 1e-3 + 3e-6 * math.exp(-0.5 * log_variance.item()) * 8
    assert found >= floor - 1e-5
    if expected > floor + 1.0:
        assert found == pytest.approx(expected, abs=tolerance, rel=tolerance)
    elif expected < floor - 1.0:
        assert found == pytest.approx(floor, abs=0.3)


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_both_tails_are_treated_alike(side):
    offsets = torch.arange(0.0, 6.5, 0.5) * 0.05
    mean, log_variance = torch.zeros(()), torch.tensor(2 * math.log(0.05))
    masses = discretised_gaussian_log_likelihood(side * offsets, mean, log_variance, BIN)
    other = discretised_gaussian_log_likelihood(-side * offsets, mean, log_variance, BIN)
    torch.testing.assert_close(masses, other, rtol=1e-3, atol=1e-3)
    assert (masses.diff() < 0).all()


def test_the_outermost_levels_take_all_that_lies_beyond():
    for level, mean in ((0, -5.0), (255, 5.0)):
        mass = discretised_gaussian_log_likelihood(LEVELS[level], torch.tensor(mean), torch.tensor(-6.0), BIN)
        assert mass.item() == pytest.approx(0.0, abs=1e-6)


def test_gradients_are_finite_wherever_the_mean_lies():
    mean = torch.linspace(-4.0, 4.0, 101, requires_grad=True)
    log_variance = torch.linspace(-12.0, 3.0, 101, requires_grad=True)
    discretised_gaussian_log_likelihood(torch.zeros(101), mean, log_variance, BIN).sum().backward()
    assert torch.isfinite(mean.grad).all() and torch.isfinite(log_variance.grad).all()
    assert mean.grad.abs().max() > 0


def test_gradients_at_the_outermost_levels_are_finite():
    x = torch.tensor([-1.0, 1.0, -1.0, 1.0])
    mean = torch.tensor([0.5, 0.5, -1.0, 1.0], requires_grad=True)
    log_variance = torch.full((4,), -4.0, requires_grad=True)
    discretised_gaussian_log_likelihood(x, mean, log_variance, BIN).sum().backward()
    assert torch.isfinite(mean.grad).all() and torch.isfinite(log_variance.grad).all()
