import pytest
import torch

from dmzrep.datasets import make_sprites
from dmzrep.networks._linear_init import LinearInit
from dmzrep.training import RandomViews, init_cca, init_linear
from dmzrep.training.init._cca import ViewCovariances, common_directions, scaled_by_correlation
from dmzrep.training.init._linear import MEAN_LOGIT
from tests.training.trainers import generator

VIEW = RandomViews()


@pytest.fixture(scope="module")
def images():
    sprites = make_sprites(3000, random_state=0).images
    return torch.from_numpy(sprites).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def test_common_directions_recover_what_two_views_share():
    draws = generator()
    shared = torch.randn(4000, 2, generator=draws)
    mixing, _ = torch.linalg.qr(torch.randn(5, 5, generator=draws))
    first, second = (
        torch.cat([shared, 3.0 * torch.randn(4000, 3, generator=draws)], dim=1) @ mixing for _ in range(2)
    )
    covariances = ViewCovariances(first.mean(dim=0))
    for views in zip(first.split(900), second.split(900), strict=True):
        covariances.update(*views)
    directions = common_directions(*covariances.within_and_between(), covariances.n, 2, draws).float()
    projected = first @ directions
    solution = torch.linalg.lstsq(projected, shared).solution
    assert (projected @ solution - shared).square().mean() < 0.02
    for a, b in zip(projected.T, (second @ directions).T, strict=True):
        assert torch.corrcoef(torch.stack([a, b]))[0, 1] > 0.98


def test_projections_have_the_square_of_their_correlation_as_deviation():
    draws = generator()
    shared, noise = torch.randn(20_000, 2, generator=draws), torch.tensor([0.5, 2.0])
    first, second = (shared + noise * torch.randn(20_000, 2, generator=draws) for _ in range(2))
    covariances = ViewCovariances(first.mean(dim=0))
    covariances.update(first, second)
    directions = scaled_by_correlation(*covariances.within_and_between(), 7.0 * torch.eye(2).double())
    deviations = (first.double() @ directions).std(dim=0)
    correlations = 1.0 / (1.0 + noise.double() ** 2)
    torch.testing.assert_close(deviations, correlations**2, rtol=0.03, atol=0.0)


def agreement(branch, images):
    """Return for each bit the fraction of samples whose two augmented views agree on it."""
    first, second = (branch(VIEW(images, generator(seed))) > 0 for seed in (1, 2))
    return (first == second).double().mean(dim=0)


@pytest.mark.parametrize("stages", [None, [4, 16]], ids=["plain", "ordered"])
def test_initial_codes_agree_more_between_augmented_views_than_those_of_itq(images, stages):
    gains = []
    for seed in range(2):
        cca = LinearInit((3, 32, 32), 16, "responses", n_filters=32)
        itq = LinearInit((3, 32, 32), 16)
        init_cca(cca, images[:2000], VIEW, generator(seed), stages)
        init_linear(itq, images[:2000], "itq", generator(seed))
        of_bits = agreement(cca, images[2000:])
        gains.append(of_bits.mean() - agreement(itq, images[2000:]).mean())
        if stages:
            assert of_bits[:4].mean() > of_bits[4:].mean() + 0.03
        logits = cca(images)
        torch.testing.assert_close(logits.abs().mean(dim=0), torch.full((16,), MEAN_LOGIT), atol=0.3, rtol=0)
        assert ((logits > 0).double().mean(dim=0) - 0.5).abs().max() < 0.35
    # The standard deviation between seeds is 0.007.
    assert torch.stack(gains).mean() > 0.025


@pytest.mark.parametrize(
    "x", [torch.zeros(50, 1, 8, 8), torch.ones(2, 1, 8, 8).cumsum(-1)], ids=["zeros", "two"]
)
def test_degenerate_data_lead_to_finite_weights(x):
    branch = LinearInit((1, 8, 8), 200, "responses", n_filters=4)
    init_cca(branch, x, VIEW, generator())
    assert all(torch.isfinite(p).all() for p in branch.parameters())


def test_every_bit_varies_with_more_bits_than_features():
    branch = LinearInit((1, 8, 8), 200, "responses", n_filters=4)  # 136 features.
    x = torch.rand(300, 1, 8, 8, generator=generator()) * 2 - 1
    init_cca(branch, x, VIEW, generator())
    assert (branch(x) > 0).double().std(dim=0).min() > 0
