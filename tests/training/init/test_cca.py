import pytest
import torch
from torch import nn

from dmzrep.datasets import make_sprites
from dmzrep.networks._linear_init import LinearInit
from dmzrep.training._augmentation import RandomAffine
from dmzrep.training.init._cca import common_directions, init_cca, whitened_patches
from dmzrep.training.init._linear import MEAN_LOGIT, init_linear

VIEW = RandomAffine()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def images():
    sprites = make_sprites(2200, random_state=0).images
    return torch.from_numpy(sprites).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def test_directions_find_what_two_views_share():
    draws = generator()
    shared = torch.randn(4000, 2, generator=draws)
    mixing, _ = torch.linalg.qr(torch.randn(5, 5, generator=draws))
    first, second = (
        torch.cat([shared, 3.0 * torch.randn(4000, 3, generator=draws)], dim=1) @ mixing for _ in range(2)
    )
    directions = common_directions(first, second, 2).float()
    projected = first @ directions
    # Both shared coordinates can be read off the two projections, and the views' own noise is gone.
    solution = torch.linalg.lstsq(projected, shared).solution
    assert (projected @ solution - shared).square().mean() < 0.02
    pairs = [torch.stack([(v @ directions)[:, i] for v in (first, second)]) for i in range(2)]
    correlations = [torch.corrcoef(pair)[0, 1] for pair in pairs]
    assert min(correlations) > 0.98


def test_projections_of_the_views_have_unit_variance():
    mixing = torch.linalg.qr(torch.randn(6, 6, generator=generator()))[0] * 3.0
    first, second = (torch.randn(5000, 6, generator=generator(i)) @ mixing for i in (1, 2))
    both = torch.cat([first, second]) @ common_directions(first, second, 4).float()
    torch.testing.assert_close(both.var(dim=0), torch.ones(4), atol=0.05, rtol=0)


@pytest.mark.parametrize("n_samples", [5, 30])
def test_fewer_samples_than_features_still_give_finite_directions(n_samples):
    first, second = torch.randn(n_samples, 40), torch.randn(n_samples, 40)
    directions = common_directions(first - first.mean(0), second - second.mean(0), 10)
    assert directions.shape == (40, 10) and torch.isfinite(directions).all()


def test_filters_are_patches_of_mean_zero_and_unit_length(images):
    weight = whitened_patches(images, nn.Conv2d(3, 16, 5), generator())
    assert weight.shape == (16, 3, 5, 5)
    torch.testing.assert_close(weight.mean(dim=(1, 2, 3)), torch.zeros(16), atol=1e-6, rtol=0)
    torch.testing.assert_close(weight.flatten(1).norm(dim=1), torch.ones(16))


def agreement(start, images):
    """Share of bits that two moved copies of an image have in common."""
    first, second = (start(VIEW(images, generator(seed))) > 0 for seed in (1, 2))
    return (first == second).double().mean().item()


def test_first_codes_of_moved_copies_agree_more_than_those_of_itq(images):
    views, itq = LinearInit((3, 32, 32), 16, "responses", n_filters=32), LinearInit((3, 32, 32), 16)
    init_cca(views, images[:2000], VIEW, generator())
    init_linear(itq, images[:2000], "itq", generator())
    assert agreement(views, images[2000:]) > agreement(itq, images[2000:]) + 0.03
    logits = views(images)
    torch.testing.assert_close(logits.abs().mean(dim=0), torch.full((16,), MEAN_LOGIT), atol=0.3, rtol=0)
    assert ((logits > 0).double().mean(dim=0) - 0.5).abs().max() < 0.35


def test_the_first_bits_of_an_ordered_start_agree_most_between_moved_copies(images):
    start = LinearInit((3, 32, 32), 16, "responses", n_filters=32)
    init_cca(start, images[:2000], VIEW, generator(), stages=[4, 16])
    first, second = (start(VIEW(images[2000:], generator(seed))).detach() for seed in (1, 2))
    agreement = ((first > 0) == (second > 0)).double().mean(dim=0)
    assert agreement[:4].mean() > agreement[4:].mean() + 0.03


def test_the_generator_decides(images):
    starts = [LinearInit((3, 32, 32), 8, "responses", n_filters=8) for _ in range(3)]
    for start, seed in zip(starts, (0, 0, 1), strict=True):
        init_cca(start, images[:200], VIEW, generator(seed))
    first, again, other = (start.linear.weight for start in starts)
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("kind", ["constant", "few"])
def test_poor_data_give_finite_weights(images, kind):
    x = torch.zeros(50, 1, 8, 8) if kind == "constant" else torch.randn(2, 1, 8, 8)
    start = LinearInit((1, 8, 8), 200, "responses", n_filters=4)
    init_cca(start, x, VIEW, generator())
    assert all(torch.isfinite(p).all() for p in start.parameters())


def test_more_bits_than_features_are_filled_up(images):
    start = LinearInit((1, 8, 8), 200, "responses", n_filters=4)  # 136 features.
    x = torch.rand(300, 1, 8, 8, generator=generator()) * 2 - 1
    init_cca(start, x, VIEW, generator())
    assert (start(x) > 0).double().std(dim=0).min() > 0
