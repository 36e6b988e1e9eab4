import numpy as np
import pytest
import torch
from torch import nn

from dmzrep.networks._encoders import BitHead, ConvEncoder, MLPEncoder
from dmzrep.networks._linear_init import LinearStart


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("shape", "latent_dim", "expected"), [((3, 32, 32), 16, 422_176), ((3, 64, 64), 64, 1_832_832)]
)
def test_the_papers_encoders_have_as_many_parameters_as_the_authors(shape, latent_dim, expected):
    with torch.device("meta"):
        assert count(ConvEncoder(shape, latent_dim, paired=True)) == expected


@pytest.mark.parametrize(("side", "n_layers"), [(8, 2), (9, 3), (16, 3), (32, 4), (33, 5), (64, 5), (256, 7)])
def test_the_number_of_convolutions_follows_the_larger_side(side, n_layers):
    with torch.device("meta"):
        encoder = ConvEncoder((1, 8, side), 4, width=2)
    assert sum(isinstance(layer, nn.Conv2d) for layer in encoder.modules()) == n_layers


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_residual_convolutions_follow_each_strided_one_and_keep_its_size(depth):
    encoder = ConvEncoder((3, 16, 16), 4, width=8, depth=depth)
    convolutions = [layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d)]
    assert [c.stride[0] for c in convolutions] == [2, *[1] * depth] * 3
    x = torch.randn(2, 3, 16, 16)
    assert encoder.convolutions(x).shape == (2, 32, 2, 2)
    encoder.head(encoder.convolutions(x).flatten(1)).sum().backward()
    assert all(c.weight.grad.abs().max() > 0 for c in convolutions)


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize(
    "shape",
    [
        (1, 8, 8),
        (2, 9, 9),
        (3, 13, 28),
        (4, 31, 8),
        (1, 33, 33),
        (3, 64, 64),
        (1, 100, 75),
        (2, 255, 9),
        (1, 256, 256),
    ],
    ids=str,
)
def test_images_of_any_size_give_one_logit_a_bit(shape, norm):
    encoder = ConvEncoder(shape, 5, width=4 if norm == "group" else 2, norm=norm, start="values")
    features = encoder.convolutions(torch.randn(2, *shape))
    assert max(features.shape[2:]) <= 2
    x = torch.randn(3, *shape)
    assert encoder(x).shape == (3, 5)
    single = encoder.eval()(x[:1])
    assert single.shape == (1, 5) and torch.isfinite(single).all()


@pytest.mark.parametrize(("kind", "shape"), [(ConvEncoder, (1, 8, 8)), (MLPEncoder, (7,))])
def test_in_eval_mode_a_rows_logits_do_not_depend_on_other_rows(kind, shape):
    encoder = kind(shape, 5, width=8)
    x = torch.randn(6, *shape)
    encoder.train()(x)
    encoder.eval()
    torch.testing.assert_close(encoder(x)[2:3], encoder(x[2:3]))


def test_a_paired_head_gives_the_difference_of_its_two_outputs():
    head = BitHead(6, 4, paired=True)
    h = torch.randn(3, 6)
    both = head.linear(h)
    torch.testing.assert_close(head(h), both[:, 4:] - both[:, :4])
    assert count(head) == 2 * count(BitHead(6, 4))


def test_paired_logits_are_the_log_odds_of_a_softmax_over_two_classes():
    head = BitHead(6, 4, paired=True)
    h = torch.randn(3, 6)
    pairs = head.linear(h).view(3, 2, 4).softmax(dim=1)
    torch.testing.assert_close(torch.sigmoid(head(h)), pairs[:, 1])


@pytest.mark.parametrize(
    ("encoder", "shape"),
    [
        (ConvEncoder((2, 8, 9), 5, width=4, start="values"), (2, 8, 9)),
        (MLPEncoder((7,), 5, width=8, start="values"), (7,)),
    ],
    ids=["conv", "mlp"],
)
def test_with_a_linear_start_the_first_logits_are_the_linear_maps_and_both_branches_learn(encoder, shape):
    x = torch.randn(4, *shape)
    torch.testing.assert_close(encoder(x), encoder.start.linear(x.flatten(1)))
    encoder(x).sum().backward()
    assert encoder.start.linear.weight.grad.abs().max() > 0
    assert encoder.head.linear.weight.grad.abs().max() > 0


def test_without_a_linear_start_the_first_logits_differ_between_rows():
    encoder = ConvEncoder((1, 8, 8), 5, width=4).eval()
    assert encoder.start is None
    assert encoder(torch.randn(4, 1, 8, 8)).std(dim=0).min() > 0


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 32, 20), (2, 33, 40), (3, 64, 64), (1, 70, 9), (1, 256, 100)], ids=str
)
def test_the_linear_start_sees_means_over_square_blocks(shape):
    start = LinearStart(shape, 4)
    x = torch.randn(2, *shape)
    factor = -(-max(shape[1:]) // 32)
    height, width = (-(-side // factor) for side in shape[1:])
    expected = np.zeros((2, shape[0], height, width))
    for i in range(height):
        for j in range(width):
            block = x[:, :, factor * i : factor * (i + 1), factor * j : factor * (j + 1)]
            expected[:, :, i, j] = block.mean(dim=(2, 3))
    assert max(height, width) <= 32
    np.testing.assert_allclose(start.features(x), expected.reshape(2, -1), atol=1e-5)
    assert start(x).shape == (2, 4)
