import numpy as np
import pytest

from benchmarks import processes, results


@pytest.mark.slow
def test_the_benchmark_compares_numbers_of_processes(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (256, 28, 28), dtype=np.uint8)
    labels = np.zeros(256, dtype=np.int64)
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    arguments = ["--data", str(tmp_path), "--results", str(tmp_path), "--batch-sizes", "32"]
    arguments += ["--seconds", "1", "--rounds", "1", "--images", "128"]
    processes.main(arguments)
    processes.main(arguments)
    rows = results.read("processes", tmp_path)
    assert [(row["processes"], row["threads_each"]) for row in rows] == [(1, 2), (2, 1)]
    assert all(row["images_per_second"] > 0 for row in rows)
