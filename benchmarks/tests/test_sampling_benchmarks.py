"""Small runs of the sampling benchmarks, and the scaled estimate of noise."""

import numpy as np
import pytest
import torch

from benchmarks import input_perturbation, sampling_overhead
from benchmarks.results import read
from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule


def test_a_scaled_noise_estimate_is_consistent_with_x():
    schedule = NoiseSchedule.named("cosine", 100)
    objective = input_perturbation.ScaledObjective(schedule, "epsilon", factor=1.1)
    x, t = torch.randn(3, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([10, 50, 80])
    found = objective.denoise(lambda x, time, z: torch.sin(x), x, t, None)
    plain = Objective(schedule, "epsilon").denoise(lambda x, time, z: torch.sin(x), x, t, None)
    torch.testing.assert_close(found.epsilon, 1.1 * plain.epsilon)
    signal, sigma = schedule.signal_and_noise(t, x)
    torch.testing.assert_close(signal * found.x0 + sigma * found.epsilon, x)


@pytest.mark.slow
def test_the_overhead_benchmark_appends_a_row_per_sampler(tmp_path):
    options = ["--images", "2", "--steps", "2", "--rounds", "1", "--samplers", "ddim", "heun"]
    sampling_overhead.main([*options, "--results", str(tmp_path)])
    rows = read(sampling_overhead.RESULTS, tmp_path)
    assert [(row["sampler"], row["batches_through_network"]) for row in rows] == [("ddim", 2), ("heun", 3)]
    assert all(0.0 <= row["share_outside_network"] < 1.0 for row in rows)


@pytest.mark.slow
def test_the_perturbation_benchmark_scores_each_remedy_once(folder):
    options = ["--data", str(folder), "--seconds", "0.5", "--strengths", "0.1", "--objectives", "v"]
    options += ["--steps", "2", "--images", "20", "--results", str(folder)]
    for _ in range(2):
        input_perturbation.main(options)
    rows = read(input_perturbation.RESULTS, folder)
    names = [(row["remedy"], row["sampler"]) for row in rows]
    assert len(set(names)) == len(names) == len(list(input_perturbation.remedies(0.1)))
    assert all(np.isfinite([row["frechet_pca64"], row["mse"]]).all() for row in rows)
