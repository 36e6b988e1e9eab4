import pytest
import torch
from torch.nn import functional as F

from dmzrep.training._augmentation import RandomAffine, flip


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def blob(side=33, row=16, column=16):
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    distance = (rows - row) ** 2 + (columns - column) ** 2
    return (-distance / 8.0).exp()[None, None]


def centre(x):
    """Centre of mass of each image, in pixels: (rows, columns)."""
    rows, columns = (torch.arange(side, dtype=x.dtype) for side in x.shape[2:])
    mass = x.sum(dim=(1, 2, 3))
    by_row, by_column = (x.sum(dim=(1, 3)) * rows).sum(dim=1), (x.sum(dim=(1, 2)) * columns).sum(dim=1)
    return torch.stack([by_row, by_column]) / mass


def test_flips_are_left_to_right_of_the_images_that_are_named():
    x, mirrored = torch.randn(3, 2, 3, 5), torch.tensor([True, False, True])
    flipped = flip(x, mirrored)
    assert torch.equal(flipped[mirrored], x[mirrored].flip(-1)) and torch.equal(flipped[1], x[1])


def test_without_amounts_nothing_changes():
    x = torch.randn(4, 2, 9, 7)
    torch.testing.assert_close(RandomAffine(0.0, 1.0, 0.0, 0.0)(x, generator()), x, atol=1e-5, rtol=0)


def test_shifts_reach_their_limit_each_way_and_no_further():
    x = blob().expand(500, -1, -1, -1)
    moved = centre(RandomAffine(shift=0.1, scale=1.0, rotation=0.0, shear=0.0)(x, generator())) - 16
    limit = 0.1 * 33
    assert moved.abs().max() <= limit + 0.01
    assert (moved.amax(dim=1) > 0.9 * limit).all() and (moved.amin(dim=1) < -0.9 * limit).all()


def test_scales_lie_between_the_factor_and_its_inverse():
    x = blob().expand(500, -1, -1, -1)
    scaled = RandomAffine(shift=0.0, scale=1.3, rotation=0.0, shear=0.0)(x, generator())
    area = scaled.sum(dim=(1, 2, 3)) / x[0].sum()
    assert 1.6 < area.max() <= 1.3**2 + 0.01
    assert 1 / 1.3**2 - 0.01 <= area.min() < 0.63


def test_rotations_turn_by_the_angle_at_most():
    x = blob(row=16, column=26).expand(500, -1, -1, -1)
    rows, columns = centre(RandomAffine(shift=0.0, scale=1.0, rotation=20.0, shear=0.0)(x, generator())) - 16
    angles = torch.rad2deg(torch.atan2(rows, columns))
    assert 18 < angles.max() <= 20.1 and -20.1 <= angles.min() < -18
    torch.testing.assert_close((rows**2 + columns**2).sqrt(), torch.full((500,), 10.0), atol=0.05, rtol=0)


def test_shear_moves_rows_against_each_other():
    x = blob(row=6) + blob(row=26)
    sheared = RandomAffine(0.0, 1.0, 0.0, shear=0.3)(x.expand(200, -1, -1, -1), generator())
    top, bottom = centre(sheared[:, :, :16])[1], centre(sheared[:, :, 17:])[1]
    assert (top - bottom).abs().max() > 4
    torch.testing.assert_close(top + bottom, torch.full((200,), 32.0), atol=0.2, rtol=0)


def test_borders_repeat_outwards():
    x = torch.ones(50, 1, 8, 8)
    torch.testing.assert_close(RandomAffine(shift=0.3, scale=1.5, rotation=30.0)(x, generator()), x)


@pytest.mark.parametrize("device_generator", [0, 3])
def test_the_generator_decides(device_generator):
    x = F.avg_pool2d(torch.randn(6, 3, 16, 16), 2)
    view = RandomAffine()
    first, again = (view(x, generator(device_generator)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, view(x, generator(device_generator + 1)))


def test_half_of_the_views_are_mirrored_if_asked():
    x = blob(row=6, column=26).expand(400, -1, -1, -1)
    still = {"shift": 0.0, "scale": 1.0, "rotation": 0.0, "shear": 0.0}
    mirrored = centre(RandomAffine(**still, mirror=True)(x, generator()))[1] < 16
    assert 0.4 < mirrored.double().mean() < 0.6
    views = RandomAffine(**still, mirror=True)(x, generator())
    torch.testing.assert_close(views[mirrored], x[mirrored].flip(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(views[~mirrored], x[~mirrored], atol=1e-5, rtol=0)
    assert (centre(RandomAffine(**still)(x, generator()))[1] > 16).all()
