"""Batches of one fixed shape, so that a row's result cannot depend on its company."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

#: Rows of one batch through the encoder, and through the denoiser, at most.
ENCODER_ROWS = 256
DENOISER_ROWS = 64


def batch_rows(data_shape: tuple[int, ...], most: int) -> int:
    """Rows of a batch, a power of two from 8 to `most`, fixed by the shape of the data alone.

    `most` rows up to 32 x 32 pixels, fewer of larger images.
    """
    pixels = math.prod(data_shape[1:]) if len(data_shape) == 3 else data_shape[0]
    return min(most, max(8, 2 ** int(math.log2(max(1.0, most * 32 * 32 / pixels)))))


def batches(n_rows: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` rows that cover n_rows."""
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def pad_rows(tensor: Tensor, size: int) -> Tensor:
    """Repeat the last row until there are `size` rows."""
    if len(tensor) == size:
        return tensor
    return torch.cat([tensor, tensor[-1:].expand(size - len(tensor), *tensor.shape[1:])])


def run_padded(function: Callable[..., Tensor], size: int, *tensors: Tensor) -> Tensor:
    """Apply a row-wise function to tensors padded to exactly `size` rows, and cut the padding off.

    Matrix products and convolutions choose their kernels, and so their order of summation, by the
    shape of the batch. At one shape a row's result is the same to the last bit in any company.
    """
    return function(*(pad_rows(tensor, size) for tensor in tensors))[: len(tensors[0])]
