"""The UNet and the multilayer perceptron: conditioning, time and sizes."""

import pytest
import torch

from dmzrep.networks._conditioning import CONDITIONINGS, CodeTokens
from dmzrep.networks._defaults import default_patch_size, default_widths
from dmzrep.networks._mlp import ResidualMLP
from dmzrep.networks._unet import UNet

LATENT_DIM = 5
CASES = [("unet", name) for name in CONDITIONINGS] + [
    ("mlp", name) for name in CONDITIONINGS if name != "spatial_bias"
]


def make_unet(conditioning="bias", widths=(8, 16), **options):
    options = {"attention_levels": (len(widths) - 1,), "image_size": (8, 8)} | options
    return UNet(2, 2, LATENT_DIM, widths, conditioning=conditioning, **options)


def make(kind, conditioning="bias", **options):
    if kind == "unet":
        return make_unet(conditioning, **options)
    return ResidualMLP(7, 7, LATENT_DIM, width=16, depth=2, conditioning=conditioning, **options)


def inputs(kind="unet", n=3, size=(8, 8)):
    shape = (2, *size) if kind == "unet" else (7,)
    return torch.randn(n, *shape), torch.rand(n) * 999, torch.rand(n, LATENT_DIM).round()


def weights_without_gradient(network):
    return [name for name, p in network.named_parameters() if p.grad is None or p.grad.abs().max() == 0]


@pytest.mark.parametrize("shape", [(3, 8, 5000), (3, 1024, 1024), (3, 8192, 8192)], ids=str)
def test_large_images_need_few_weights(shape):
    patch_size = default_patch_size(shape)
    widths = default_widths(shape, patch_size)
    options = {"conditioning": "spatial_bias", "patch_size": patch_size, "image_size": shape[1:]}
    with torch.device("meta"):
        denoiser = UNet(3, 3, 256, widths, **options)
    assert sum(weights.numel() for weights in denoiser.parameters()) < 1.5e7


@pytest.mark.parametrize(("kind", "conditioning"), CASES)
def test_the_initial_prediction_is_zero(kind, conditioning):
    x, t, z = inputs(kind)
    assert torch.equal(make(kind, conditioning)(x, t, z), torch.zeros_like(x))


@pytest.mark.parametrize("code_input", ["signed", "one_hot"])
@pytest.mark.parametrize(("kind", "conditioning"), [case for case in CASES if case[1] != "none"])
def test_each_bit_changes_the_prediction_of_its_sample_only(randomise, kind, conditioning, code_input):
    network = randomise(make(kind, conditioning, code_input=code_input)).eval()
    x, t, z = inputs(kind)
    before = network(x, t, z)
    for bit in range(LATENT_DIM):
        flipped = z.clone()
        flipped[0, bit] = 1.0 - flipped[0, bit]
        change = (network(x, t, flipped) - before).abs().flatten(1).amax(dim=1)
        assert change[0] > 1e-5
        assert change[1:].max() < 1e-5


@pytest.mark.parametrize("kind", ["unet", "mlp"])
def test_an_unconditional_network_ignores_the_code(randomise, kind):
    network = randomise(make(kind, "none")).eval()
    x, t, z = inputs(kind)
    assert torch.equal(network(x, t, z), network(x, t, 1.0 - z))
    assert torch.equal(network(x, t, z), network(x, t, None))


@pytest.mark.parametrize("depth", [(1, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize(("kind", "conditioning"), CASES)
def test_all_weights_have_gradients_and_time_matters(randomise, kind, conditioning, depth):
    options = {"widths": (8, 16, 24), "depth": depth, "attention_levels": (0, 2)} if kind == "unet" else {}
    network = randomise(make(kind, conditioning, **options))
    x, t, z = inputs(kind)
    out = network(x, t, z)
    assert (network(x, t + 100.0, z) - out).abs().max() > 1e-5
    out.square().sum().backward()
    assert weights_without_gradient(network) == []


@pytest.mark.parametrize("kind", ["unet", "mlp"])
def test_dropout_is_active_in_training_only(randomise, kind):
    network = randomise(make(kind, dropout=0.5))
    arguments = inputs(kind)
    assert not torch.equal(network(*arguments), network(*arguments))
    network.eval()
    assert torch.equal(network(*arguments), network(*arguments))


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
@pytest.mark.parametrize(
    ("size", "patch_size", "widths"),
    [
        ((9, 13), 1, (8, 8)),
        ((9, 13), 2, (8, 8, 8)),
        ((11, 8), 4, (8, 8)),
        ((17, 31), 3, (8, 8)),
    ],
)
def test_images_of_any_size_keep_their_size(randomise, conditioning, size, patch_size, widths):
    unet = randomise(make_unet(conditioning, widths, patch_size=patch_size, image_size=size))
    out = unet(*inputs(size=size))
    assert out.shape == (3, 2, *size)
    assert torch.isfinite(out).all() and out.std() > 0
    # The last row and column of pixels are not padding.
    assert out[:, :, -1].std() > 0 and out[:, :, :, -1].std() > 0


def test_a_spatial_bias_varies_at_the_coarsest_level_and_in_the_last_block_of_others(randomise):
    unet = randomise(make_unet("spatial_bias", (8, 16), attention_levels=()))
    terms = unet.code_layers(torch.rand(3, LATENT_DIM))
    # Down, down, middle, up, up: the coarsest level is 4 x 4.
    assert [tuple(term.shape[1:]) for term in terms] == [(8, 1, 1), *3 * [(16, 4, 4)], (8, 8, 8)]
    assert all(term.std(dim=(2, 3)).min() > 0 for term in terms[1:])
    with pytest.raises(ValueError, match="spatial_bias' needs images of a known size"):
        make_unet("spatial_bias", image_size=None)


@pytest.mark.parametrize(
    ("latent_dim", "n_tokens", "group"), [(1, 1, 1), (64, 64, 1), (65, 33, 2), (130, 44, 3)]
)
def test_bits_are_grouped_in_order_into_at_most_64_tokens(latent_dim, n_tokens, group):
    code = CodeTokens(latent_dim, 5)
    z = torch.rand(2, latent_dim)
    tokens = code(z)
    assert tokens.shape == (2, n_tokens, 5)
    embedded = (1 - z[:, :, None]) * code.embedding[0] + z[:, :, None] * code.embedding[1]
    for token, bits in zip(tokens.unbind(1), embedded.split(group, dim=1), strict=True):
        torch.testing.assert_close(token, bits.sum(dim=1))
