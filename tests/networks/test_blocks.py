import math

import pytest
import torch

from dmzrep.networks import _blocks as blocks
from dmzrep.networks._blocks import ResidualBlock, SelfAttention, TimestepEmbedding, attend, modulate
from dmzrep.networks._conditioning import CrossAttention


def test_timestep_features_are_cosines_and_sines():
    embedding = TimestepEmbedding(8, 8)
    inputs = []
    embedding.network.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    t = torch.tensor([0.0, 1.0, 250.5, 999.0])
    embedding(t)
    (features,) = inputs
    for sample, time in enumerate(t.tolist()):
        for i in range(4):
            angle = time * 10_000 ** (-i / 4)
            assert features[sample, i].item() == pytest.approx(math.cos(angle), abs=1e-3)
            assert features[sample, 4 + i].item() == pytest.approx(math.sin(angle), abs=1e-3)
    assert "frequencies" not in embedding.state_dict()


def test_modulation_scales_and_shifts_channels():
    h = torch.randn(2, 3, 4, 5)
    scale, shift = torch.randn(2, 3), torch.randn(2, 3)
    out = modulate(h, (scale, shift))
    for n in range(2):
        for c in range(3):
            torch.testing.assert_close(out[n, c], h[n, c] * (1 + scale[n, c]) + shift[n, c])
    torch.testing.assert_close(modulate(h[:, :, 0, 0], (scale, shift)), out[:, :, 0, 0])


@pytest.mark.parametrize(("channels", "out"), [(8, 8), (8, 12)])
def test_a_residual_block_is_its_skip_at_initialisation(channels, out):
    block = ResidualBlock(channels, out)
    x = torch.randn(2, channels, 5, 5)
    time = (torch.randn(2, out), torch.randn(2, out))
    torch.testing.assert_close(block(x, time), block.skip(x))


@pytest.mark.parametrize("limit", [0, 256])
def test_attention_equals_its_definition(monkeypatch, limit):
    monkeypatch.setattr(blocks, "MATERIALISED_POSITIONS", limit)
    query, key, value = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 7, 4), torch.randn(2, 3, 7, 4)
    torch.testing.assert_close(
        attend(query, key, value), ((query @ key.transpose(2, 3)) / 2.0).softmax(dim=3) @ value
    )


@pytest.mark.parametrize("kind", [SelfAttention, CrossAttention])
@pytest.mark.parametrize("channels", [4, 24, 32, 64, 128, 192])
def test_attention_layers_equal_softmax_attention(randomise, kind, channels):
    x, tokens = torch.randn(2, channels, 3, 4).double(), torch.randn(2, 5, 6).double()
    if kind is SelfAttention:
        layer = randomise(SelfAttention(channels)).double()
        query, key, value = layer.query_key_value(layer.norm(x).flatten(2).transpose(1, 2)).chunk(3, dim=2)
        found = layer(x)
    else:
        layer = randomise(CrossAttention(channels, 6)).double()
        query = layer.query(layer.norm(x).flatten(2).transpose(1, 2))
        key, value = layer.key_value(tokens).chunk(2, dim=2)
        found = layer(x, tokens)
    size = channels // layer.n_heads
    mixed = torch.zeros_like(query)
    for head in range(layer.n_heads):
        part = slice(head * size, (head + 1) * size)
        weights = (query[..., part] @ key[..., part].transpose(1, 2) / size**0.5).softmax(dim=2)
        mixed[..., part] = weights @ value[..., part]
    torch.testing.assert_close(found, x + layer.out(mixed).transpose(1, 2).reshape(x.shape))
