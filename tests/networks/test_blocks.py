import pytest
import torch
from torch.nn import functional as F

from dmzrep.networks import _blocks as blocks
from dmzrep.networks._blocks import SelfAttention, TimestepEmbedding
from dmzrep.networks._conditioning import CrossAttention


def test_timestep_features_are_cosines_and_sines():
    embedding = TimestepEmbedding(8, 8)
    inputs = []
    embedding.network.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    t = torch.tensor([0.0, 1.0, 250.5, 999.0])
    embedding(t)
    angles = t[:, None] * 10_000 ** (-torch.arange(4) / 4)
    expected = torch.cat([angles.cos(), angles.sin()], dim=1)
    torch.testing.assert_close(inputs[0], expected, rtol=0, atol=1e-3)
    assert "frequencies" not in embedding.state_dict()


@pytest.mark.parametrize("limit", [0, 256])
@pytest.mark.parametrize("kind", [SelfAttention, CrossAttention])
@pytest.mark.parametrize("channels", [4, 24, 64, 192])
def test_attention_layers_equal_those_of_torch(randomise, kind, channels, limit, monkeypatch):
    monkeypatch.setattr(blocks, "MATERIALISED_POSITIONS", limit)
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
    heads = (part.unflatten(2, (layer.n_heads, -1)).transpose(1, 2) for part in (query, key, value))
    mixed = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
    torch.testing.assert_close(found, x + layer.out(mixed).transpose(1, 2).reshape(x.shape))
