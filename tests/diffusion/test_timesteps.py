import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep.diffusion._timesteps import TIMESTEP_SAMPLINGS, TimestepSampler

quick = settings(deadline=None, max_examples=25)
any_kind = st.sampled_from(TIMESTEP_SAMPLINGS)
any_seed = st.integers(0, 2**31)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def warmed_up(n_timesteps, losses):
    """Return a second-moment sampler with a full history of each timestep."""
    sampler = TimestepSampler(n_timesteps, "loss_second_moment")
    for _ in range(sampler.history_length):
        sampler.update(torch.arange(n_timesteps), torch.as_tensor(losses, dtype=torch.float64))
    return sampler


@st.composite
def samplers(draw):
    n_timesteps = draw(st.integers(2, 60))
    kind = draw(any_kind)
    if kind != "loss_second_moment" or draw(st.booleans()):
        return TimestepSampler(n_timesteps, kind)
    losses = draw(st.lists(st.floats(0, 1e3), min_size=n_timesteps, max_size=n_timesteps))
    return warmed_up(n_timesteps, losses)


@quick
@given(sampler=samplers(), n=st.sampled_from([1, 7, 4096]), seed=any_seed)
def test_counts_follow_the_probabilities_up_to_one_draw(sampler, n, seed):
    probabilities = sampler.probabilities()
    assert probabilities.shape == (sampler.n_timesteps,)
    assert (probabilities > 0).all()
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-9)
    if sampler.kind == "high_noise":
        edges = np.arange(sampler.n_timesteps + 1) ** 1.5
        np.testing.assert_allclose(probabilities / probabilities[0], np.diff(edges), rtol=1e-6)
    t, weights = sampler.sample(n, generator(seed))
    assert torch.isfinite(weights).all() and (weights > 0).all()
    assert torch.equal(t, sampler.sample(n, generator(seed))[0])
    # With one draw from each of n slices, counts up to any timestep are off by one at most.
    assert t.dtype == torch.int64 and t.shape == weights.shape == (n,) and weights.dtype == torch.float32
    counts = np.bincount(t.numpy(), minlength=sampler.n_timesteps)
    assert len(counts) == sampler.n_timesteps
    difference = np.cumsum(counts) - n * np.cumsum(probabilities)
    assert np.abs(difference).max() <= 1.01


def test_draws_are_in_random_order():
    t, _ = TimestepSampler(1000).sample(256, generator(torch.seed() % 2**31))
    # Six standard deviations of the correlation of two random orders.
    assert abs(np.corrcoef(t, np.arange(256))[0, 1]) < 6 / 256**0.5


@quick
@given(seed=any_seed, n_timesteps=st.integers(2, 60))
def test_second_moment_weights_keep_the_expectation_of_the_uniform_loss(seed, n_timesteps):
    rng = np.random.default_rng(seed)
    losses = rng.random(n_timesteps) * 10.0 ** rng.uniform(-2, 1, n_timesteps)
    sampler = warmed_up(n_timesteps, losses)
    probabilities = sampler.probabilities()
    t, weights = sampler.sample(20_000, generator(seed))
    np.testing.assert_allclose(weights, 1 / (n_timesteps * probabilities[t.numpy()]), rtol=1e-5)
    assert (weights.numpy() * losses[t.numpy()]).mean() == pytest.approx(losses.mean(), rel=0.01)


def test_probabilities_follow_the_root_mean_square_of_recent_losses():
    sampler = warmed_up(3, [1.0, 1.0, 1.0])
    np.testing.assert_allclose(sampler.probabilities(), 1 / 3)
    np.testing.assert_allclose(warmed_up(3, np.zeros(3)).probabilities(), 1 / 3)
    for _ in range(sampler.history_length):
        sampler.update(torch.tensor([2]), torch.tensor([2.0]))
    share = sampler.uniform_share
    np.testing.assert_allclose(sampler.probabilities(), (1 - share) * np.array([0.25, 0.25, 0.5]) + share / 3)


def test_draws_are_uniform_until_each_timestep_has_a_history():
    sampler = TimestepSampler(4, "loss_second_moment")
    for _ in range(50):
        sampler.update(torch.tensor([0, 1, 2]), torch.tensor([5.0, 1.0, 1.0]))
    np.testing.assert_allclose(sampler.probabilities(), 0.25)
    assert sampler.sample(64, generator(0))[1].tolist() == [1.0] * 64
