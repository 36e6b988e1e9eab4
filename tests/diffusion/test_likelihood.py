import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_ndtr

from dmzrep.diffusion._likelihood import discretised_gaussian_log_likelihood

quick = settings(deadline=None, max_examples=60)
LEVELS = torch.linspace(-1.0, 1.0, 256, dtype=torch.float64)
BIN = 2.0 / 255.0
any_mean = st.floats(-3, 3)
any_log_variance = st.floats(-14, 6)


def exact_log_mass(level, mean, sd):
    """Return the logarithm of the mass of a bin, exact in both tails."""
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
def test_probabilities_are_exact_in_both_tails(level, mean, log_variance, dtype):
    mean, log_variance = (torch.tensor(v, dtype=dtype) for v in (mean, log_variance))
    found = discretised_gaussian_log_likelihood(LEVELS[level].to(dtype), mean, log_variance, BIN).item()
    expected = exact_log_mass(LEVELS[level].item(), mean.item(), math.exp(0.5 * log_variance.item()))
    floor = math.log(1e-12)
    # In float32 the edges of a narrow bin are rounded.
    tolerance = 1e-6 if dtype == torch.float64 else 1e-3 + 3e-6 * math.exp(-0.5 * log_variance.item()) * 8
    assert found >= floor - 1e-5
    if expected > floor + 1.0:
        assert found == pytest.approx(expected, abs=tolerance, rel=tolerance)
    elif expected < floor - 1.0:
        assert found == pytest.approx(floor, abs=0.3)


@pytest.mark.parametrize("level", [-1.0, 0.0, 1.0])
def test_gradients_are_finite_for_any_mean(level):
    mean = torch.linspace(-4.0, 4.0, 101, requires_grad=True)
    log_variance = torch.linspace(-12.0, 3.0, 101, requires_grad=True)
    x = torch.full((101,), level)
    discretised_gaussian_log_likelihood(x, mean, log_variance, BIN).sum().backward()
    assert torch.isfinite(mean.grad).all() and torch.isfinite(log_variance.grad).all()
    assert mean.grad.abs().max() > 0
