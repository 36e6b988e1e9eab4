import pytest
import torch
from torch.nn import functional as F

from dmzrep.training._augmentation import RandomAffine
from dmzrep.training.init._alignment import are_aligned, residual_ratio

VIEW = RandomAffine()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def faces():
    """Images with a few parts at fixed places, each with its own grey: they share a frame."""
    shades = torch.rand(1500, 9, generator=generator())
    x = torch.zeros(1500, 1, 24, 24)
    for part in range(9):
        row, column = 3 + 7 * (part // 3), 3 + 7 * (part % 3)
        x[:, :, row : row + 4, column : column + 4] = shades[:, part].view(-1, 1, 1, 1)
    return x


def test_images_with_fixed_parts_are_aligned_and_moved_ones_are_not(faces):
    assert are_aligned(faces, VIEW, generator())
    moved = VIEW(faces, generator(1))
    assert residual_ratio(moved, VIEW, generator()) < 2.0
    assert not are_aligned(moved, VIEW, generator())


def test_smooth_noise_is_not_aligned():
    noise = F.avg_pool2d(torch.randn(1000, 3, 40, 36, generator=generator()), 5, stride=1)
    assert residual_ratio(noise, VIEW, generator()) < 1.5


@pytest.mark.parametrize("x", [torch.zeros(10, 1, 8, 8), torch.ones(2, 3, 8, 9)], ids=["zeros", "two"])
def test_images_that_do_not_differ_are_not_called_aligned(x):
    assert residual_ratio(x, VIEW, generator()) == 1.0


def test_large_images_and_few_are_taken(faces):
    assert residual_ratio(F.interpolate(faces, 100), VIEW, generator()) > 3.0
    assert residual_ratio(faces[:3], VIEW, generator()) > 0.0
