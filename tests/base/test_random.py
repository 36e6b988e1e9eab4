import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep._base._random import ImageNoise, content_seeds, draw_seed, image_seeds, sample_seeds

quick = settings(deadline=None, max_examples=20)
any_seed = st.integers(0, 2**31 - 1)
CPU = torch.device("cpu")


@quick
@given(seed=any_seed)
def test_an_integer_is_its_own_seed_whatever_its_type(seed):
    assert draw_seed(seed) == draw_seed(np.int64(seed)) == seed


@quick
@given(seed=any_seed)
def test_a_random_state_gives_a_new_seed_at_each_draw_and_the_same_ones_again(seed):
    first, second = (np.random.RandomState(seed) for _ in range(2))
    drawn = [draw_seed(first) for _ in range(4)]
    assert drawn == [draw_seed(second) for _ in range(4)]
    assert len(set(drawn)) > 1


def test_no_random_state_gives_fresh_seeds():
    assert len({draw_seed(None) for _ in range(5)}) > 1


def test_a_random_state_that_is_none_of_these_is_refused():
    with pytest.raises(ValueError, match=r"random_state must be .*RandomState or None, got 'seven'"):
        draw_seed("seven")


@quick
@given(seed=any_seed, few=st.integers(1, 20), more=st.integers(0, 20))
def test_seeds_of_few_images_are_the_first_of_many(seed, few, more):
    seeds = image_seeds(seed, few + more)
    assert image_seeds(seed, few) == seeds[:few]
    assert len(set(seeds)) == few + more
    assert all(0 <= s < 2**63 for s in seeds)


@quick
@given(seed=any_seed)
def test_neighbouring_seeds_share_no_image_seed(seed):
    assert not set(image_seeds(seed, 50)) & set(image_seeds(seed + 1, 50))


@quick
@given(seed=any_seed, n=st.integers(2, 8))
def test_content_seeds_depend_on_the_row_alone(seed, n):
    rng = np.random.default_rng(seed)
    rows = rng.random((n, 5, 4)).astype(np.float32)
    seeds = content_seeds(rows)
    order = rng.permutation(n)
    assert content_seeds(rows[order]) == [seeds[i] for i in order]
    assert content_seeds(rows[1:2]) == seeds[1:2]
    assert content_seeds(np.asfortranarray(rows)) == seeds
    assert len(set(seeds)) == n
    assert all(0 <= s < 2**63 for s in seeds)


def test_content_seeds_change_with_the_least_change_of_content():
    rows = np.zeros((1, 6), dtype=np.float32)
    changed = rows.copy()
    changed[0, 3] = np.nextafter(np.float32(0), np.float32(1))
    assert content_seeds(rows) != content_seeds(changed)


@quick
@given(seed=any_seed, n=st.integers(1, 9), shape=st.sampled_from([(), (3,), (17,), (3, 8, 8)]))
def test_an_images_noise_does_not_depend_on_its_company(seed, n, shape):
    seeds = image_seeds(seed, n)
    together = ImageNoise(seeds, shape, CPU)
    alone = [ImageNoise([s], shape, CPU) for s in seeds]
    for _ in range(3):
        drawn = together.draw()
        assert drawn.shape == (n, *shape) and drawn.dtype == torch.float32
        assert torch.equal(drawn, torch.cat([one.draw() for one in alone]))


@quick
@given(seed=any_seed)
def test_successive_noise_is_new_and_unit_gaussian(seed):
    noise = ImageNoise(image_seeds(seed, 8), (3, 16, 16), CPU)
    first, second = noise.draw().flatten(), noise.draw().flatten()
    n = len(first)
    # Six standard deviations of each estimate.
    for drawn in (first, second):
        assert abs(drawn.mean()) < 6 * n**-0.5
        assert abs(drawn.square().mean() - 1.0) < 6 * (2 / n) ** 0.5
    assert abs((first * second).mean()) < 6 * n**-0.5


def test_a_row_with_a_seed_of_its_own_gets_what_it_would_get_alone():
    assert sample_seeds([4, 9, 4], 3) == [image_seeds(seed, 1)[0] for seed in (4, 9, 4)]
    assert sample_seeds(np.array([2]), 1) == image_seeds(2, 3)[:1]
    assert sample_seeds(np.random.RandomState(0), 2) == sample_seeds(np.random.RandomState(0), 5)[:2]


@pytest.mark.parametrize("seeds", [[1], [1, 2, 3], [[1, 2]], [0.5, 1.0], [-1, 2], []])
def test_seeds_that_are_not_one_integer_a_row_are_refused(seeds):
    with pytest.raises(ValueError, match="one integer of at least 0 for each of 2 samples"):
        sample_seeds(seeds, 2)
