import math

import pytest
import torch
from torch import nn

from dmzrep.networks import _blocks as blocks
from dmzrep.networks._blocks import (
    Downsample,
    ResidualBlock,
    ScaleShift,
    SelfAttention,
    TimestepEmbedding,
    Upsample,
    attend,
    modulate,
    zero_init,
)


def test_timestep_features_are_cosines_and_sines_at_falling_frequencies():
    embedding = TimestepEmbedding(8, 8)
    seen = []
    embedding.network.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    t = torch.tensor([0.0, 1.0, 250.5, 999.0])
    embedding(t)
    (features,) = seen
    for row, time in enumerate(t.tolist()):
        for i in range(4):
            angle = time * 10_000 ** (-i / 4)
            assert features[row, i].item() == pytest.approx(math.cos(angle), abs=1e-3)
            assert features[row, 4 + i].item() == pytest.approx(math.sin(angle), abs=1e-3)


def test_timestep_frequencies_are_no_part_of_a_file():
    assert "frequencies" not in TimestepEmbedding(8, 16).state_dict()


def test_neighbouring_timesteps_have_different_features():
    features = TimestepEmbedding(32, 16)(torch.arange(1000.0))
    assert (features[1:] - features[:-1]).abs().amax(dim=1).min() > 1e-4


def test_modulation_scales_and_shifts_channels():
    h = torch.randn(2, 3, 4, 5)
    scale, shift = torch.randn(2, 3), torch.randn(2, 3)
    out = modulate(h, (scale, shift))
    for n in range(2):
        for c in range(3):
            torch.testing.assert_close(out[n, c], h[n, c] * (1 + scale[n, c]) + shift[n, c])
    torch.testing.assert_close(modulate(h[:, :, 0, 0], (scale, shift)), out[:, :, 0, 0])


def test_every_block_gets_its_own_part_of_one_product():
    layer = ScaleShift(4, [2, 3])
    vector = torch.randn(5, 4)
    whole = layer.linear(vector)
    (scale0, shift0), (scale1, shift1) = layer(vector)
    assert torch.equal(torch.cat([scale0, shift0, scale1, shift1], dim=1), whole)
    assert [scale0.shape[1], shift0.shape[1], scale1.shape[1], shift1.shape[1]] == [2, 2, 3, 3]


@pytest.mark.parametrize(("channels", "out"), [(8, 8), (8, 12)])
def test_a_residual_block_starts_as_its_skip(channels, out):
    block = ResidualBlock(channels, out)
    x = torch.randn(2, channels, 5, 5)
    time = (torch.randn(2, out), torch.randn(2, out))
    torch.testing.assert_close(block(x, time), block.skip(x))


@pytest.mark.parametrize("limit", [0, 256])
def test_attention_written_out_is_attention(monkeypatch, limit):
    monkeypatch.setattr(blocks, "MATERIALISED_POSITIONS", limit)
    query, key, value = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 7, 4), torch.randn(2, 3, 7, 4)
    torch.testing.assert_close(
        attend(query, key, value), ((query @ key.transpose(2, 3)) / 2.0).softmax(dim=3) @ value
    )


@pytest.mark.parametrize("channels", [4, 24, 32, 48, 64, 128, 192])
def test_self_attention_is_softmax_attention_over_positions(randomise, channels):
    layer = randomise(SelfAttention(channels)).double()
    x = torch.randn(2, channels, 3, 4).double()
    tokens = layer.norm(x).flatten(2).transpose(1, 2)
    query, key, value = layer.query_key_value(tokens).chunk(3, dim=2)
    size = channels // layer.n_heads
    mixed = torch.zeros_like(query)
    for head in range(layer.n_heads):
        part = slice(head * size, (head + 1) * size)
        weights = (query[..., part] @ key[..., part].transpose(1, 2) / size**0.5).softmax(dim=2)
        mixed[..., part] = weights @ value[..., part]
    expected = x + layer.out(mixed).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(layer(x), expected)


def test_resampling_halves_and_doubles():
    x = torch.randn(2, 4, 6, 10)
    assert Downsample(4)(x).shape == (2, 4, 3, 5)
    assert Upsample(4, 3)(x).shape == (2, 3, 12, 20)


def test_zeroed_layers_give_zero():
    layer = zero_init(nn.Linear(3, 2))
    assert torch.equal(layer(torch.randn(4, 3)), torch.zeros(4, 2))
    assert zero_init(nn.Conv2d(1, 1, 3, bias=False)).weight.abs().max() == 0
