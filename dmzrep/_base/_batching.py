"""Batches of one fixed shape, which make results batch-invariant."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

#: Samples per batch through the encoder, and through the denoiser, at most.
ENCODER_ROWS = 256
DENOISER_ROWS = 64


def batch_rows(data_shape: tuple[int, ...], most: int) -> int:
    """Return the batch size, a power of two from 8 to `most`, fixed by the shape of the data alone.

    `most` samples up to 32 x 32 pixels, fewer of larger images.
    """
    pixels = math.prod(data_shape[1:]) if len(data_shape) == 3 else data_shape[0]
    return min(most, max(8, 2 ** int(math.log2(max(1.0, most * 32 * 32 / pixels)))))


def batches(n_samples: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size` samples that cover n_samples."""
    for start in range(0, n_samples, size):
        yield slice(start, min(start + size, n_samples))


def pad_rows(tensor: Tensor, size: int) -> Tensor:
    """Repeat the last sample until there are `size` samples."""
    if len(tensor) == size:
        return tensor
    return torch.cat([tensor, tensor[-1:].expand(size - len(tensor), *tensor.shape[1:])])


def run_padded(function: Callable[..., Tensor], size: int, *tensors: Tensor) -> Tensor:
    """Apply a sample-wise function to tensors padded to exactly `size` samples, and drop the padding.

    Matrix products and convolutions choose their kernels, and so their order of summation, by the
    shape of the batch. At one shape the result of a sample does not depend on the other samples.
    """
    return function(*(pad_rows(tensor, size) for tensor in tensors))[: len(tensors[0])]


def in_blocks(function: Callable[[np.ndarray], np.ndarray], X: np.ndarray, size: int = 128) -> np.ndarray:
    """Apply a sample-wise function to blocks of exactly `size` samples; as `run_padded`, for arrays.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep._base._batching import in_blocks
    >>> in_blocks(lambda block: block.sum(axis=1), np.eye(5), size=2).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    parts = []
    for part in batches(len(X), size):
        block = X[part]
        padding = np.repeat(block[-1:], size - len(block), axis=0)
        parts.append(function(np.concatenate([block, padding]))[: len(block)])
    return np.concatenate(parts)
