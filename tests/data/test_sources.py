"""Map-style data sets as sources."""

import numpy as np
import pytest
import torch

from dmzrep.data import DatasetSource


class Squares(torch.utils.data.Dataset):
    """Items are tuples of a constant 2 x 3 image and a label; item `broken` raises an error."""

    def __init__(self, n, broken=None):
        self.n, self.broken = n, broken

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if i == self.broken:
            raise OSError("cannot read")
        return torch.full((2, 3), i * i, dtype=torch.uint8), "label"


@pytest.mark.parametrize(
    "dataset",
    [
        Squares(5),
        [np.full((2, 3), i * i, dtype=np.uint8) for i in range(5)],
        [(np.full((2, 3), i * i, dtype=np.uint8), i) for i in range(5)],
        [[np.full((2, 3), i * i, dtype=np.uint8)] for i in range(5)],
        torch.utils.data.TensorDataset((torch.arange(5) ** 2).to(torch.uint8)[:, None, None].expand(5, 2, 3)),
    ],
    ids=["dataset", "arrays", "tuples", "lists", "tensors"],
)
def test_items_are_stacked(dataset):
    samples = DatasetSource(dataset)
    assert (samples.shape, samples.ndim, samples.dtype, len(samples)) == ((5, 2, 3), 3, np.uint8, 5)
    everything = samples[:]
    assert everything.shape == samples.shape and everything.dtype == samples.dtype
    assert everything[:, 1, 2].tolist() == [0, 1, 4, 9, 16]


@pytest.mark.parametrize(
    "indices",
    [slice(1, 3), slice(None, None, 2), slice(3, 100), slice(-2, None), np.array([4, 0, 4]), np.array([2])],
    ids=str,
)
def test_indexing_agrees_with_numpy(indices):
    samples = DatasetSource(Squares(5))
    expected = np.array([0, 1, 4, 9, 16])[indices]
    assert samples[indices][:, 0, 0].tolist() == expected.tolist()


def test_only_the_requested_samples_are_read():
    samples = DatasetSource(Squares(6, broken=4))
    assert samples[np.array([3, 5])][:, 0, 0].tolist() == [9, 25]


def test_errors_of_data_sets_name_the_item():
    samples = DatasetSource(Squares(6, broken=4))
    with pytest.raises(OSError, match="cannot read") as caught:
        samples[:]
    assert caught.value.__notes__ == ["The dataset raised this for item 4."]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], r"0 sample\(s\)"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], r"item 0 has \(2, 3\), item 1 has \(2, 4\)"),
    ],
)
def test_empty_data_sets_and_items_of_different_shapes_are_rejected(items, message):
    with pytest.raises(ValueError, match=message):
        DatasetSource(items)[:]
