"""Sources: access to the samples of arrays and map-style datasets."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch

from dmzrep._base._validation import as_array
from dmzrep.data._hugging_face import is_hugging_face, map_style
from dmzrep.data._image_format import ImageFormat
from dmzrep.data._pictures import convert_picture, is_picture, plain_mode


class Source(Protocol):
    """Anything with a length that returns samples for an array of indices or a slice."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    @property
    def ndim(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Any, /) -> Any: ...


class Subset:
    """The samples of a source at given indices, read on access."""

    def __init__(self, source: Source, indices: np.ndarray):
        self.source = source
        self.indices = indices
        self.shape = (len(indices), *source.shape[1:])
        self.dtype = source.dtype
        self.ndim = source.ndim

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, indices: np.ndarray | slice) -> np.ndarray:
        """Return samples by positions in the subset."""
        return self.source[self.indices[indices]]


class CheckedSource:
    """A source of images whose values are checked against a format when they are read."""

    def __init__(self, source: Source, image_format: ImageFormat):
        self.source = source
        self.image_format = image_format
        self.shape, self.dtype, self.ndim = source.shape, source.dtype, source.ndim

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, indices: np.ndarray | slice) -> np.ndarray:
        """Return samples; raise if a value is non-finite or out of range."""
        samples = self.source[indices]
        if len(samples):
            if isinstance(indices, slice):
                indices = np.arange(*indices.indices(len(self)))
            self.image_format.check_values(samples, indices)
        return samples


class DatasetSource:
    """Samples of a map-style dataset, such as a torch `Dataset`, read and stacked on access.

    An item is an array, a tensor, a Pillow image, or a tuple that begins with one. Hugging Face datasets are
    read through `ImageColumn`.
    """

    def __init__(self, dataset: Any):
        self.dataset = map_style(dataset) if is_hugging_face(dataset) else dataset
        if len(self.dataset) == 0:
            raise ValueError("The dataset has 0 sample(s); at least 2 are needed to fit, 1 to transform.")
        first = self._item(0)
        self.shape = (len(self.dataset), *first.shape)
        self.dtype = first.dtype
        self.ndim = first.ndim + 1
        # Kept until its first use, so that one pass over the data reads each sample once.
        self._first: np.ndarray | None = first

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, indices: np.ndarray | slice) -> np.ndarray:
        """Stack the items at the given positions."""
        if isinstance(indices, slice):
            indices = np.arange(*indices.indices(len(self)))
        return (
            np.stack([self._sample(int(i)) for i in indices])
            if len(indices)
            else np.empty((0, *self.shape[1:]))
        )

    def _sample(self, i: int) -> np.ndarray:
        if i == 0 and self._first is not None:
            item, self._first = self._first, None
        else:
            item = self._item(i)
        if item.shape != self.shape[1:]:
            raise ValueError(
                f"All items of a dataset must have the same shape: item 0 has {self.shape[1:]}, item {i} "
                f"has {item.shape}. Resize them to one size as they are loaded."
            )
        return item

    def _item(self, i: int) -> np.ndarray:
        try:
            item: Any = self.dataset[i]
        except Exception as error:
            error.add_note(f"The dataset raised this for item {i}.")
            raise
        if isinstance(item, (tuple, list)) and len(item):
            item = item[0]
        if isinstance(item, Mapping):
            raise ValueError(
                f"Items of a dataset must be arrays, tensors or tuples that begin with one, but item {i} is "
                f"a {type(item).__name__} with the keys {list(item)}. Wrap the dataset so that it returns "
                "the image alone."
            )
        if is_picture(item):
            item = convert_picture(item, plain_mode(item.mode))
        array = as_array(item, f"Item {i} of the dataset")
        if array.dtype.kind not in "buif" or array.ndim == 0:
            raise ValueError(
                "Items of a dataset must be arrays or tensors of numbers, or tuples that begin with one, "
                f"but item {i} is of type {type(item).__name__} (shape {array.shape}, dtype {array.dtype})."
            )
        return array


def is_on_disk(array: Any) -> bool:
    """Whether an array is a memory map or a view of one."""
    while array is not None:
        if isinstance(array, np.memmap):
            return True
        array = getattr(array, "base", None)
    return False


def to_tensor(block: np.ndarray, device: torch.device) -> torch.Tensor:
    """Copy samples to a device, in native byte order; the result never shares memory with the array."""
    block = np.array(block)
    block = block.astype(block.dtype.newbyteorder("="), copy=False)
    if device.type == "mps" and block.dtype == np.float64:
        block = block.astype(np.float32)  # Apple's MPS has no float64.
    return torch.from_numpy(block).to(device)
