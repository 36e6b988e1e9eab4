import pytest
import torch

from dmzrep.networks._conditioning import CONDITIONINGS
from dmzrep.networks._mlp import ResidualMLP

LATENT_DIM, FEATURES = 5, 7

VECTOR_CONDITIONINGS = [name for name in CONDITIONINGS if name != "spatial_bias"]


def make(conditioning="bias", **options):
    options = {"width": 16, "depth": 2, "conditioning": conditioning} | options
    return ResidualMLP(FEATURES, FEATURES, LATENT_DIM, **options)


def inputs(n=3):
    return torch.randn(n, FEATURES), torch.rand(n) * 999, torch.rand(n, LATENT_DIM).round()


@pytest.mark.parametrize("conditioning", VECTOR_CONDITIONINGS)
def test_the_initial_prediction_is_zero(conditioning):
    out = make(conditioning)(*inputs())
    assert out.shape == (3, FEATURES)
    assert torch.equal(out, torch.zeros_like(out))


@pytest.mark.parametrize("code_input", ["signed", "one_hot"])
@pytest.mark.parametrize("conditioning", ["bias", "cross_attention", "adagn", "timestep"])
def test_each_bit_changes_the_prediction_of_its_sample_only(randomise, conditioning, code_input):
    network = randomise(make(conditioning, code_input=code_input))
    x, t, z = inputs()
    before = network(x, t, z)
    for bit in range(LATENT_DIM):
        flipped = z.clone()
        flipped[0, bit] = 1.0 - flipped[0, bit]
        change = (network(x, t, flipped) - before).abs().amax(dim=1)
        assert change[0] > 1e-5
        assert change[1:].max() < 1e-6


def test_an_unconditional_network_ignores_the_code(randomise):
    network = randomise(make("none"))
    x, t, z = inputs()
    assert torch.equal(network(x, t, z), network(x, t, 1.0 - z))
    assert torch.equal(network(x, t, z), network(x, t, None))


@pytest.mark.parametrize("conditioning", VECTOR_CONDITIONINGS)
def test_all_weights_have_gradients_and_time_matters(randomise, conditioning):
    network = randomise(make(conditioning))
    x, t, z = inputs()
    out = network(x, t, z)
    assert (network(x, t + 100.0, z) - out).abs().max() > 1e-5
    out.square().sum().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or p.grad.abs().max() == 0]
    assert idle == []


def test_dropout_is_active_in_training_only(randomise):
    network = randomise(make(dropout=0.5))
    arguments = inputs()
    assert not torch.equal(network(*arguments), network(*arguments))
    network.eval()
    assert torch.equal(network(*arguments), network(*arguments))
