import pytest
import torch

from dmzrep.networks._device import resolve_device, resolve_precision


@pytest.fixture
def machine(monkeypatch):
    """Return a function that makes torch report a machine with the given devices."""

    def make(n_cuda=0, current=0, mps=False, cuda_bf16=True, avx=False, amx=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: n_cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: n_cuda)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: current)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: cuda_bf16)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)

    return make


@pytest.mark.parametrize(
    ("devices", "asked", "expected"),
    [
        ({}, "auto", "cpu"),
        ({"mps": True}, "auto", "mps"),
        ({"n_cuda": 1}, "auto", "cuda:0"),
        ({"n_cuda": 3, "current": 2}, "auto", "cuda:2"),
        ({"n_cuda": 3}, "cpu", "cpu"),
        ({"mps": True}, "mps", "mps"),
        ({"n_cuda": 1}, "cuda", "cuda:0"),
        ({"n_cuda": 3}, "cuda:2", "cuda:2"),
        ({"n_cuda": 3}, torch.device("cuda", 1), "cuda:1"),
    ],
)
def test_available_devices_are_resolved(machine, devices, asked, expected):
    machine(**devices)
    assert resolve_device(asked) == torch.device(expected)


@pytest.mark.parametrize(
    ("devices", "asked", "message"),
    [
        ({}, "gpu", r"must be 'auto', 'cpu', 'cuda', 'cuda:<index>' or 'mps'. Got 'gpu'"),
        ({}, "cuda", r"device='cuda' is not available: torch detects no CUDA device"),
        ({}, "cuda:1", r"device='cuda:1' is not available: torch detects no CUDA device"),
        ({"n_cuda": 2}, "cuda:2", r"device='cuda:2' is not available: there are only 2 CUDA devices"),
        ({"n_cuda": 2}, "mps", r"torch detects no MPS device"),
    ],
)
def test_unavailable_devices_raise(machine, devices, asked, message):
    machine(**devices)
    with pytest.raises(ValueError, match=message):
        resolve_device(asked)


@pytest.mark.parametrize(
    ("devices", "device", "expected"),
    [
        ({"n_cuda": 1, "cuda_bf16": True}, "cuda", "bf16"),
        ({"n_cuda": 1, "cuda_bf16": False}, "cuda", "fp16"),
        ({"mps": True, "avx": True}, "mps", "float32"),
        ({"avx": True}, "cpu", "bf16"),
        ({"amx": True}, "cpu", "bf16"),
        ({}, "cpu", "float32"),
    ],
)
def test_auto_precision_is_native_to_the_hardware(machine, devices, device, expected):
    machine(**devices)
    assert resolve_precision("auto", torch.device(device)) == expected
    assert resolve_precision("fp16", torch.device(device)) == "fp16"
