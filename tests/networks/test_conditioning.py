import pytest
import torch

from dmzrep.networks._conditioning import CodeBias, CodeScaleShift, CodeTokens
from dmzrep.networks._relaxation import code_columns, code_features

LATENT_DIM = 6


@pytest.fixture(params=["signed", "one_hot"])
def code_input(request):
    return request.param


def cross_attention_layer(width, code_input):
    attention = pytest.importorskip("diffusers.models.attention_processor")
    columns = code_columns(LATENT_DIM, code_input)
    return attention.Attention(width, cross_attention_dim=columns, heads=2, dim_head=5, bias=False)


@torch.no_grad()
def test_the_bias_equals_cross_attention_to_one_token(code_input):
    widths = [8, 12, 20]
    layers = [cross_attention_layer(width, code_input) for width in widths]
    code = CodeBias(LATENT_DIM, widths, code_input)
    code.linear.weight.copy_(torch.cat([layer.to_out[0].weight @ layer.to_v.weight for layer in layers]))
    code.linear.bias.copy_(torch.cat([layer.to_out[0].bias for layer in layers]))
    z = torch.rand(4, LATENT_DIM)
    for layer, width, bias in zip(layers, widths, code(z), strict=True):
        positions = 3.0 * torch.randn(4, 7, width)
        added = layer(positions, encoder_hidden_states=code_features(z, code_input)[:, None])
        torch.testing.assert_close(added, bias[:, None].expand(-1, 7, -1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", [CodeBias, CodeScaleShift])
def test_code_terms_are_zero_at_initialisation_and_have_gradients(code_input, kind):
    code = kind(LATENT_DIM, [4, 8], code_input)
    terms = code(torch.rand(3, LATENT_DIM))
    terms = torch.cat([torch.cat(term, dim=1) for term in terms] if kind is CodeScaleShift else terms, dim=1)
    assert torch.equal(terms, torch.zeros_like(terms))
    terms.sum().backward()
    assert all(p.grad.abs().max() > 0 for p in code.parameters())


@pytest.mark.parametrize(
    ("latent_dim", "n_tokens", "group"),
    [(1, 1, 1), (16, 16, 1), (64, 64, 1), (65, 33, 2), (130, 44, 3), (256, 64, 4)],
)
def test_bits_are_grouped_in_order_into_at_most_64_tokens(latent_dim, n_tokens, group):
    code = CodeTokens(latent_dim, 5)
    z = torch.rand(2, latent_dim)
    tokens = code(z)
    assert tokens.shape == (2, n_tokens, 5)
    embedded = (1 - z[:, :, None]) * code.embedding[0] + z[:, :, None] * code.embedding[1]
    for i in range(n_tokens):
        torch.testing.assert_close(tokens[:, i], embedded[:, i * group : (i + 1) * group].sum(dim=1))
