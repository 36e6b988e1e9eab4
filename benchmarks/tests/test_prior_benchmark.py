"""A small run of the priors' benchmark."""

import numpy as np
import pytest

from benchmarks import priors
from benchmarks.results import read
from dmzrep.datasets import load_digits_images


def test_a_small_run_appends_a_row_for_each_prior(tmp_path, encoder):
    images = load_digits_images().images
    np.savez(
        tmp_path / "mnist.npz",
        x_train=images[:400],
        y_train=np.zeros(400),
        x_test=images[400:600],
        y_test=np.zeros(200),
    )
    arguments = ["--data", str(tmp_path), "--latent-dim", "8", "--results", str(tmp_path)]
    for _ in range(2):  # The second run finds its rows.
        priors.main([*arguments, "--threads", "1"])
    rows = {row["prior"]: row for row in read(priors.RESULTS, tmp_path)}
    assert list(rows) == list(priors.COMPARED) and len(read(priors.RESULTS, tmp_path)) == len(rows)
    assert rows["uniform"]["cross_entropy"] == pytest.approx(8.0)
    assert rows["mixture"]["cross_entropy"] < rows["independent"]["cross_entropy"] < 8.1
    assert all(0.3 < row["auc"] <= 1.0 and row["fit_seconds"] >= 0.0 for row in rows.values())
    encoder.save(tmp_path / "encoder")
    own = ["--encoder", str(tmp_path / "encoder"), "--name", "own", "--priors", "uniform"]
    priors.main([*arguments, *own, "--rows", "100"])
    assert read(priors.RESULTS, tmp_path)[-1]["latent_dim"] == 16
    with pytest.raises(SystemExit):
        priors.main([*arguments, "--name", "nothing"])
