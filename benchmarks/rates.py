"""Rate of matrix products on a device, and floating-point operations of a training step."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished all queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matmul_rate(device: torch.device, dtype: torch.dtype, side: int, *, n_products: int = 5) -> float:
    """Return the best rate of several timings of `n_products` square products, in operations per second."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = 0.0
    for _ in range(6):
        synchronize(device)
        begun = time.perf_counter()
        for _ in range(n_products):
            a @ b
        synchronize(device)
        best = max(best, n_products * 2 * side**3 / (time.perf_counter() - begun))
    return best


def flops_a_row(step: Callable[[], Any], batch_size: int) -> float:
    """Return the floating-point operations of a training step, per sample."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / batch_size
