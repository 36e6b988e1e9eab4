"""Step grids, against what each spacing is defined by."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
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
def test_a_grid_leads_from_the_last_timestep_to_clean_data_and_only_down(sizes, spacing, name):
    n_timesteps, n_steps = sizes
    grid = timestep_grid(n_timesteps, n_steps, spacing, schedule=NoiseSchedule.named(name, n_timesteps))
    assert len(grid) == n_steps
    assert grid[0][0] == n_timesteps - 1 and grid[-1][1] == -1
    assert all(type(t) is int and t > t_prev >= -1 for t, t_prev in grid)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(grid))


@quick
@given(sizes=grid_sizes())
def test_strides_are_as_equal_as_whole_numbers_allow(sizes):
    n_timesteps, n_steps = sizes
    strides = [t - t_prev for t, t_prev in timestep_grid(n_timesteps, n_steps)]
    assert max(strides) - min(strides) <= 1
    uniform = [t - t_prev for t, t_prev in timestep_grid(n_timesteps, n_steps, "uniform")]
    assert uniform[-1] == 1 or n_steps == 1
    assert n_steps < 3 or max(uniform[:-1]) - min(uniform[:-1]) <= 1


@quick
@given(n_timesteps=st.integers(2, 300), spacing=any_spacing, name=any_schedule)
def test_as_many_steps_as_timesteps_visit_each_one(n_timesteps, spacing, name):
    every = [(t, t - 1) for t in range(n_timesteps - 1, -1, -1)]
    schedule = NoiseSchedule.named(name, n_timesteps)
    assert timestep_grid(n_timesteps, n_timesteps, spacing, schedule=schedule) == every


@pytest.mark.parametrize("n_steps", [0, -1, 11])
def test_impossible_numbers_of_steps_are_refused(n_steps):
    with pytest.raises(ValueError, match=f"n_steps must be from 1 to n_timesteps=10, got {n_steps}"):
        timestep_grid(10, n_steps)


@quick
@given(
    sizes=grid_sizes(),
    start=st.floats(0.0, 1.0, exclude_min=True),
    spacing=st.sampled_from(("trailing", "uniform", "quadratic")),
)
def test_a_grid_with_a_start_is_that_of_the_timesteps_below_it(sizes, start, spacing):
    n_timesteps, n_steps = sizes
    below = round(start * n_timesteps)
    if below == 0:
        with pytest.raises(ValueError, match=f"leaves none of the {n_timesteps} timesteps"):
            timestep_grid(n_timesteps, n_steps, spacing, start=start)
    elif n_steps > below:
        with pytest.raises(ValueError, match=f"n_steps must be from 1 to .*={below}"):
            timestep_grid(n_timesteps, n_steps, spacing, start=start)
    else:
        grid = timestep_grid(n_timesteps, n_steps, spacing, start=start)
        assert grid == timestep_grid(below, n_steps, spacing)
        assert grid[0][0] == below - 1


@pytest.mark.parametrize("start", [0.0, -0.5, 1.01, float("nan"), float("inf"), None])
def test_impossible_starts_are_refused(start):
    with pytest.raises(ValueError, match=r"start must be a float in the range \(0.0, 1.0\].*"):
        timestep_grid(10, 1, start=start)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_every_pair_of_sizes_of_a_short_schedule_makes_a_grid(spacing):
    for n_timesteps in range(2, 25):
        schedule = NoiseSchedule.named("cosine", n_timesteps)
        for n_steps in range(1, n_timesteps + 1):
            times = [t for t, _ in timestep_grid(n_timesteps, n_steps, spacing, schedule=schedule)]
            assert times[0] == n_timesteps - 1
            assert times == sorted(set(times), reverse=True) and len(times) == n_steps and times[-1] >= 0


def test_quadratic_steps_are_even_in_the_root_of_time():
    times = np.array([t for t, _ in timestep_grid(1000, 20, "quadratic")])
    np.testing.assert_allclose(np.sqrt(times[:-3]), np.sqrt(999) * np.linspace(1, 0, 20)[:-3], rtol=0.02)


@pytest.mark.parametrize("name", NOISE_SCHEDULES)
@pytest.mark.parametrize("start", [1.0, 0.5])
def test_log_snr_steps_are_even_in_it_down_to_where_there_is_noise_alone(name, start):
    schedule = NoiseSchedule.named(name, 10_000)
    grid = timestep_grid(10_000, 12, "log_snr", start=start, schedule=schedule)
    times = np.array([t for t, _ in grid])
    log_snr = np.log(schedule.alpha_bar[times] / (1 - schedule.alpha_bar[times]))
    assert times[0] == 10_000 * start - 1 and times[-1] == 0
    strides = np.diff(log_snr[1:])
    # At small t neighbouring whole timesteps are far apart in log-SNR.
    np.testing.assert_allclose(strides[:8], strides[0], rtol=0.1)
    assert np.interp(LOWEST_LOG_SNR, [log_snr[0], 99], [log_snr[0], 99]) < log_snr[1]
    if log_snr[0] > LOWEST_LOG_SNR:
        assert log_snr[1] - log_snr[0] == pytest.approx(strides[0], rel=0.1)


def test_log_snr_needs_the_schedule_that_it_reads():
    with pytest.raises(ValueError, match="needs `schedule` of 100 timesteps, got none"):
        timestep_grid(100, 5, "log_snr")
    with pytest.raises(ValueError, match="got one of 50"):
        timestep_grid(100, 5, "log_snr", schedule=NoiseSchedule.named("cosine", 50))


def test_an_unknown_spacing_is_refused():
    with pytest.raises(ValueError, match="spacing must be one of"):
        timestep_grid(100, 5, "karras")
