import numpy as np
import pytest
import torch

from dmzrep.networks._encoders import BitHead, ConvEncoder, MLPEncoder, convolution_plan
from dmzrep.networks._linear_init import LinearInit
from tests.encoders import make_encoder


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("shape", "latent_dim", "expected"), [((3, 32, 32), 16, 422_176), ((3, 64, 64), 64, 1_832_832)]
)
def test_paper_encoders_have_the_published_number_of_parameters(shape, latent_dim, expected):
    with torch.device("meta"):
        assert count(ConvEncoder(shape, latent_dim, paired=True)) == expected


@pytest.mark.parametrize(
    ("sides", "channels"),
    [
        ((8, 8), [1, 2]),
        ((9, 9), [1, 2, 4]),
        ((32, 32), [1, 2, 4, 8]),
        ((64, 64), [1, 2, 4, 8, 16]),
        ((256, 256), [1, 2, 4, 8, 16, 16, 16]),
        ((1024, 1024), [1, 2, 4, 8, 16, 16, 16, 16, 16]),
        ((8, 256), [1, 2, 2, 4, 4, 8, 8]),
        ((64, 32), [1, 2, 4, 8, 8]),
    ],
    ids=str,
)
def test_channels_double_as_positions_fall_by_four(sides, channels):
    for height, width in (sides, sides[::-1]):
        plan, left = convolution_plan((height, width), 3)
        assert [n // 3 for n, _ in plan] == channels
        assert left == (2, 2)


@pytest.mark.parametrize("shape", [(1, 12, 5000), (3, 16, 1000), (3, 1024, 1024), (1, 3000, 8)], ids=str)
def test_large_and_elongated_images_need_few_weights(shape):
    with torch.device("meta"):
        encoder = ConvEncoder(shape, 16, init_features="responses", normalize_logits=True)
    assert count(encoder) < 2.5e7
    assert encoder.head.linear.in_features <= 4 * 16 * 32


SIDES = [8, 9, 16, 20, 33, 48, 72, 100, 160, 256]


@pytest.mark.parametrize("shape", [s for side in SIDES for s in ((8, side), (side, 8 + side % 2))], ids=str)
def test_training_is_reproducible_for_all_shapes(shape):
    def train():
        torch.manual_seed(0)
        encoder = ConvEncoder((1, *shape), 4, width=8, init_features="responses").train()
        encoder.to(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(encoder.parameters(), lr=0.01)
        x = torch.randn(4, 1, *shape).contiguous(memory_format=torch.channels_last)
        for _ in range(3):
            # Make uninitialised memory non-zero, so that reading it has an effect.
            freed = [torch.full((2**k,), torch.nan) for k in range(8, 20)]
            del freed
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = encoder(x).float().square().mean()
            loss.backward()
            optimizer.step()
        return torch.cat([p.detach().flatten() for p in encoder.parameters()])

    first, second = train(), train()
    assert torch.isfinite(first).all()
    assert torch.equal(first, second)


def test_fits_of_elongated_images_are_reproducible():
    X = np.random.default_rng(0).integers(0, 256, (8, 72, 8), dtype=np.uint8)
    options = {"width": (8,), "encoder_width": 8, "max_iter": 1, "precision": "bf16", "random_state": 0}
    encoders = [make_encoder(8, output="logits", prior="uniform", **options).fit(X) for _ in range(2)]
    np.testing.assert_array_equal(encoders[0].transform(X), encoders[1].transform(X))


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize(
    "shape",
    [(1, 8, 8), (2, 9, 9), (3, 13, 28), (4, 31, 8), (1, 33, 33), (3, 64, 64), (1, 100, 75), (2, 255, 9)],
    ids=str,
)
def test_images_of_any_size_have_one_logit_per_bit(shape, norm):
    encoder = ConvEncoder(shape, 5, width=4 if norm == "group" else 2, norm=norm, init_features="values")
    features = encoder.convolutions(torch.randn(2, *shape))
    assert max(features.shape[2:]) <= 2
    x = torch.randn(3, *shape)
    assert encoder(x).shape == (3, 5)
    single = encoder.eval()(x[:1])
    assert single.shape == (1, 5) and torch.isfinite(single).all()


def test_a_paired_head_returns_the_difference_of_its_outputs():
    head = BitHead(6, 4, paired=True)
    h = torch.randn(3, 6)
    both = head.linear(h)
    torch.testing.assert_close(head(h), both[:, 4:] - both[:, :4])
    assert count(head) == 2 * count(BitHead(6, 4))


@pytest.mark.parametrize(
    ("encoder", "shape"),
    [
        (ConvEncoder((2, 8, 9), 5, width=4, init_features="values"), (2, 8, 9)),
        (MLPEncoder((7,), 5, width=8, init_features="values"), (7,)),
    ],
    ids=["conv", "mlp"],
)
def test_initial_logits_equal_those_of_the_linear_branch(encoder, shape):
    x = torch.randn(4, *shape)
    torch.testing.assert_close(encoder(x), encoder.linear_init.linear(x.flatten(1)))
    encoder(x).sum().backward()
    assert encoder.linear_init.linear.weight.grad.abs().max() > 0
    assert encoder.head.linear.weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 32, 20), (2, 33, 40), (3, 64, 64), (1, 70, 9), (1, 256, 100)], ids=str
)
def test_the_linear_branch_averages_large_images(shape):
    branch = LinearInit(shape, 4)
    x = torch.randn(2, *shape)
    rows, columns = (x.split(-(-side // 32), dim=axis) for axis, side in ((2, shape[1]), (3, shape[2])))
    expected = torch.stack([row.mean(dim=2) for row in rows], dim=2)
    expected = torch.stack([c.mean(dim=3) for c in expected.split(columns[0].shape[3], dim=3)], dim=3)
    assert max(expected.shape[2:]) <= 32
    torch.testing.assert_close(branch.features(x), expected.flatten(1), atol=1e-5, rtol=0)
    assert branch(x).shape == (2, 4)
