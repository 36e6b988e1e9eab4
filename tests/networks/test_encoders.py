import pytest
import torch

from dmzrep.networks._encoders import ConvEncoder, MLPEncoder


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


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
