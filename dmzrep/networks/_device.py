"""Devices and precisions of networks."""

from __future__ import annotations

import contextlib
import copy
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from dmzrep._base._validation import short_repr
from dmzrep._base._warnings import warn
from dmzrep.errors import DeviceUnavailableError, DeviceWarning

Module = TypeVar("Module", bound=nn.Module)

PRECISIONS = ("auto", "float32", "bf16", "fp16")


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the available device that the `device` parameter names.

    ``"auto"`` is CUDA, else MPS, else the CPU; CUDA without an index is the current device.
    """
    if isinstance(device, str) and device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        # torch reads integers and booleans as CUDA indices.
        resolved = torch.device(device if isinstance(device, torch.device) else str(device))
    except RuntimeError as error:
        raise ValueError(
            f"The 'device' parameter must be 'auto', 'cpu', 'cuda', 'cuda:<index>' or 'mps'. Got "
            f"{short_repr(device)}."
        ) from error
    if resolved.type == "cuda":
        if not torch.cuda.is_available():
            raise DeviceUnavailableError(
                f"device={device!r} is not available: torch detects no CUDA device. "
                "Use device='auto' or 'cpu', or install a CUDA build of torch."
            )
        count = torch.cuda.device_count()
        index = cast("int | None", resolved.index)
        if index is not None and index >= count:
            raise DeviceUnavailableError(
                f"device={device!r} is not available: there are only {count} CUDA devices."
            )
        # Processes on one machine may have different current devices.
        return torch.device("cuda", torch.cuda.current_device() if index is None else index)
    if resolved.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceUnavailableError(
            f"device={device!r} is not available: torch detects no MPS device. Use device='auto'."
        )
    if resolved.type not in ("cpu", "mps"):
        raise ValueError(f"The 'device' parameter must name a CPU, CUDA or MPS device. Got {device!r}.")
    return resolved


def cpu_has_bf16_units() -> bool:
    """Whether the CPU supports bf16 matrix products; emulated ones are slower than float32."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in checks)


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return ``"float32"``, ``"bf16"`` or ``"fp16"``; ``"auto"`` is bf16 where the hardware supports it."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type == "cpu" and cpu_has_bf16_units():
        return "bf16"
    return "float32"


def available_device(device: str | torch.device) -> torch.device:
    """Like `resolve_device`, but fall back with a warning if the device is not available."""
    try:
        return resolve_device(device)
    except DeviceUnavailableError as error:
        fallback = resolve_device("auto")
        warn(f"{error} The model was put on {fallback}.", DeviceWarning)
        return fallback


def on_cpu(module: Module) -> Module:
    """Return a module with all tensors on the CPU for saving: itself, or a copy if some are on a device.

    The module itself is not moved, and no memory is allocated on its device.
    """
    copies: dict[int, Tensor] = {}
    for part in module.modules():
        # Module.to does not move tensors that are plain attributes.
        for tensor in (*part._parameters.values(), *part._buffers.values(), *vars(part).values()):
            if isinstance(tensor, Tensor) and tensor.device.type != "cpu":
                moved = tensor.detach().cpu()
                is_parameter = isinstance(tensor, nn.Parameter)
                copies[id(tensor)] = nn.Parameter(moved, tensor.requires_grad) if is_parameter else moved
    # deepcopy does not copy objects in its memo.
    return copy.deepcopy(module, copies) if copies else module


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """Return the autocast context for ``"float32"``, ``"bf16"`` or ``"fp16"``."""
    if precision == "float32":
        return contextlib.nullcontext()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float16
    # Within an outer context, cached copies of weights would outlive a training step.
    return torch.autocast(device.type, dtype=dtype, cache_enabled=False)


def release_cached_memory(device: str | torch.device) -> None:
    """Release GPU memory cached by torch, so that other processes can use it."""
    try:
        kind = resolve_device(device).type
    except ValueError:
        return
    # A failed device raises at every call, which would mask the original error.
    with contextlib.suppress(RuntimeError):
        if kind == "cuda":
            torch.cuda.empty_cache()
        elif kind == "mps":
            torch.mps.empty_cache()
