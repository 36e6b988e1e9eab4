import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from dmzrep.networks._linear_init import LinearInit
from dmzrep.training import init_linear
from dmzrep.training.init._linear import itq_rotation, principal_directions
from tests.training.trainers import generator

SEEDS = pytest.mark.parametrize("seed", range(5))
KINDS = pytest.mark.parametrize("kind", ["itq", "pca", "scaled_itq"])


def draw_features(seed, n=300, n_features=20):
    """Return correlated, uncentred features with distinct standard deviations along their axes."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]
    X = rng.normal(size=(n, n_features)) * np.geomspace(3.0, 0.1, n_features) @ axes
    return torch.from_numpy(X + rng.normal(size=n_features)).float()


def fit_linear(X, n_bits, kind, seed=0, **options):
    branch = LinearInit((X.shape[1],), n_bits)
    init_linear(branch, X, kind, generator(seed), **options)
    return branch


def reference_itq(X, directions, initial):
    """Return codes by the alternation of Gong and Lazebnik."""
    projected = (X - X.mean(axis=0)) @ directions.T
    rotation = np.linalg.qr(initial)[0]
    for _ in range(50):
        codes = np.where(projected @ rotation > 0, 1.0, -1.0)
        # Orthogonal Procrustes: the R that brings V R closest to the codes.
        left, _, right = np.linalg.svd(codes.T @ projected)
        rotation = (left @ right).T
    return projected @ rotation


@pytest.mark.parametrize(("n_features", "rank", "n_bits"), [(4, 4, 9), (20, 3, 8), (6, 0, 3)])
def test_random_directions_complete_those_of_low_rank_data(n_features, rank, n_bits):
    X = torch.randn(50, rank) @ torch.randn(rank, n_features) + 1.0
    directions = principal_directions(X, n_bits, generator())
    assert directions.shape == (n_bits, n_features)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(n_bits, dtype=torch.float64))
    centred, leading = (X - X.mean(dim=0)).double(), directions[:rank]
    assert (centred - centred @ leading.T @ leading).abs().max() < 1e-4
    assert torch.linalg.matrix_rank(directions[rank:]) == min(n_bits - rank, n_features)


@pytest.mark.parametrize("n_bits", [1, 5, 8])
@SEEDS
def test_itq_matches_a_reference_implementation(seed, n_bits):
    X = draw_features(seed)
    logits = fit_linear(X, n_bits, "itq", seed)(X).detach().double().numpy()
    np.testing.assert_allclose(np.abs(logits).mean(axis=0), 3.0, rtol=1e-3)
    np.testing.assert_allclose(logits.mean(axis=0), 0.0, atol=1e-3)
    # The signs of principal directions are arbitrary: the reference uses those of the package.
    directions = principal_directions(X, n_bits, generator(seed)).numpy()
    initial = torch.randn(n_bits, n_bits, generator=generator(seed), dtype=torch.float64).numpy()
    expected = reference_itq(X.double().numpy(), directions, initial)
    certain = np.abs(logits) > 1e-3
    assert certain.mean() > 0.99
    assert np.array_equal((logits > 0)[certain], (expected > 0)[certain])


@pytest.mark.parametrize("n_bits", [4, 16])
def test_rotations_without_time_are_nearly_as_close_to_signs_as_those_with_time(n_bits):
    def error(**options):
        rotated = projected @ itq_rotation(projected, generator(), **options)
        return float((rotated - rotated.sign()).square().mean())

    # Skewed projections, for which rotations differ.
    projected = torch.randn(2000, n_bits, generator=generator(1), dtype=torch.float64).sinh() * 0.5
    converged, random = error(), error(n_iterations=0)
    assert converged < 0.97 * random
    assert error(time_left=lambda: 0.0) - converged < 0.1 * (random - converged)


@SEEDS
def test_pca_logits_are_scaled_principal_components(seed):
    X = draw_features(seed)
    logits = fit_linear(X, 4, "pca")(X).detach().double().numpy()
    projected = PCA(4).fit_transform(X.double().numpy())
    np.testing.assert_allclose(np.abs(logits).mean(axis=0), 3.0, rtol=1e-3)
    correlations = [np.corrcoef(logits[:, i], projected[:, i])[0, 1] for i in range(4)]
    np.testing.assert_allclose(np.abs(correlations), 1.0, atol=1e-5)


@KINDS
def test_prefixes_of_an_ordered_code_are_in_the_span_of_the_leading_directions(kind):
    X = draw_features(3)
    leading = principal_directions(X, 12, generator()).float()

    def residual(weight, end):
        return (weight[:end] @ leading[:end].T @ leading[:end] - weight[:end]).abs().max()

    ordered = fit_linear(X, 12, kind, stages=[4, 8, 12]).linear.weight
    assert all(residual(ordered, end) < 1e-3 for end in (4, 8, 12))
    if kind == "itq":
        assert residual(fit_linear(X, 12, kind).linear.weight, 4) > 0.1


@SEEDS
def test_all_bits_of_an_ordered_code_retain_nearly_as_much_as_those_of_another(seed):
    X = draw_features(seed, 2000)

    def lost(n_bits, used, stages=None):
        bits = (fit_linear(X, n_bits, "itq", seed, stages=stages)(X).detach().numpy() > 0)[:, :used]
        values = X.numpy()
        return np.square(values - LinearRegression().fit(bits, values).predict(bits)).sum()

    stages = [4, 8, 16]
    # With new directions only, 1.4 times as much is lost.
    assert lost(16, 16, stages) < 1.2 * lost(16, 16)
    assert lost(16, 8, stages) < 1.15 * lost(8, 8)
    assert lost(16, 4, stages) < 0.9 * lost(16, 4)


@KINDS
@pytest.mark.parametrize(
    "X",
    [torch.ones(10, 5), torch.eye(5), torch.eye(5)[:2], torch.eye(5)[:1]],
    ids=["constant", "few", "two", "one"],
)
def test_degenerate_data_lead_to_finite_logits(kind, X):
    assert torch.isfinite(fit_linear(X, 12, kind)(X)).all()


def test_scaled_itq_rotates_components_of_the_square_root_of_their_deviations():
    X = draw_features(0)
    logits = fit_linear(X, 6, "scaled_itq")(X).detach().double().numpy()
    components = PCA(6).fit_transform(X.double().numpy())
    scaled = components / components.std(axis=0) ** 0.5
    solution = np.linalg.lstsq(scaled, logits, rcond=None)[0]
    # Logits are the scaled components, rotated, and multiplied by one factor for each bit.
    np.testing.assert_allclose(scaled @ solution, logits, atol=1e-2)
    rotation = solution / np.linalg.norm(solution, axis=0)
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(6), atol=1e-2)


def test_contrast_pca_spans_the_components_of_the_contrast_to_the_mean_image():
    branch = LinearInit((1, 8, 8), 6, "contrast")
    x = torch.rand(300, 1, 8, 8, generator=generator()) * torch.linspace(0.1, 1.0, 8)
    init_linear(branch, x, "scaled_itq", generator())
    torch.testing.assert_close(branch.contrast.centre, x.mean(dim=0))
    logits = branch(x).detach()
    np.testing.assert_allclose(logits.mean(dim=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(logits.abs().mean(dim=0), 3.0, rtol=1e-3)
    leading = principal_directions(branch.features(x), 6, generator()).float()
    weight = branch.linear.weight.detach()
    torch.testing.assert_close(weight @ leading.T @ leading, weight, atol=1e-3, rtol=0)
