import pytest
import torch
from torch.nn import functional as F

from dmzrep.training import RandomViews, are_aligned
from dmzrep.training.init._alignment import residual_ratio
from tests.training.trainers import generator

VIEW = RandomViews()


@pytest.fixture(scope="module")
def aligned():
    """Return images of nine squares at fixed positions, each with a random grey value."""
    greys = torch.rand(1500, 9, generator=generator())
    x = torch.zeros(1500, 1, 24, 24)
    for part in range(9):
        row, column = 3 + 7 * (part // 3), 3 + 7 * (part % 3)
        x[:, :, row : row + 4, column : column + 4] = greys[:, part].view(-1, 1, 1, 1)
    return x


def test_images_with_fixed_parts_are_aligned_and_augmented_views_are_not(aligned):
    assert are_aligned(aligned, VIEW, generator())
    views = VIEW(aligned, generator(1))
    assert residual_ratio(views, VIEW, generator()) < 2.0
    assert not are_aligned(views, VIEW, generator())


def test_smooth_noise_is_not_aligned():
    noise = F.avg_pool2d(torch.randn(1000, 3, 40, 36, generator=generator()), 5, stride=1)
    assert residual_ratio(noise, VIEW, generator()) < 1.5


@pytest.mark.parametrize("x", [torch.zeros(10, 1, 8, 8), torch.ones(2, 3, 8, 9)], ids=["zeros", "two"])
def test_constant_images_are_not_aligned(x):
    assert residual_ratio(x, VIEW, generator()) == 1.0


def test_large_images_are_averaged(aligned):
    assert residual_ratio(F.interpolate(aligned, 100), VIEW, generator()) > 3.0
