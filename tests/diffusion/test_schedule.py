import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep.diffusion._schedule import NOISE_SCHEDULES, NoiseSchedule

quick = settings(deadline=None, max_examples=40)
any_name = st.sampled_from(NOISE_SCHEDULES)
any_length = st.integers(2, 1200)


@st.composite
def steps(draw):
    """Return a schedule and two of its timesteps, t_prev < t; t_prev may be -1."""
    schedule = NoiseSchedule.named(draw(any_name), draw(any_length))
    t = draw(st.integers(0, schedule.n_timesteps - 1))
    return schedule, t, draw(st.integers(-1, t - 1))


@pytest.mark.parametrize(("name", "diffusers_name"), [("cosine", "squaredcos_cap_v2"), ("linear", "linear")])
@pytest.mark.parametrize("n_timesteps", [1000, 250])
def test_schedules_equal_those_of_diffusers(name, diffusers_name, n_timesteps):
    diffusers = pytest.importorskip("diffusers")
    scale = 1000 / n_timesteps
    oracle = diffusers.DDPMScheduler(
        n_timesteps, beta_start=1e-4 * scale, beta_end=0.02 * scale, beta_schedule=diffusers_name
    )
    schedule = NoiseSchedule.named(name, n_timesteps)
    assert (np.diff(schedule.alpha_bar) < 0).all()
    # diffusers rounds its schedules to float32.
    np.testing.assert_allclose(schedule.betas, oracle.betas, rtol=1e-4)
    np.testing.assert_allclose(schedule.alpha_bar, oracle.alphas_cumprod, rtol=1e-3)


@quick
@given(case=steps(), fraction=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)))
def test_the_reverse_log_variance_interpolates_its_bounds(case, fraction):
    schedule, t, t_prev = case
    t, t_prev = torch.tensor([t]), torch.tensor([t_prev])
    like = torch.zeros(1, 2, 3, dtype=torch.float64)
    _, _, variance, beta = schedule.posterior(t, t_prev)
    # The step to clean data has the variance of the step from timestep 1 to timestep 0.
    first = schedule.posterior(torch.tensor([1]), torch.tensor([0]))[2]
    lower = (variance if t_prev.item() >= 0 else torch.minimum(first, beta)).log().item()
    upper = beta.log().item()
    assert math.isfinite(lower) and lower <= upper + 1e-9
    assert schedule.reverse_log_variance(None, t, t_prev, like).item() == pytest.approx(lower)
    found = schedule.reverse_log_variance(torch.full_like(like, fraction), t, t_prev, like)
    torch.testing.assert_close(found, torch.full_like(like, fraction * upper + (1 - fraction) * lower))
