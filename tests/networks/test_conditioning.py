import pytest
import torch

from dmzrep.networks._conditioning import CodeBias, CodeScaleShift, CodeTokens, CrossAttention
from dmzrep.networks._relaxation import code_columns, code_features

LATENT_DIM = 6


@pytest.fixture(params=["signed", "one_hot"])
def code_input(request):
    return request.param


def cross_attention_layer(width, code_input):
    attention = pytest.importorskip("diffusers.models.attention_processor")
    columns = code_columns(LATENT_DIM, code_input)
    return attention.Attention(width, cross_attention_dim=columns, heads=2, dim_head=5, bias=False)


@pytest.mark.parametrize("layer", [0, 1, 2])
@torch.no_grad()
def test_the_bias_is_what_a_cross_attention_layer_adds_for_one_token(randomise, code_input, layer):
    widths = [8, 12, 20]
    oracle = cross_attention_layer(widths[layer], code_input)
    code = randomise(CodeBias(LATENT_DIM, widths, code_input))
    before = [bias.clone() for bias in code(torch.ones(1, LATENT_DIM))]
    code.set_layer(layer, oracle.to_v.weight, oracle.to_out[0].weight, oracle.to_out[0].bias)
    z = torch.rand(4, LATENT_DIM)
    positions = 3.0 * torch.randn(4, 7, widths[layer])
    added = oracle(positions, encoder_hidden_states=code_features(z, code_input)[:, None])
    expected = code(z)[layer][:, None].expand(-1, 7, -1)
    torch.testing.assert_close(added, expected, atol=1e-6, rtol=0)
    for other in {0, 1, 2} - {layer}:
        assert torch.equal(code(torch.ones(1, LATENT_DIM))[other], before[other])


def test_queries_and_keys_of_a_one_token_cross_attention_learn_nothing(code_input):
    layer = cross_attention_layer(8, code_input)
    context = code_features(torch.rand(4, LATENT_DIM), code_input)[:, None]
    layer(torch.randn(4, 7, 8), encoder_hidden_states=context).square().sum().backward()
    scale = layer.to_v.weight.grad.abs().max()
    assert scale > 0
    assert layer.to_q.weight.grad.abs().max() < 1e-6 * scale
    assert layer.to_k.weight.grad.abs().max() < 1e-6 * scale


def test_biases_are_linear_in_the_code_and_one_a_layer(randomise, code_input):
    code = randomise(CodeBias(LATENT_DIM, [4, 8], code_input))
    first, second = torch.rand(2, 3, LATENT_DIM)
    assert [tuple(bias.shape) for bias in code(first)] == [(3, 4), (3, 8)]
    for a, b, middle in zip(code(first), code(second), code((first + second) / 2), strict=True):
        torch.testing.assert_close((a + b) / 2, middle)


@pytest.mark.parametrize("kind", [CodeBias, CodeScaleShift])
def test_the_code_starts_as_nothing_yet_its_weights_learn(code_input, kind):
    code = kind(LATENT_DIM, [4, 8], code_input)
    terms = code(torch.rand(3, LATENT_DIM))
    terms = torch.cat([torch.cat(term, dim=1) for term in terms] if kind is CodeScaleShift else terms, dim=1)
    assert torch.equal(terms, torch.zeros_like(terms))
    terms.sum().backward()
    assert all(p.grad.abs().max() > 0 for p in code.parameters())


def test_scales_and_shifts_come_in_pairs_one_for_each_block(code_input):
    code = CodeScaleShift(LATENT_DIM, [4, 8], code_input)
    pairs = code(torch.rand(3, LATENT_DIM))
    assert [(scale.shape, shift.shape) for scale, shift in pairs] == [((3, 4), (3, 4)), ((3, 8), (3, 8))]


@pytest.mark.parametrize(
    ("latent_dim", "n_tokens", "group"),
    [(1, 1, 1), (16, 16, 1), (64, 64, 1), (65, 33, 2), (130, 44, 3), (256, 64, 4)],
)
def test_bits_are_dealt_to_at_most_64_tokens_in_order(latent_dim, n_tokens, group):
    code = CodeTokens(latent_dim, 5)
    z = torch.rand(2, latent_dim)
    tokens = code(z)
    assert tokens.shape == (2, n_tokens, 5)
    embedded = (1 - z[:, :, None]) * code.embedding[0] + z[:, :, None] * code.embedding[1]
    for i in range(n_tokens):
        torch.testing.assert_close(tokens[:, i], embedded[:, i * group : (i + 1) * group].sum(dim=1))


def test_every_bit_moves_its_own_token_only():
    code = CodeTokens(10, 4, max_tokens=4)
    z = torch.zeros(1, 10)
    for bit in range(10):
        flipped = z.clone()
        flipped[0, bit] = 1.0
        moved = (code(flipped) - code(z)).abs().sum(dim=2)[0] > 1e-6
        assert moved.nonzero().flatten().tolist() == [bit // code.group]


@pytest.mark.parametrize("channels", [4, 24, 32, 48])
def test_cross_attention_is_softmax_attention_to_the_tokens(randomise, channels):
    layer = randomise(CrossAttention(channels, 6)).double()
    x, tokens = torch.randn(2, channels, 3, 5).double(), torch.randn(2, 4, 6).double()
    n_heads, size = layer.n_heads, channels // layer.n_heads
    query = layer.query(layer.norm(x).flatten(2).transpose(1, 2))
    key, value = layer.key_value(tokens).chunk(2, dim=2)
    mixed = torch.zeros_like(query)
    for head in range(n_heads):
        part = slice(head * size, (head + 1) * size)
        weights = (query[..., part] @ key[..., part].transpose(1, 2) / size**0.5).softmax(dim=2)
        mixed[..., part] = weights @ value[..., part]
    expected = x + layer.out(mixed).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(layer(x, tokens), expected)


def test_cross_attention_starts_as_nothing():
    layer = CrossAttention(8, 6)
    x = torch.randn(2, 8, 3, 3)
    assert torch.equal(layer(x, torch.randn(2, 4, 6)), x)


def test_cross_attention_runs_on_vectors_too(randomise):
    layer = randomise(CrossAttention(8, 6))
    x, tokens = torch.randn(3, 8), torch.randn(3, 4, 6)
    assert layer(x, tokens).shape == (3, 8)
    torch.testing.assert_close(layer(x, tokens)[1:2], layer(x[1:2], tokens[1:2]))
