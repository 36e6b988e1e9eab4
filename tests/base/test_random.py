import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep._base._random import (
    ImageNoise,
    content_seeds,
    draw_seed,
    image_seeds,
    numpy_generator,
    sample_seeds,
)

quick = settings(deadline=None, max_examples=20)
any_seed = st.integers(0, 2**31 - 1)
CPU = torch.device("cpu")


def test_seeds_do_not_use_numpys_global_generator():
    state = np.random.get_state()[1].copy()
    assert draw_seed(7) == draw_seed(np.int64(7)) == 7
    first, second = (np.random.RandomState(0) for _ in range(2))
    drawn = [draw_seed(first) for _ in range(4)]
    assert drawn == [draw_seed(second) for _ in range(4)] and len(set(drawn)) == 4
    assert len({draw_seed(None) for _ in range(5)}) > 1
    assert numpy_generator(None).randint(2**31) != numpy_generator(None).randint(2**31)
    assert np.array_equal(state, np.random.get_state()[1])


@pytest.mark.parametrize("random_state", ["seven", -1, 1.5])
def test_invalid_random_states_raise(random_state):
    with pytest.raises(ValueError, match=r"random_state must be an integer .*RandomState or None, got"):
        draw_seed(random_state)
    with pytest.raises(ValueError, match="one non-negative integer for each of 2 samples"):
        sample_seeds([random_state, 2], 2)


@quick
@given(seed=any_seed, few=st.integers(1, 20), more=st.integers(0, 20))
def test_image_seeds_do_not_depend_on_their_number(seed, few, more):
    seeds = image_seeds(seed, few + more)
    assert image_seeds(seed, few) == seeds[:few]
    assert len(set(seeds)) == few + more
    assert all(0 <= s < 2**63 for s in seeds)


@quick
@given(seed=any_seed, n=st.integers(2, 8))
def test_content_seeds_are_batch_invariant(seed, n):
    rng = np.random.default_rng(seed)
    X = rng.random((n, 5, 4)).astype(np.float32)
    seeds = content_seeds(X)
    order = rng.permutation(n)
    assert content_seeds(X[order]) == [seeds[i] for i in order]
    assert content_seeds(X[1:2]) == seeds[1:2]
    assert content_seeds(np.asfortranarray(X)) == seeds
    assert len(set(seeds)) == n
    assert all(0 <= s < 2**63 for s in seeds)


@quick
@given(seed=any_seed, n=st.integers(1, 9), shape=st.sampled_from([(), (3,), (17,), (3, 8, 8)]))
def test_noise_is_batch_invariant(seed, n, shape):
    seeds = image_seeds(seed, n)
    together = ImageNoise(seeds, shape, CPU)
    alone = [ImageNoise([s], shape, CPU) for s in seeds]
    for _ in range(3):
        drawn = together.draw()
        assert drawn.shape == (n, *shape) and drawn.dtype == torch.float32
        assert torch.equal(drawn, torch.cat([one.draw() for one in alone]))


@quick
@given(seed=any_seed)
def test_successive_noise_is_independent_unit_gaussian(seed):
    noise = ImageNoise(image_seeds(seed, 8), (3, 16, 16), CPU)
    first, second = noise.draw().flatten(), noise.draw().flatten()
    n = len(first)
    # Within six standard deviations of each estimate.
    for drawn in (first, second):
        assert abs(drawn.mean()) < 6 * n**-0.5
        assert abs(drawn.square().mean() - 1.0) < 6 * (2 / n) ** 0.5
    assert abs((first * second).mean()) < 6 * n**-0.5


def test_samples_with_their_own_seed_are_independent_of_others():
    assert sample_seeds([4, 9, 4], 3) == [image_seeds(seed, 1)[0] for seed in (4, 9, 4)]
    assert sample_seeds(np.array([2]), 1) == image_seeds(2, 3)[:1]
    assert sample_seeds(np.random.RandomState(0), 2) == sample_seeds(np.random.RandomState(0), 5)[:2]
