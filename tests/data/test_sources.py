import numpy as np
import pytest
import torch

from dmzrep.data import DatasetSource


class Squares(torch.utils.data.Dataset):
    """Items are tuples of a constant 2 x 3 image and a label; item 4 can be made to fail."""

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
def test_items_of_any_kind_are_rows_of_one_array(dataset):
    rows = DatasetSource(dataset)
    assert (rows.shape, rows.ndim, rows.dtype, len(rows)) == ((5, 2, 3), 3, np.uint8, 5)
    everything = rows[:]
    assert everything.shape == rows.shape and everything.dtype == rows.dtype
    assert everything[:, 1, 2].tolist() == [0, 1, 4, 9, 16]


@pytest.mark.parametrize(
    "indices",
    [slice(1, 3), slice(None, None, 2), slice(3, 100), slice(-2, None), np.array([4, 0, 4]), np.array([2])],
    ids=str,
)
def test_slices_and_index_arrays_pick_the_rows_that_numpy_picks(indices):
    rows = DatasetSource(Squares(5))
    expected = np.array([0, 1, 4, 9, 16])[indices]
    assert rows[indices][:, 0, 0].tolist() == expected.tolist()


def test_only_the_asked_rows_are_read():
    rows = DatasetSource(Squares(6, broken=4))
    assert rows[np.array([3, 5])][:, 0, 0].tolist() == [9, 25]


def test_what_a_dataset_raises_comes_through_with_the_item_named():
    rows = DatasetSource(Squares(6, broken=4))
    with pytest.raises(OSError, match="cannot read") as caught:
        rows[:]
    assert caught.value.__notes__ == ["The dataset raised this for item 4."]


def test_an_empty_dataset_is_refused():
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        DatasetSource(Squares(0))


def test_items_of_different_shapes_are_refused_when_they_are_read():
    rows = DatasetSource([np.zeros((2, 3)), np.zeros((2, 4))])
    with pytest.raises(ValueError, match="same shape"):
        rows[:]
