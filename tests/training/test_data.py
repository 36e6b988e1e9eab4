import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmzrep.data import DatasetSource
from dmzrep.training import TrainingData, split_indices
from dmzrep.training import _data as training_data

CPU = torch.device("cpu")


def prepare(raw):
    return raw.to(torch.float32) * 2.0 - 1.0


@pytest.fixture
def samples():
    return np.random.default_rng(0).integers(0, 256, (20, 3, 4), dtype=np.uint8)


@pytest.fixture
def sources(samples, tmp_path):
    np.save(tmp_path / "samples.npy", samples)
    read_only = samples.copy()
    read_only.setflags(write=False)
    memmap = np.load(tmp_path / "samples.npy", mmap_mode="r")
    return {
        "array": samples,
        "strided": np.repeat(samples, 2, axis=0)[::2],
        "read-only": read_only,
        "memmap": memmap,
        "view of a memmap": np.asarray(memmap),
        "dataset": DatasetSource(list(samples)),
    }


@pytest.mark.parametrize(
    "indices", [np.arange(20)[::-1].copy(), np.array([7]), np.array([4, 1, 1, 9])], ids=str
)
@pytest.mark.parametrize("source", ["array", "strided", "read-only", "memmap", "dataset"])
def test_batches_are_the_samples_at_the_indices_in_model_units(samples, sources, source, indices):
    data = TrainingData(sources[source], prepare, indices, CPU)
    assert len(data) == len(indices)
    positions = torch.randperm(len(indices))[:5]
    batch = data.batch(positions)
    assert batch.dtype == torch.float32
    np.testing.assert_array_equal(batch, samples[indices[positions.numpy()]].astype(np.float32) * 2 - 1)


@pytest.mark.parametrize("source", ["array", "strided", "read-only", "memmap"])
def test_original_samples_are_not_modified(samples, sources, source):
    before = samples.copy()
    TrainingData(sources[source], lambda raw: raw, np.arange(7), CPU).batch(torch.arange(7)).fill_(0)
    np.testing.assert_array_equal(sources[source], before)


@pytest.mark.parametrize(
    ("source", "free", "resident"),
    [
        ("array", 4 * 240, True),
        ("strided", 4 * 240, True),
        ("array", 4 * 240 - 4, False),
        ("array", 0, False),
        ("memmap", 2**30, False),
        ("view of a memmap", 2**30, False),
        ("dataset", 2**30, False),
    ],
)
def test_arrays_stay_on_a_device_with_four_times_their_size_free(
    samples, sources, source, free, resident, monkeypatch
):
    monkeypatch.setattr(training_data, "free_memory", lambda device: free)
    monkeypatch.setattr(training_data, "_COPIED_AT_A_TIME", 7)
    data = TrainingData(sources[source], prepare, np.arange(20)[::-1], CPU)
    assert (data._resident is not None) == resident
    np.testing.assert_array_equal(data.batch(torch.arange(20)), samples[::-1] * 2.0 - 1.0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="a GPU")
def test_free_memory_is_that_of_the_gpu():
    device = torch.device("cuda", torch.cuda.current_device())
    assert 0 < training_data.free_memory(device) <= torch.cuda.get_device_properties(device).total_memory


@settings(deadline=None, max_examples=40)
@given(n_samples=st.integers(0, 300), fraction=st.floats(0, 0.999), seed=st.integers(0, 2**31))
def test_each_sample_is_in_one_part_of_the_split(n_samples, fraction, seed):
    kept, held_out = split_indices(n_samples, fraction, seed)
    assert sorted([*kept, *held_out]) == list(range(n_samples))
    assert list(kept) == sorted(kept) and list(held_out) == sorted(held_out)
    if fraction == 0 or n_samples < 2:
        assert len(held_out) == 0
    else:
        assert 1 <= len(held_out) < n_samples
        assert abs(len(held_out) - fraction * n_samples) <= 1
    assert np.array_equal(held_out, split_indices(n_samples, fraction, seed)[1])
