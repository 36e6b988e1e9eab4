"""Row access to arrays and to map-style datasets."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch

from dmzrep.data._hugging_face import is_hugging_face, map_style


class Rows(Protocol):
    """Anything with a length that gives rows by an array of indices or a slice."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    @property
    def ndim(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Any, /) -> Any: ...


class RowSubset:
    """Some rows of a source, by index, read when they are asked for.

    Parameters
    ----------
    rows : ndarray or other row source
        The source.
    indices : ndarray of int64
        Which rows, in which order.
    """

    def __init__(self, rows: Rows, indices: np.ndarray):
        self.rows = rows
        self.indices = indices
        self.shape = (len(indices), *rows.shape[1:])
        self.dtype = rows.dtype
        self.ndim = rows.ndim

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, indices: np.ndarray | slice) -> np.ndarray:
        """Give rows by positions in the subset."""
        return self.rows[self.indices[indices]]


def to_tensor(block: np.ndarray, device: torch.device) -> torch.Tensor:
    """Copy a block of rows to a device: never a view of the user's array, in native byte order."""
    block = np.array(block)
    block = block.astype(block.dtype.newbyteorder("="), copy=False)
    if device.type == "mps" and block.dtype == np.float64:
        block = block.astype(np.float32)  # Apple's MPS has no float64.
    return torch.from_numpy(block).to(device)


class DatasetRows:
    """Rows of a map-style dataset, such as a torch `Dataset`, stacked on request.

    Parameters
    ----------
    dataset : object with __len__ and __getitem__
        An item is an array, a tensor, or a tuple whose first part is one. Or a data set of Hugging Face's
        `datasets`, of which `ImageColumn` gives the images.

    Raises
    ------
    ValueError
        The dataset is empty, or one of Hugging Face's without a column of images.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from dmzrep.data._sources import DatasetRows
    >>> dataset = torch.utils.data.TensorDataset(torch.arange(6).reshape(3, 2), torch.zeros(3))
    >>> DatasetRows(dataset)[np.array([2, 0])].tolist()
    [[4, 5], [0, 1]]
    """

    def __init__(self, dataset: Any):
        self.dataset = map_style(dataset) if is_hugging_face(dataset) else dataset
        if len(self.dataset) == 0:
            raise ValueError("The dataset has 0 sample(s); at least 2 are needed to fit, 1 to transform.")
        first = self._item(0)
        self.shape = (len(self.dataset), *first.shape)
        self.dtype = first.dtype
        self.ndim = first.ndim + 1

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, indices: np.ndarray | slice) -> np.ndarray:
        """Stack the items at the given positions."""
        if isinstance(indices, slice):
            indices = np.arange(*indices.indices(len(self)))
        return np.stack([self._item(int(i)) for i in indices])

    def _item(self, i: int) -> np.ndarray:
        try:
            item = self.dataset[i]
        except Exception as error:
            error.add_note(f"The dataset raised this for item {i}.")
            raise
        return np.asarray(item[0] if isinstance(item, (tuple, list)) else item)
