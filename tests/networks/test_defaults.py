import pytest

from dmzrep import DMZEncoder
from dmzrep.networks._defaults import (
    PAPER_RECIPES,
    attention_levels,
    default_objective,
    default_patch_size,
    default_widths,
)
from tests.encoders import make_encoder


@pytest.mark.parametrize(
    ("shape", "patch_size", "widths"),
    [
        ((1, 8, 8), 1, (32, 64)),
        ((1, 28, 28), 2, (32, 64)),
        ((1, 41, 41), 4, (32, 64)),
        ((3, 64, 64), 4, (64, 64)),
        ((3, 8, 96), 4, (64, 64, 64)),
        ((3, 8, 5000), 8, (64, 64, 64)),
        ((3, 512, 512), 8, (64,) * 4),
    ],
    ids=str,
)
def test_default_patch_size_and_widths(shape, patch_size, widths):
    assert default_patch_size(shape) == patch_size
    assert default_widths(shape, patch_size) == widths


@pytest.mark.parametrize(
    ("attention", "shape", "patch_size", "n_levels", "expected"),
    [
        ("auto", (3, 32, 32), 1, 3, ()),
        ((16,), (3, 32, 32), 1, 3, (1,)),
        ((8, 16), (3, 16, 30), 2, 2, (0, 1)),
        ((15,), (3, 9, 29), 2, 1, (0,)),
    ],
)
def test_attention_levels_have_the_named_sides(attention, shape, patch_size, n_levels, expected):
    assert attention_levels(attention, shape, patch_size, n_levels) == expected
    with pytest.raises(ValueError, match=rf"names resolutions \[3\].* and {n_levels} levels it has"):
        attention_levels((3,), shape, patch_size, n_levels)


@pytest.mark.parametrize(
    ("name", "side", "latent_dim"), [("cifar10", 32, 16), ("celeba64", 64, 64), ("edges2handbags64", 64, 256)]
)
def test_paper_recipes_are_valid_for_their_images(name, side, latent_dim):
    recipe = PAPER_RECIPES[name]
    assert recipe["latent_dim"] == latent_dim
    attention, n_levels = recipe["attention"], len(recipe["width"])
    levels = attention_levels(attention, (3, side, side), recipe["patch_size"], n_levels)
    assert len(levels) == len(attention)
    # The paper's decay per step.
    assert 0.5 ** (recipe["batch_size"] / recipe["ema_half_life"]) == pytest.approx(0.9999, abs=1e-9)
    assert recipe["input_perturbation"] > 0 and recipe["learn_variance"] and recipe["prior"] == "uniform"
    encoder = make_encoder(**recipe)
    encoder._validate_params()
    assert DMZEncoder.paper(name).get_params() == encoder.get_params()


@pytest.mark.parametrize(
    ("shape", "patch_size", "widths", "expected"),
    [
        ((10,), 1, (256,), "v"),
        ((1, 28, 28), 2, (32, 64), "v"),
        ((3, 64, 64), 4, (64, 64), "sample"),
        ((3, 8, 8), 1, (8,), "sample"),
    ],
)
def test_the_objective_is_sample_for_patches_of_many_values(shape, patch_size, widths, expected):
    assert default_objective(shape, patch_size, widths) == expected
