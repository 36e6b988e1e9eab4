import pytest
import torch

from dmzrep.networks._conditioning import CONDITIONINGS
from dmzrep.networks._normalization import normalise
from dmzrep.networks._unet import UNet

LATENT_DIM = 5


def make(conditioning="bias", widths=(8, 16), channels=2, out_channels=2, **options):
    options = {"attention_levels": (len(widths) - 1,), "image_size": (8, 8)} | options
    return UNet(channels, out_channels, LATENT_DIM, widths, conditioning=conditioning, **options)


def inputs(n=2, channels=2, height=8, width=8):
    return torch.randn(n, channels, height, width), torch.rand(n) * 999, torch.rand(n, LATENT_DIM).round()


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
@pytest.mark.parametrize(
    ("height", "width", "patch_size", "widths"),
    [
        (8, 8, 1, (8,)),
        (9, 13, 1, (8, 8)),
        (9, 13, 2, (8, 8, 8)),
        (28, 28, 2, (8, 16, 8)),
        (11, 8, 4, (8, 8)),
        (17, 31, 3, (8, 8)),
    ],
)
def test_images_of_any_size_keep_their_size(randomise, conditioning, height, width, patch_size, widths):
    unet = randomise(make(conditioning, widths, patch_size=patch_size, image_size=(height, width)))
    out = unet(*inputs(height=height, width=width))
    assert out.shape == (2, 2, height, width)
    assert torch.isfinite(out).all() and out.std() > 0
    # The last row and column of pixels are not padding.
    assert out[:, :, -1].std() > 0 and out[:, :, :, -1].std() > 0


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
@pytest.mark.parametrize("depth", [(1, 1), (1, 2), (2, 2)])
def test_the_initial_prediction_is_zero(conditioning, depth):
    out = make(conditioning, depth=depth)(*inputs())
    assert torch.equal(out, torch.zeros_like(out))


@pytest.mark.parametrize("code_input", ["signed", "one_hot"])
@pytest.mark.parametrize("conditioning", ["bias", "spatial_bias", "cross_attention", "adagn", "timestep"])
def test_each_bit_changes_the_prediction_of_its_sample_only(randomise, conditioning, code_input):
    unet = randomise(make(conditioning, code_input=code_input)).eval()
    x, t, z = inputs()
    before = unet(x, t, z)
    for bit in range(LATENT_DIM):
        flipped = z.clone()
        flipped[0, bit] = 1.0 - flipped[0, bit]
        change = (unet(x, t, flipped) - before).abs().amax(dim=(1, 2, 3))
        assert change[0] > 1e-5
        assert change[1] < 1e-5


def test_an_unconditional_network_ignores_the_code(randomise):
    unet = randomise(make("none")).eval()
    x, t, z = inputs()
    assert torch.equal(unet(x, t, z), unet(x, t, 1.0 - z))
    assert torch.equal(unet(x, t, z), unet(x, t, None))


@pytest.mark.parametrize("depth", [(1, 1), (1, 2), (2, 2), (2, 3)])
@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_all_weights_have_gradients_and_time_matters(randomise, conditioning, depth):
    unet = randomise(make(conditioning, (8, 16, 24), depth=depth, attention_levels=(0, 2)))
    assert [len(stages) for stages in unet.down] == [depth[0]] * 3
    assert [len(stages) for stages in unet.up] == [depth[1]] * 3
    x, t, z = inputs()
    out = unet(x, t, z)
    assert (unet(x, t + 100.0, z) - out).abs().max() > 1e-5
    out.square().sum().backward()
    idle = [name for name, p in unet.named_parameters() if p.grad is None or p.grad.abs().max() == 0]
    assert idle == []


def test_a_bias_is_the_same_at_all_positions(randomise, monkeypatch):
    unet = randomise(make("bias", (8,), attention_levels=()))
    x, t, z = torch.zeros(1, 2, 9, 9), torch.zeros(1), torch.rand(1, LATENT_DIM)
    captured = []

    def spy(norm, h, **options):
        captured.append(h)
        return normalise(norm, h, **options)

    unet.up[0][-1]["block"].register_forward_hook(lambda module, args, out: captured.append(out))
    monkeypatch.setattr("dmzrep.networks._unet.normalise", spy)
    unet(x, t, z)
    added = captured[1] - captured[0]
    expected = unet.code_layers(z)[-1][:, :, None, None].expand_as(added)
    torch.testing.assert_close(added, expected, atol=1e-5, rtol=1e-4)


def test_a_spatial_bias_varies_at_the_coarsest_level_only(randomise):
    unet = randomise(make("spatial_bias", (8, 16), attention_levels=()))
    terms = unet.code_layers(torch.rand(3, LATENT_DIM))
    # Down, down, middle, up, up: the coarsest level is 4 x 4.
    assert [tuple(term.shape[1:]) for term in terms] == [(8, 1, 1), *3 * [(16, 4, 4)], (8, 1, 1)]
    assert all(term.std(dim=(2, 3)).min() > 0 for term in terms[1:4])


def test_a_spatial_bias_needs_the_size_of_the_images():
    with pytest.raises(ValueError, match="spatial_bias' needs images of a known size"):
        make("spatial_bias", image_size=None)


def test_dropout_is_active_in_training_only(randomise):
    unet = randomise(make(dropout=0.5))
    arguments = inputs()
    assert not torch.equal(unet(*arguments), unet(*arguments))
    unet.eval()
    assert torch.equal(unet(*arguments), unet(*arguments))


def test_attention_is_at_its_levels_only():
    unet = make("cross_attention", (8, 16, 16), attention_levels=(1,))
    kinds = {level: [set(stage.keys()) for stage in stages] for level, stages in enumerate(unet.down)}
    assert kinds == {0: [{"block"}], 1: [{"block", "attention", "cross_attention"}], 2: [{"block"}]}
