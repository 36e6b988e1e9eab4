"""What tells one training run from another."""

import numpy as np
import pytest
import torch

from dmzrep.data import DatasetSource, VectorFormat
from dmzrep.estimator._run_identity import HASHED_SAMPLES, data_digest, run_identity
from dmzrep.priors import MixturePrior


@pytest.mark.parametrize("place", [(0, 0), (517, 3), (999, 7)])
def test_any_number_of_an_array_in_memory_counts(place):
    samples = np.random.default_rng(0).random((1000, 8))
    other = samples.copy()
    other[place] += 1e-9
    assert data_digest(samples) == data_digest(samples.copy()) != data_digest(other)
    assert data_digest(samples) == data_digest(np.asfortranarray(samples))
    assert data_digest(samples) != data_digest(samples.reshape(500, 16))
    assert data_digest(samples) != data_digest(samples.astype(np.float32))


def test_of_memmaps_and_data_sets_samples_spread_over_all_count(tmp_path):
    samples = np.arange(3 * HASHED_SAMPLES, dtype=np.float32)[:, None]
    np.save(tmp_path / "samples.npy", samples)
    other = samples.copy()
    other[-3000:] += 1
    mapped = np.load(tmp_path / "samples.npy", mmap_mode="r")
    first, second = (
        DatasetSource(torch.utils.data.TensorDataset(torch.from_numpy(x))) for x in (samples, other)
    )
    assert data_digest(mapped) == data_digest(first) != data_digest(second)


def test_a_format_of_many_features_counts_to_the_last_digit():
    mean, scale, samples = np.zeros(2000), np.ones(2000), np.zeros((3, 2000))
    moved = mean.copy()
    moved[1000] = 1e-12
    identities = [run_identity({}, samples, VectorFormat(m, scale, "float64", 1.0), 0) for m in (mean, moved)]
    assert identities[0]["data_format"] != identities[1]["data_format"]


def test_what_may_change_does_not_count():
    samples, data_format = np.zeros((3, 2)), VectorFormat(np.zeros(2), np.ones(2), "float64", 1.0)

    def identity(**params):
        return run_identity(params, samples, data_format, 0)

    assert identity(width=8, max_iter=3, prior="auto") == identity(width=8, max_iter=9, prior=MixturePrior())
    assert identity(width=8) != identity(width=(8,)) != identity(width=16)
