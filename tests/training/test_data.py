import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep.data import DatasetSource
from dmzrep.training._data import TrainingData, split_indices

quick = settings(deadline=None, max_examples=60)
CPU = torch.device("cpu")


def prepare(raw):
    return raw.to(torch.float32) * 2.0 - 1.0


@pytest.fixture
def rows():
    return np.random.default_rng(0).integers(0, 256, (20, 3, 4), dtype=np.uint8)


@pytest.fixture
def sources(rows, tmp_path):
    """The same rows from an array, a read-only array, a memmap and a dataset."""
    np.save(tmp_path / "rows.npy", rows)
    frozen = rows.copy()
    frozen.setflags(write=False)
    return {
        "array": rows,
        "strided": np.repeat(rows, 2, axis=0)[::2],
        "read-only": frozen,
        "memmap": np.load(tmp_path / "rows.npy", mmap_mode="r"),
        "dataset": DatasetSource(list(rows)),
    }


@pytest.mark.parametrize(
    "indices",
    [np.arange(20), np.arange(0, 20, 3), np.array([7]), np.arange(20)[::-1].copy(), np.array([4, 1, 1, 9])],
    ids=["all", "some", "one", "reversed", "repeated"],
)
@pytest.mark.parametrize("source", ["array", "strided", "read-only", "memmap", "dataset"])
def test_every_source_gives_the_rows_of_its_indices_in_model_units(rows, sources, source, indices):
    data = TrainingData(sources[source], prepare, indices, CPU)
    assert len(data) == len(indices)
    positions = torch.randperm(len(indices))[:5]
    expected = rows[indices[positions.numpy()]].astype(np.float32) * 2 - 1
    batch = data.batch(positions)
    assert batch.dtype == torch.float32
    np.testing.assert_array_equal(batch, expected)


@pytest.mark.parametrize("source", ["array", "strided", "read-only", "memmap"])
@pytest.mark.parametrize("n_kept", [20, 7])
def test_the_users_rows_are_never_written_to(rows, sources, source, n_kept, recwarn):
    before = rows.copy()
    data = TrainingData(sources[source], lambda raw: raw, np.arange(n_kept), CPU)
    data.batch(torch.arange(n_kept)).fill_(0)
    np.testing.assert_array_equal(sources[source], before)
    np.testing.assert_array_equal(data.batch(torch.arange(n_kept)), before[:n_kept])
    assert not [w for w in recwarn.list if "not writable" in str(w.message)]


@quick
@given(n_rows=st.integers(0, 300), fraction=st.floats(0, 0.999), seed=st.integers(0, 2**31))
def test_each_row_is_in_exactly_one_part(n_rows, fraction, seed):
    kept, held_out = split_indices(n_rows, fraction, seed)
    assert sorted([*kept, *held_out]) == list(range(n_rows))
    assert list(kept) == sorted(kept) and list(held_out) == sorted(held_out)
    if fraction == 0 or n_rows < 2:
        assert len(held_out) == 0
    else:
        assert 1 <= len(held_out) < n_rows
        assert abs(len(held_out) - fraction * n_rows) <= 1
    again = split_indices(n_rows, fraction, seed)
    assert np.array_equal(kept, again[0]) and np.array_equal(held_out, again[1])


def test_the_seed_decides_the_split():
    assert not np.array_equal(split_indices(200, 0.3, 1)[1], split_indices(200, 0.3, 2)[1])
