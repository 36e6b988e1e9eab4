import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dmzrep.networks import _normalization as normalisation
from dmzrep.networks._normalization import group_norm, normalise


@pytest.fixture
def norm():
    layer = group_norm(12)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    return layer


def by_definition(norm, x, *modulations, activate):
    h = F.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)
    for scale, shift in modulations:
        h = h * (1 + scale[:, :, None, None]) + shift[:, :, None, None]
    return F.silu(h) if activate else h


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 8, 24, 30, 64, 96, 128, 192, 576, 768])
def test_groups_divide_the_channels(channels):
    norm = group_norm(channels)
    assert channels % norm.num_groups == 0
    assert norm.num_groups <= 32
    assert norm.num_groups == 1 or channels // norm.num_groups >= 4


@pytest.mark.parametrize("chunk", [1, 250, 2**19])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("n_modulations", [0, 1, 2])
@pytest.mark.parametrize("activate", [False, True])
def test_result_and_gradients_equal_the_definition(
    norm, monkeypatch, chunk, memory_format, n_modulations, activate
):
    monkeypatch.setattr(normalisation, "CHUNK", chunk)
    norm.double()
    x = (torch.randn(5, 12, 3, 4).double() * 2 + 1).to(memory_format=memory_format).requires_grad_()
    pairs = [(torch.randn(5, 12).double().requires_grad_(), torch.randn(5, 12).double()) for _ in range(2)]
    pairs = pairs[:n_modulations]
    leaves = [x, norm.weight, norm.bias, *(scale for scale, _ in pairs)]
    found = normalise(norm, x, *pairs, activate=activate)
    reference = by_definition(norm, x, *pairs, activate=activate)
    torch.testing.assert_close(found, reference)
    upstream = torch.randn_like(found)
    gradients = (torch.autograd.grad(h, leaves, upstream) for h in (found, reference))
    for gradient, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, expected)


def test_the_composed_form_of_other_devices_equals_the_fused_one(norm, monkeypatch):
    x, pair = torch.randn(3, 12, 5, 5), (torch.randn(3, 12), torch.randn(3, 12))
    found = normalise(norm, x, pair, None, activate=True)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(found, normalise(norm, x, pair, None, activate=True))


@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_bf16_maps_have_float32_statistics(norm, offset):
    x = (torch.randn(4, 12, 8, 8) + offset).bfloat16().to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = normalise(norm, x)
    assert found.dtype == torch.bfloat16 and found.is_contiguous(memory_format=torch.channels_last)
    expected = by_definition(norm, x.float(), activate=False)
    torch.testing.assert_close(found.float(), expected, atol=0.02, rtol=0.01)


def test_training_works_after_inference_mode_in_the_same_thread(norm, monkeypatch):
    monkeypatch.setattr(normalisation, "_BUFFERS", normalisation._Buffers())
    x = torch.randn(2, 12, 4, 4)
    with torch.inference_mode():
        normalise(norm, x, activate=True)
    normalise(norm, x.requires_grad_(), activate=True).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()
