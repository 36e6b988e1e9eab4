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
                f"device={device!r} was asked for, but torch detects no CUDA device. "
                "Use device='auto' or 'cpu', or install a CUDA build of torch."
            )
        count = torch.cuda.device_count()
        index = cast("int | None", resolved.index)
        if index is not None and index >= count:
            raise DeviceUnavailableError(
                f"device={device!r} was asked for, but there are only {count} CUDA devices."
            )
        # Each of several processes on a machine has its own current device.
        return torch.device("cuda", torch.cuda.current_device() if index is None else index)
    if resolved.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceUnavailableError(
            f"device={device!r} was asked for, but MPS is not available. Use device='auto'."
        )
    if resolved.type not in ("cpu", "mps"):
        raise ValueError(f"The 'device' parameter must name a CPU, CUDA or MPS device. Got {device!r}.")
    return resolved


def cpu_has_bf16_units() -> bool:
    """Whether this CPU multiplies bf16 matrices in hardware; emulated, they are slower than float32."""
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
    """As `resolve_device`, but fall back, with a warning, for models saved on a device that is absent."""
    try:
        return resolve_device(device)
    except DeviceUnavailableError as error:
        fallback = resolve_device("auto")
        warn(f"{error} The model was put on {fallback}.", DeviceWarning)
        return fallback


def on_cpu(module: Module) -> Module:
    """Return a module with all tensors on the CPU, to be saved: itself, or a copy where some are elsewhere.

    The module stays where it is, and its device need not have memory for a second one.
    """
    copies: dict[int, Tensor] = {}
    for part in module.modules():
        # Module.to does not move tensors that are plain attributes.
        for tensor in (*part._parameters.values(), *part._buffers.values(), *vars(part).values()):
            if isinstance(tensor, Tensor) and tensor.device.type != "cpu":
                moved = tensor.detach().cpu()
                is_parameter = isinstance(tensor, nn.Parameter)
                copies[id(tensor)] = nn.Parameter(moved, tensor.requires_grad) if is_parameter else moved
    # Tensors in the memo are not copied on their device.
    return copy.deepcopy(module, copies) if copies else module


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """Return the context in which networks run in ``"float32"``, ``"bf16"`` or ``"fp16"``."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16 if precision == "bf16" else torch.float16)


def give_back_memory(device: str | torch.device) -> None:
    """Free memory that torch caches on a GPU, so that other processes can use it."""
    try:
        kind = resolve_device(device).type
    except ValueError:
        return
    # A device that has failed raises at every call and would mask the first error.
    with contextlib.suppress(RuntimeError):
        if kind == "cuda":
            torch.cuda.empty_cache()
        elif kind == "mps":
            torch.mps.empty_cache()
