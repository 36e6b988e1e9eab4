import numpy as np
import pytest
import torch

from dmzrep.datasets import load_digits_images
from dmzrep.networks._encoders import ConvEncoder, LogitNorm, MLPEncoder
from tests.encoders import make_encoder


def test_logits_of_a_batch_are_standardised():
    norm = LogitNorm(5).train()
    logits = norm(3.0 * torch.randn(400, 5) + torch.arange(5.0))
    torch.testing.assert_close(logits.mean(dim=0), torch.zeros(5), atol=1e-5, rtol=0.0)
    expected = torch.full((5,), LogitNorm.SCALE)
    torch.testing.assert_close(logits.std(dim=0, correction=0), expected, atol=1e-3, rtol=0.0)


def test_samples_are_normalised_independently_at_inference():
    norm = LogitNorm(5).train()
    for _ in range(50):
        norm(3.0 * torch.randn(400, 5) + 7.0)
    norm.eval()
    x = 3.0 * torch.randn(6, 5) + 7.0
    torch.testing.assert_close(norm(x[:1]), norm(x)[:1], atol=0.0, rtol=0.0)
    torch.testing.assert_close(norm(x), LogitNorm.SCALE * (x - 7.0) / 3.0, atol=0.3, rtol=0.0)


def test_one_sample_is_normalised_by_running_statistics():
    norm = LogitNorm(5).train()
    sample = torch.tensor([[1.0, -2.0, 0.0, 3.0, 0.5]])
    torch.testing.assert_close(norm(sample), LogitNorm.SCALE * sample, atol=1e-4, rtol=0.0)
    assert torch.equal(norm.running_mean, torch.zeros(5))


@pytest.mark.parametrize(("encoder", "shape"), [(ConvEncoder, (1, 8, 8)), (MLPEncoder, (6,))])
@pytest.mark.parametrize(("normalize_logits", "alive"), [(False, 0), (True, 4)])
def test_normalisation_prevents_constant_bits(encoder, shape, normalize_logits, alive):
    # Without normalisation, a large bias makes a bit constant for good.
    encoder = encoder(shape, 4, width=4, normalize_logits=normalize_logits).train()
    with torch.no_grad():
        encoder.head.linear.bias.fill_(50.0)
        bits = encoder(torch.randn(64, *shape)) > 0
    assert (bits.any(dim=0) & ~bits.all(dim=0)).sum() == alive


@pytest.mark.parametrize(("n", "batch_size"), [(2, 128), (64, 128), (3, 1)])
def test_no_bit_of_a_fitted_encoder_is_constant(n, batch_size):
    images = load_digits_images().images[:n]
    options = {"max_iter": 2, "batch_size": batch_size, "validation_fraction": 0.0, "random_state": 0}
    options |= {"width": (8,), "encoder_width": 4, "prior": "uniform", "output": "logits"}
    logits = make_encoder(16, **options).fit(images).transform(images)
    assert np.isfinite(logits).all()
    assert np.abs(logits.mean(axis=0)).max() < 0.5 * LogitNorm.SCALE
