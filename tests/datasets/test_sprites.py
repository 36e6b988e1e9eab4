"""Sprites: pixels agree with their generating factors."""

import numpy as np
import pytest

from dmzrep.datasets import make_sprites
from dmzrep.datasets._sprites import BACKGROUND, COLOURS, RANGES, SHAPES


@pytest.fixture(scope="module")
def sprites():
    return make_sprites(300, side=64, random_state=0)


def ink(images):
    """Coverage of each pixel by the shape, 0 to 1, from the colour channel that differs most."""
    away = np.abs(images.astype(float) - BACKGROUND).max(axis=-1)
    return away / away.max(axis=(1, 2), keepdims=True)


def test_shapes_and_dtypes(sprites):
    assert sprites.images.shape == (300, 64, 64, 3)
    assert sprites.images.dtype == np.uint8
    assert sprites.factors.columns.tolist() == ["shape", "colour", *RANGES]
    assert sprites.factors["shape"].cat.categories.tolist() == list(SHAPES)
    assert set(np.unique(sprites.attributes)) == {0, 1}
    assert "dark background" in sprites.DESCR
    X, Y = make_sprites(300, side=64, return_X_y=True, random_state=0)
    assert np.array_equal(X, sprites.images)
    assert Y.equals(sprites.attributes)


def test_shapes_have_the_named_colour(sprites):
    for image, name, cover in zip(
        sprites.images, sprites.factors["colour"], ink(sprites.images), strict=True
    ):
        inside = image[cover == 1.0]
        assert len(inside)
        assert (inside == COLOURS[name]).all()


def test_x_and_y_are_the_centre_of_mass(sprites):
    cover, pixel = ink(sprites.images), (np.arange(64) + 0.5) / 64
    mass = cover.sum(axis=(1, 2))
    # A triangle's centre of mass is the centre of its circle too.
    assert np.abs((cover.sum(axis=1) @ pixel) / mass - sprites.factors["x"]).max() < 0.005
    assert np.abs((cover.sum(axis=2) @ pixel) / mass - sprites.factors["y"]).max() < 0.005


def test_size_determines_the_area(sprites):
    star = 10 * 0.5 * 0.45 * np.sin(np.pi / 5)
    unit = {"ellipse": 0.6 * np.pi, "square": 2.0, "triangle": 0.75 * np.sqrt(3), "star": star}
    area = sprites.factors["shape"].map(unit).astype(float) * (64 * sprites.factors["size"]) ** 2
    assert np.abs(ink(sprites.images).sum(axis=(1, 2)) / area - 1.0).max() < 0.04


def test_rotation_is_clockwise(sprites):
    wide = (sprites.factors["shape"] == "ellipse").to_numpy()
    cover, pixel = ink(sprites.images[wide]), (np.arange(64) + 0.5) / 64
    factors = sprites.factors[wide]
    across = pixel[None, None, :] - factors["x"].to_numpy()[:, None, None]
    down = pixel[None, :, None] - factors["y"].to_numpy()[:, None, None]
    xx, yy, xy = ((cover * moment).sum(axis=(1, 2)) for moment in (across**2, down**2, across * down))
    angle = np.rad2deg(0.5 * np.arctan2(2 * xy, xx - yy))  # Of the long axis; y points down.
    assert np.abs(angle - factors["rotation"]).max() < 1.0


def test_attributes_follow_from_the_factors(sprites):
    factors, attributes = sprites.factors, sprites.attributes
    assert (attributes[list(SHAPES)].sum(axis=1) == 1).all()
    assert (attributes[list(COLOURS)].sum(axis=1) == 1).all()
    assert (attributes["warm"] == attributes[["red", "orange", "yellow"]].sum(axis=1)).all()
    assert attributes["right"].astype(bool).equals(factors["x"] > 0.5)
    assert attributes["clockwise"].astype(bool).equals(factors["rotation"] > 0)


def test_first_images_do_not_depend_on_n_samples_or_side(sprites):
    few = make_sprites(5, side=64, random_state=0)
    assert np.array_equal(few.images, sprites.images[:5])
    small = make_sprites(300, side=32, random_state=0)
    assert small.factors.equals(sprites.factors)
    means = sprites.images.reshape(300, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert np.abs(means - small.images).mean() < 1.0


def test_seeds_differ_and_the_global_generator_is_unchanged(sprites):
    before = np.random.get_state()[1].copy()
    assert not np.array_equal(make_sprites(5, random_state=1).images, make_sprites(5, random_state=2).images)
    assert np.array_equal(np.random.get_state()[1], before)
