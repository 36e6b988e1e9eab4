"""Batching with a small set of fixed batch shapes."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

#: Largest batches through the encoder and through the denoiser.
ENCODER_BATCH = 256
DENOISER_BATCH = 64
#: Batch size for few samples.
SMALL_BATCH = 8


def batch_size_for(data_shape: tuple[int, ...], largest: int) -> int:
    """Return a batch size, a power of two from 8 to `largest`, that depends on the shape of the data only.

    It is `largest` up to 32 x 32 pixels, and smaller for larger images.
    """
    pixels = math.prod(data_shape[1:]) if len(data_shape) == 3 else data_shape[0]
    return min(largest, max(SMALL_BATCH, 2 ** int(math.log2(max(1.0, largest * 32 * 32 / pixels)))))


def batches(n_samples: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size` samples that cover `n_samples`."""
    for start in range(0, n_samples, size):
        yield slice(start, min(start + size, n_samples))


def padded_batches(n_samples: int, data_shape: tuple[int, ...], largest: int) -> Iterator[tuple[slice, int]]:
    """Yield slices that cover `n_samples`, each with the batch size to which it is padded.

    Batches have `largest` samples; a remainder of at most a quarter of that is split into batches of 8. A
    single image is a batch of its own, so that its latency is that of the network.
    """
    for part in batches(n_samples, largest):
        length = part.stop - part.start
        if length == 1 and len(data_shape) == 3:
            yield part, 1
        elif 4 * length > largest:
            yield part, largest
        else:
            for small in batches(length, SMALL_BATCH):
                yield slice(part.start + small.start, part.start + small.stop), SMALL_BATCH


def pad_samples(tensor: Tensor, size: int) -> Tensor:
    """Repeat the last sample until there are `size` samples."""
    if len(tensor) == size:
        return tensor
    return torch.cat([tensor, tensor[-1:].expand(size - len(tensor), *tensor.shape[1:])])


def run_padded(function: Callable[..., Tensor], size: int, *tensors: Tensor) -> Tensor:
    """Apply a function to tensors padded to `size` samples, and remove the padding.

    Matrix products and convolutions choose their kernels, and thus the order of summation, by the batch
    shape. With few shapes, results are batch-invariant up to rounding.
    """
    return function(*(pad_samples(tensor, size) for tensor in tensors))[: len(tensors[0])]


def in_blocks(function: Callable[[np.ndarray], np.ndarray], X: np.ndarray, size: int = 128) -> np.ndarray:
    """Apply a sample-wise function to blocks padded to `size` samples; like `run_padded`, for arrays."""
    parts = []
    for part in batches(len(X), size):
        block = X[part]
        padding = np.repeat(block[-1:], size - len(block), axis=0)
        parts.append(function(np.concatenate([block, padding]))[: len(block)])
    return np.concatenate(parts)
