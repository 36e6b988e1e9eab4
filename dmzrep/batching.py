"""Batches of one fixed shape, so that a row's result cannot depend on its company."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

#: Pixels (times channels) of one batch through the encoder, and through the denoiser.
ENCODER_ELEMENTS = 256 * 32 * 32
DENOISER_ELEMENTS = 64 * 32 * 32


def batch_rows(data_shape: tuple[int, ...], elements: int) -> int:
    """Rows of a batch, a power of two from 8 to 256, fixed by the shape of the data alone."""
    pixels = math.prod(data_shape[1:]) if len(data_shape) == 3 else data_shape[0]
    return 2 ** int(min(8, max(3, math.log2(max(1, elements // max(1, pixels))))))


def batches(n_rows: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` rows that cover n_rows."""
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def run_padded(function: Callable[..., Tensor], size: int, *tensors: Tensor) -> Tensor:
    """Apply a row-wise function to tensors padded to exactly `size` rows, and cut the padding off.

    Matrix products and convolutions choose their kernels, and so their order of summation, by the
    shape of the batch. At one shape a row's result is the same to the last bit in any company.
    """
    n_rows = len(tensors[0])
    if n_rows < size:
        tensors = tuple(torch.cat([t, t[-1:].expand(size - n_rows, *t.shape[1:])]) for t in tensors)
    return function(*tensors)[:n_rows]
