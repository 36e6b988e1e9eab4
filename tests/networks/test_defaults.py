import pytest

from dmzrep.networks._defaults import (
    PAPER_RECIPES,
    attention_levels,
    default_objective,
    default_patch_size,
    default_widths,
)
from tests.encoders import make_encoder


@pytest.mark.parametrize(
    ("side", "expected"), [(8, 1), (16, 1), (17, 2), (40, 2), (41, 4), (96, 4), (97, 8), (256, 8)]
)
def test_default_patches_leave_about_16_positions_per_side(side, expected):
    assert default_patch_size((3, side, side)) == default_patch_size((1, 8, side)) == expected


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4])
@pytest.mark.parametrize("side", [8, 16, 17, 32, 40, 41, 64, 96, 97, 128, 256])
def test_default_widths_are_multiples_of_eight_and_end_at_a_small_feature_map(n_channels, side):
    shape = (n_channels, side, side)
    patch_size = default_patch_size(shape)
    widths = default_widths(shape, patch_size)
    assert all(width % 8 == 0 for width in widths)
    assert list(widths) == sorted(widths)
    assert side / patch_size / 2 ** (len(widths) - 1) <= 10


@pytest.mark.parametrize(
    ("attention", "shape", "patch_size", "n_levels", "expected"),
    [
        ("auto", (1, 28, 28), 2, 2, ()),
        ("auto", (3, 32, 32), 1, 3, ()),
        ((), (3, 32, 32), 1, 3, ()),
        ((16,), (3, 32, 32), 1, 3, (1,)),
        ((8, 32), (3, 32, 32), 1, 3, (0, 2)),
        ((8, 16), (3, 16, 30), 2, 2, (0, 1)),
        ((15,), (3, 9, 29), 2, 1, (0,)),
    ],
)
def test_attention_levels_have_the_named_sides(attention, shape, patch_size, n_levels, expected):
    assert attention_levels(attention, shape, patch_size, n_levels) == expected


def test_unknown_resolutions_are_refused():
    message = r"names resolutions \[64, 5\].*patch_size=2 and 2 levels it has \[16, 8\]"
    with pytest.raises(ValueError, match=message):
        attention_levels((64, 8, 5), (3, 32, 32), 2, 2)


@pytest.mark.parametrize(
    ("shape", "patch_size", "widths", "expected"),
    [
        ((10,), 1, (256,), "v"),
        ((1, 28, 28), 2, (32, 64), "v"),
        ((3, 64, 64), 4, (64, 64), "sample" if 3 * 16 * 4 > 64 else "v"),
        ((1, 8, 8), 1, (8,), "v"),
        ((3, 8, 8), 1, (8,), "sample"),
        ((4, 8, 8), 1, (16,), "v"),
    ],
)
def test_the_objective_is_sample_for_patches_of_many_values(shape, patch_size, widths, expected):
    assert default_objective(shape, patch_size, widths) == expected


@pytest.mark.parametrize(
    ("name", "side", "latent_dim"), [("cifar10", 32, 16), ("celeba64", 64, 64), ("edges2handbags64", 64, 256)]
)
def test_paper_recipes_suit_their_images(name, side, latent_dim):
    recipe = PAPER_RECIPES[name]
    assert recipe["latent_dim"] == latent_dim
    attention, n_levels = recipe["attention"], len(recipe["width"])
    levels = attention_levels(attention, (3, side, side), recipe["patch_size"], n_levels)
    assert len(levels) == len(attention)
    # The paper's decay per step.
    assert 0.5 ** (recipe["batch_size"] / recipe["ema_half_life"]) == pytest.approx(0.9999, abs=1e-9)
    assert recipe["input_perturbation"] > 0 and recipe["learn_variance"] and recipe["prior"] == "uniform"


def test_paper_recipes_are_valid_parameters():
    from dmzrep import DMZEncoder

    for name, recipe in PAPER_RECIPES.items():
        encoder = make_encoder(**recipe)
        encoder._validate_params()
        assert DMZEncoder.paper(name).get_params() == encoder.get_params()
