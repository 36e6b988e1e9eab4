import pytest
import torch
from torch.nn import functional as F

from dmzrep.networks._linear_init import Contrast, FilterResponses, LinearInit


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (2, 9, 31)])
def test_responses_are_means_of_both_signs_and_coarse_pixels(shape):
    layer = FilterResponses(shape, 6)
    assert set(layer.state_dict()) == {"filters"}
    x = torch.randn(4, *shape)
    responses = F.conv2d(x, layer.filters, stride=2, padding=2)
    pixels = F.adaptive_avg_pool2d(x, tuple(min(8, side) for side in shape[1:])).flatten(1)
    grids = [F.adaptive_avg_pool2d(F.relu(s * responses), 3).flatten(2).transpose(1, 2) for s in (1, -1)]
    expected = torch.cat([*(grid.flatten(1) for grid in grids), pixels], dim=1)
    assert layer(x).shape == (4, layer.n_features)
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("sides", [(32, 20), (33, 40), (70, 9), (100, 60), (256, 100)], ids=str)
def test_large_images_are_averaged(sides):
    x = torch.randn(2, 3, *sides)
    small = F.avg_pool2d(x, tuple(-(-side // 32) for side in sides), ceil_mode=True)
    values = LinearInit((3, *sides), 5)
    torch.testing.assert_close(values.features(x), small.flatten(1))
    branch = LinearInit((3, *sides), 5, "responses", n_filters=4)
    torch.testing.assert_close(branch.features(x), branch.responses(small))
    assert values(x).shape == branch(x).shape == (2, 5)


def test_contrast_is_the_signed_root_of_local_and_plain_differences():
    layer = Contrast((2, 8, 9))
    assert set(layer.state_dict()) == {"centre"}
    layer.centre.copy_(torch.randn(2, 8, 9))
    x = torch.randn(3, 2, 8, 9)
    difference = x - layer.centre
    # The mean of the neighbourhood inside the image, including the pixel itself.
    sums = F.conv2d(difference.flatten(0, 1)[:, None], torch.ones(1, 1, 3, 3), padding=1).view_as(x)
    counts = F.conv2d(torch.ones(1, 1, 8, 9), torch.ones(1, 1, 3, 3), padding=1)
    local = difference - sums / counts
    features = layer(x)
    assert features.shape == (3, layer.n_features)
    for part, values, weight in zip(features.chunk(2, dim=1), (local, difference), (1.0, 0.3), strict=True):
        root = values.sign() * values.abs().sqrt()
        torch.testing.assert_close(part, weight * root.flatten(1), atol=0.08, rtol=0)
        assert torch.equal(part.sign(), values.flatten(1).sign())


def test_contrast_has_a_finite_gradient_at_the_mean_image():
    x = torch.zeros(1, 1, 8, 8, requires_grad=True)
    Contrast((1, 8, 8))(x).sum().backward()
    assert torch.isfinite(x.grad).all()
