"""The identity of a training run: its data and parameters."""

import numpy as np
import pytest
import torch

from dmzrep.data import DatasetSource, VectorFormat
from dmzrep.estimator._run_identity import HASHED_SAMPLES, data_digest, run_identity
from dmzrep.priors import MixturePrior


@pytest.mark.parametrize("place", [(0, 0), (517, 3), (999, 7)])
def test_every_value_of_an_array_in_memory_is_hashed(place):
    samples = np.random.default_rng(0).random((1000, 8))
    other = samples.copy()
    other[place] += 1e-9
    assert data_digest(samples) == data_digest(samples.copy()) != data_digest(other)
    assert data_digest(samples) == data_digest(np.asfortranarray(samples))
    assert data_digest(samples) != data_digest(samples.reshape(500, 16))
    assert data_digest(samples) != data_digest(samples.astype(np.float32))


def test_samples_spread_over_memmaps_and_datasets_are_hashed(tmp_path):
    samples = np.arange(3 * HASHED_SAMPLES, dtype=np.float32)[:, None]
    np.save(tmp_path / "samples.npy", samples)
    other = samples.copy()
    other[-3000:] += 1
    mapped = np.load(tmp_path / "samples.npy", mmap_mode="r")
    first, second = (
        DatasetSource(torch.utils.data.TensorDataset(torch.from_numpy(x))) for x in (samples, other)
    )
    assert data_digest(mapped) == data_digest(first) != data_digest(second)


def identity(mean=0.0, **params):
    means = np.zeros(2000)
    means[1000] = mean
    data_format = VectorFormat(means, np.ones(2000), "float64", 1.0)
    return run_identity(params, np.zeros((3, 2000)), data_format, 0)


def test_parameters_and_data_formats_are_compared():
    assert identity() != identity(mean=1e-12)
    assert identity(width=8) != identity(width=(8,)) != identity(width=16)
    # Parameters that may change when a run is resumed.
    assert identity(max_iter=3, prior="auto") == identity(max_iter=9, prior=MixturePrior())
    assert identity(checkpoint_keep=3) == identity(checkpoint_keep=1, checkpoint_every=1e6)
