import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep.networks._encoders import ConvEncoder
from dmzrep.networks._linear_init import LinearInit
from dmzrep.training.init._linear import (
    init_contrast_pca,
    init_linear,
    itq_rotation,
    principal_directions,
)

quick = settings(deadline=None, max_examples=8)
any_seed = st.integers(0, 2**31)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def draw_features(seed, n=300, n_features=20):
    """Correlated, off-centre rows with clearly different spreads along their axes."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]
    rows = rng.normal(size=(n, n_features)) * np.geomspace(3.0, 0.1, n_features) @ axes
    return torch.from_numpy(rows + rng.normal(size=n_features)).float()


def slow_itq(rows, directions, start):
    """Gong and Lazebnik's alternation, written out."""
    projected = (rows - rows.mean(axis=0)) @ directions.T
    rotation = np.linalg.qr(start)[0]
    for _ in range(50):
        codes = np.where(projected @ rotation > 0, 1.0, -1.0)
        # Orthogonal Procrustes: the R that brings V R closest to the codes.
        left, _, right = np.linalg.svd(codes.T @ projected)
        rotation = (left @ right).T
    return projected @ rotation


@quick
@given(seed=any_seed)
def test_directions_are_those_of_the_largest_variance(seed):
    features = draw_features(seed)
    directions = principal_directions(features, 5, generator(seed)).numpy()
    np.testing.assert_allclose(directions @ directions.T, np.eye(5), atol=1e-9)
    centred = features.double().numpy()
    centred = centred - centred.mean(axis=0)
    _, singular, right = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs((directions * right[:5]).sum(axis=1)), 1.0, atol=1e-6)
    spreads = (centred @ directions.T).std(axis=0)
    np.testing.assert_allclose(spreads, singular[:5] / len(centred) ** 0.5, rtol=1e-6)


@pytest.mark.parametrize(("n_features", "rank", "n_bits"), [(4, 4, 9), (20, 3, 8), (6, 0, 3)])
def test_random_directions_fill_up_where_data_have_fewer(n_features, rank, n_bits):
    rows = torch.randn(50, rank) @ torch.randn(rank, n_features) + 1.0
    directions = principal_directions(rows, n_bits, generator(0))
    assert directions.shape == (n_bits, n_features)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(n_bits, dtype=torch.float64))
    leading = directions[:rank]
    residual = (rows - rows.mean(dim=0)).double()
    residual = residual - residual @ leading.T @ leading
    assert residual.abs().max() < 1e-4
    assert torch.linalg.matrix_rank(directions[rank:]) == min(n_bits - rank, n_features)


@quick
@given(seed=any_seed)
def test_the_rotation_is_one_and_brings_projections_closer_to_their_signs(seed):
    features = draw_features(seed).double()
    centred = features - features.mean(dim=0)
    projected = centred @ principal_directions(features, 6, generator(seed)).T

    def distance(rotation):
        rotated = projected @ rotation
        return (rotated - rotated.sign()).square().mean().item()

    found = itq_rotation(projected, generator(seed))
    torch.testing.assert_close(found @ found.T, torch.eye(6, dtype=torch.float64))
    distances = [distance(itq_rotation(projected, generator(seed), n)) for n in (0, 1, 5, 50)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < distances[0]


@quick
@given(seed=any_seed, n_bits=st.integers(1, 8))
def test_itq_gives_the_codes_of_a_slow_oracle_and_sure_logits(seed, n_bits):
    rows = draw_features(seed)
    start = LinearInit((20,), n_bits)
    init_linear(start, rows, "itq", generator(seed))
    logits = start(rows).detach().double().numpy()
    np.testing.assert_allclose(np.abs(logits).mean(axis=0), 3.0, rtol=1e-3)
    # The signs of principal directions are free: the oracle takes those of the package.
    directions = principal_directions(rows, n_bits, generator(seed)).numpy()
    drawn = torch.randn(n_bits, n_bits, generator=generator(seed), dtype=torch.float64).numpy()
    expected = slow_itq(rows.double().numpy(), directions, drawn)
    sure = np.abs(logits) > 1e-3
    assert sure.mean() > 0.99
    assert np.array_equal((logits > 0)[sure], (expected > 0)[sure])


@quick
@given(seed=any_seed)
def test_pca_gives_the_signs_of_principal_components(seed):
    rows = draw_features(seed)
    start = LinearInit((20,), 4)
    init_linear(start, rows, "pca", generator(seed))
    logits = start(rows).detach().double().numpy()
    centred = rows.double().numpy() - rows.double().numpy().mean(axis=0)
    _, _, right = np.linalg.svd(centred, full_matrices=False)
    projected = centred @ right[:4].T
    np.testing.assert_allclose(np.abs(logits).mean(axis=0), 3.0, rtol=1e-3)
    correlations = [np.corrcoef(logits[:, i], projected[:, i])[0, 1] for i in range(4)]
    np.testing.assert_allclose(np.abs(correlations), 1.0, atol=1e-5)


@pytest.mark.parametrize("kind", ["itq", "pca"])
def test_prefixes_of_an_ordered_start_keep_the_leading_directions(kind):
    rows = draw_features(3)
    start = LinearInit((20,), 12)
    init_linear(start, rows, kind, generator(0), stages=[4, 8, 12])
    leading = principal_directions(rows, 12, generator(0)).float()
    for end in (4, 8, 12):
        weight = start.linear.weight[:end].detach()
        # Every row of a prefix lies in the span of as many principal directions.
        inside = weight @ leading[:end].T @ leading[:end]
        torch.testing.assert_close(inside, weight, atol=1e-4, rtol=1e-4)
    if kind == "itq":
        whole = LinearInit((20,), 12)
        init_linear(whole, rows, kind, generator(0))
        weight = whole.linear.weight[:4].detach()
        assert (weight @ leading[:4].T @ leading[:4] - weight).abs().max() > 0.1


def test_bits_of_the_start_are_balanced_about_the_mean_of_the_data():
    rows = draw_features(1)
    start = LinearInit((20,), 6)
    init_linear(start, rows, "itq", generator(0))
    np.testing.assert_allclose(start(rows).detach().mean(dim=0), 0.0, atol=1e-3)


@pytest.mark.parametrize("kind", ["itq", "pca"])
def test_constant_data_and_more_bits_than_features_give_finite_weights(kind):
    for rows in (torch.ones(10, 5), torch.randn(40, 5), torch.randn(2, 5)):
        start = LinearInit((5,), 12)
        init_linear(start, rows, kind, generator(0))
        assert torch.isfinite(start(rows)).all()


def test_an_encoders_first_logits_are_those_of_its_start():
    encoder = ConvEncoder((3, 40, 40), 6, width=4, init_features="values").eval()
    x = torch.rand(60, 3, 40, 40) * 2 - 1 + torch.randn(60, 3, 1, 1)
    init_linear(encoder.linear_init, x, "itq", generator(0))
    logits = encoder(x)
    np.testing.assert_allclose(logits.detach().abs().mean(dim=0), 3.0, rtol=1e-2)


def test_the_layout_start_gives_components_of_the_contrast_from_the_mean_image():
    start = LinearInit((1, 8, 8), 6, "contrast")
    x = torch.rand(300, 1, 8, 8, generator=generator(0)) * torch.linspace(0.1, 1.0, 8)
    init_contrast_pca(start, x, generator(0))
    torch.testing.assert_close(start.contrast.centre, x.mean(dim=0))
    logits = start(x).detach()
    np.testing.assert_allclose(logits.mean(dim=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(logits.abs().mean(dim=0), 3.0, rtol=1e-3)
    np.testing.assert_allclose(np.corrcoef(logits.T), np.eye(6), atol=1e-3)


def test_images_that_do_not_differ_give_finite_weights_of_the_layout_start():
    start = LinearInit((3, 50, 40), 6, "contrast")
    init_contrast_pca(start, torch.ones(5, 3, 50, 40), generator(0))
    assert torch.isfinite(start(torch.rand(2, 3, 50, 40))).all()


def test_the_generator_decides_the_start():
    rows = draw_features(2)
    starts = [LinearInit((20,), 6) for _ in range(3)]
    for start, seed in zip(starts, (1, 1, 2), strict=True):
        init_linear(start, rows, "itq", generator(seed))
    assert torch.equal(starts[0].linear.weight, starts[1].linear.weight)
    assert not torch.equal(starts[0].linear.weight, starts[2].linear.weight)
