"""Small runs of the sampling benchmarks, and their measures against closed forms."""

import numpy as np
import pytest
import torch

from benchmarks import input_perturbation, sampling_overhead
from benchmarks.results import read
from dmzrep.datasets import load_digits_images
from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule


def test_the_frechet_distance_of_gaussians_is_the_closed_form():
    rows = np.random.default_rng(0).normal(size=(500, 3))
    shifted = 2.0 * rows + [1.0, 0.0, 0.0]
    mean, spread = rows.mean(axis=0), np.linalg.norm(rows - rows.mean(axis=0)) / 499**0.5
    # Covariances that commute: the distance of means, and that of the roots.
    expected = np.square(mean + np.array([1.0, 0.0, 0.0])).sum() + spread**2
    assert input_perturbation.frechet_distance(rows, shifted) == pytest.approx(expected)
    assert input_perturbation.frechet_distance(rows, rows) == pytest.approx(0.0, abs=1e-6)


def test_a_scaled_noise_estimate_still_belongs_to_x():
    schedule = NoiseSchedule.named("cosine", 100)
    objective = input_perturbation.ScaledObjective(schedule, "epsilon", factor=1.1)
    x, t = torch.randn(3, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([10, 50, 80])
    found = objective.denoise(lambda x, time, z: torch.sin(x), x, t, None)
    plain = Objective(schedule, "epsilon").denoise(lambda x, time, z: torch.sin(x), x, t, None)
    torch.testing.assert_close(found.epsilon, 1.1 * plain.epsilon)
    signal, sigma = schedule.signal_and_noise(t, x)
    torch.testing.assert_close(signal * found.x0 + sigma * found.epsilon, x)


def test_seconds_inside_a_network_are_counted_and_it_is_left_as_it_was():
    network = torch.nn.Linear(2, 2)
    with sampling_overhead.seconds_inside(network) as spent:
        for _ in range(3):
            network(torch.ones(1, 2))
    assert len(spent) == 3 and min(spent) > 0
    assert "forward" not in vars(network)


@pytest.mark.slow
def test_the_overhead_benchmark_writes_a_row_for_each_sampler(tmp_path):
    options = ["--images", "2", "--steps", "2", "--rounds", "1", "--samplers", "ddim", "heun"]
    sampling_overhead.main([*options, "--results", str(tmp_path)])
    rows = read(sampling_overhead.RESULTS, tmp_path)
    assert [row["sampler"] for row in rows] == ["ddim", "heun"]
    assert [row["batches_through_network"] for row in rows] == [2, 3]
    assert all(0.0 <= row["share_outside_network"] < 1.0 for row in rows)


@pytest.mark.slow
def test_the_perturbation_benchmark_scores_every_remedy_once(tmp_path):
    digits = load_digits_images()
    X, y = digits.images, digits.target
    np.savez(tmp_path / "mnist.npz", x_train=X[:200], x_test=X[200:260], y_train=y[:200], y_test=y[200:260])
    options = ["--data", str(tmp_path), "--seconds", "0.5", "--strengths", "0.1", "--objectives", "v"]
    options += ["--steps", "2", "--images", "20", "--results", str(tmp_path)]
    input_perturbation.main(options)
    rows = read(input_perturbation.RESULTS, tmp_path)
    names = [(row["remedy"], row["sampler"]) for row in rows]
    assert len(set(names)) == len(names) == len(list(input_perturbation.remedies(0.1)))
    assert all(np.isfinite([row["frechet_pca64"], row["mse"]]).all() for row in rows)
    input_perturbation.main(options)
    assert len(read(input_perturbation.RESULTS, tmp_path)) == len(rows)
