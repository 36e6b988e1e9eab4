"""Step grids against the definition of each spacing."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dmzrep.diffusion._grids import LOWEST_LOG_SNR, SPACINGS, timestep_grid
from dmzrep.diffusion._schedule import NOISE_SCHEDULES, NoiseSchedule

quick = settings(deadline=None, max_examples=60)
any_spacing = st.sampled_from(SPACINGS)
any_schedule = st.sampled_from(NOISE_SCHEDULES)


@st.composite
def grid_sizes(draw):
    n_timesteps = draw(st.integers(2, 1000))
    return n_timesteps, draw(st.integers(1, n_timesteps))


@quick
@given(sizes=grid_sizes(), spacing=any_spacing, name=any_schedule)
def test_timesteps_fall_strictly_from_the_last_one_to_clean_data(sizes, spacing, name):
    n_timesteps, n_steps = sizes
    grid = timestep_grid(n_timesteps, n_steps, spacing, schedule=NoiseSchedule.named(name, n_timesteps))
    assert len(grid) == n_steps
    assert grid[0][0] == n_timesteps - 1 and grid[-1][1] == -1
    assert all(type(t) is int and t > t_prev >= -1 for t, t_prev in grid)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(grid))


@quick
@given(sizes=grid_sizes())
def test_strides_are_equal_up_to_rounding(sizes):
    n_timesteps, n_steps = sizes
    strides = [t - t_prev for t, t_prev in timestep_grid(n_timesteps, n_steps)]
    assert max(strides) - min(strides) <= 1
    uniform = [t - t_prev for t, t_prev in timestep_grid(n_timesteps, n_steps, "uniform")]
    assert uniform[-1] == 1 or n_steps == 1
    assert n_steps < 3 or max(uniform[:-1]) - min(uniform[:-1]) <= 1
    times = np.array([t for t, _ in timestep_grid(1000, 20, "quadratic")])
    np.testing.assert_allclose(np.sqrt(times[:-3]), np.sqrt(999) * np.linspace(1, 0, 20)[:-3], rtol=0.02)


@pytest.mark.parametrize(
    ("n_steps", "options", "message"),
    [
        (1, {"strength": 0.04}, "strength=0.04 leaves none of the 10 timesteps. Use at least 0.1"),
        (1, {"strength": 1.01}, r"strength must be .* in the range \(0.0, 1.0\]"),
    ],
)
def test_invalid_options_are_refused(n_steps, options, message):
    with pytest.raises(ValueError, match=message):
        timestep_grid(10, n_steps, **options)


@quick
@given(
    sizes=grid_sizes(),
    strength=st.floats(0.0, 1.0, exclude_min=True),
    spacing=st.sampled_from(("trailing", "uniform", "quadratic")),
)
def test_strength_selects_the_grid_of_a_shorter_schedule(sizes, strength, spacing):
    n_timesteps, n_steps = sizes
    n_visited = round(strength * n_timesteps)
    assume(n_steps <= n_visited)
    grid = timestep_grid(n_timesteps, n_steps, spacing, strength=strength)
    assert grid == timestep_grid(n_visited, n_steps, spacing)
    assert grid[0][0] == n_visited - 1


@pytest.mark.parametrize("name", NOISE_SCHEDULES)
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_log_snr_steps_are_even_in_log_snr_above_its_lower_limit(name, strength):
    schedule = NoiseSchedule.named(name, 10_000)
    grid = timestep_grid(10_000, 12, "log_snr", strength=strength, schedule=schedule)
    times = np.array([t for t, _ in grid])
    log_snr = np.log(schedule.alpha_bar[times] / (1 - schedule.alpha_bar[times]))
    assert times[0] == 10_000 * strength - 1 and times[-1] == 0
    strides = np.diff(log_snr[1:])
    # At small t neighbouring timesteps are far apart in log-SNR.
    np.testing.assert_allclose(strides[:8], strides[0], rtol=0.1)
    assert log_snr[1] > LOWEST_LOG_SNR
    if log_snr[0] > LOWEST_LOG_SNR:
        assert log_snr[1] - log_snr[0] == pytest.approx(strides[0], rel=0.1)
