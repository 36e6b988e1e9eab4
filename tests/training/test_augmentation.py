import pytest
import torch

from dmzrep.training._augmentation import RandomViews, flip
from tests.training.trainers import generator

IDENTITY = {"shift": 0.0, "scale": 1.0, "rotation": 0.0, "shear": 0.0}


def blob(row=16, column=16, n=500):
    """Return images of one Gaussian blob, of shape (n, 1, 33, 33)."""
    rows, columns = torch.meshgrid(torch.arange(33), torch.arange(33), indexing="ij")
    return (-((rows - row) ** 2 + (columns - column) ** 2) / 8.0).exp().expand(n, 1, -1, -1)


def centre(x):
    """Return the centre of mass of each image in pixels: row and column."""
    rows, columns = (torch.arange(side, dtype=x.dtype) for side in x.shape[2:])
    by_row, by_column = (x.sum(dim=(1, 3)) * rows).sum(dim=1), (x.sum(dim=(1, 2)) * columns).sum(dim=1)
    return torch.stack([by_row, by_column]) / x.sum(dim=(1, 2, 3))


def test_shifts_are_uniform_up_to_their_limit():
    shift = centre(RandomViews(**IDENTITY | {"shift": 0.1})(blob(), generator())) - 16
    limit = 0.1 * 33
    assert shift.abs().max() <= limit + 0.01
    assert (shift.amax(dim=1) > 0.9 * limit).all() and (shift.amin(dim=1) < -0.9 * limit).all()


def test_scales_lie_between_the_factor_and_its_inverse():
    x = blob()
    area = RandomViews(**IDENTITY | {"scale": 1.3})(x, generator()).sum(dim=(1, 2, 3)) / x[0].sum()
    assert 1.6 < area.max() <= 1.3**2 + 0.01
    assert 1 / 1.3**2 - 0.01 <= area.min() < 0.63


def test_rotations_keep_the_distance_from_the_centre():
    rows, columns = centre(RandomViews(**IDENTITY | {"rotation": 20.0})(blob(column=26), generator())) - 16
    angles = torch.rad2deg(torch.atan2(rows, columns))
    assert 18 < angles.max() <= 20.1 and -20.1 <= angles.min() < -18
    torch.testing.assert_close((rows**2 + columns**2).sqrt(), torch.full((500,), 10.0), atol=0.05, rtol=0)


def test_shear_shifts_rows_in_opposite_directions():
    sheared = RandomViews(**IDENTITY | {"shear": 0.3})(blob(row=6) + blob(row=26), generator())
    top, bottom = centre(sheared[:, :, :16])[1], centre(sheared[:, :, 17:])[1]
    assert (top - bottom).abs().max() > 4
    torch.testing.assert_close(top + bottom, torch.full((500,), 32.0), atol=0.2, rtol=0)


def test_positions_outside_repeat_the_border():
    x = torch.ones(50, 1, 8, 8)
    torch.testing.assert_close(RandomViews(shift=0.3, scale=1.5, rotation=30.0)(x, generator()), x)


def test_views_depend_on_the_generator_only():
    x, view = torch.randn(6, 3, 8, 8), RandomViews()
    first, again, other = (view(x, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    # Maps may be drawn for a larger batch than is transformed.
    assert torch.equal(first, view.transform(x, view.draw(6, generator())))


@pytest.mark.parametrize("mirror", [True, False])
def test_half_of_the_views_are_mirrored_on_request(mirror):
    x = blob(row=6, column=26, n=400)
    views = RandomViews(**IDENTITY, mirror=mirror)(x, generator())
    mirrored = centre(views)[1] < 16
    assert 0.4 < mirrored.double().mean() < 0.6 if mirror else not mirrored.any()
    torch.testing.assert_close(views, flip(x, mirrored), atol=1e-5, rtol=0)
