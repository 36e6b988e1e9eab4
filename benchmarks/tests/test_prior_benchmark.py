"""A small run of the benchmark of priors."""

import pytest

from benchmarks import priors
from benchmarks.results import read
from tests.encoders import make_encoder


def test_a_row_is_appended_for_each_prior_once(folder, digits):
    arguments = ["--data", str(folder), "--latent-dim", "8", "--results", str(folder)]
    for _ in range(2):
        priors.main([*arguments, "--threads", "1"])
    rows = {row["prior"]: row for row in read(priors.RESULTS, folder)}
    assert list(rows) == list(priors.COMPARED) and len(read(priors.RESULTS, folder)) == len(rows)
    assert rows["uniform"]["cross_entropy"] == pytest.approx(8.0)
    assert rows["mixture"]["cross_entropy"] < rows["independent"]["cross_entropy"] < 8.1
    assert all(0.3 < row["auc"] <= 1.0 for row in rows.values())
    encoder = make_encoder(16, width=(8, 16), encoder_width=8, max_iter=1, random_state=0)
    encoder.fit(digits.train[:100]).save(folder / "encoder")
    own = ["--encoder", str(folder / "encoder"), "--name", "own", "--priors", "uniform"]
    priors.main([*arguments, *own, "--rows", "100"])
    assert read(priors.RESULTS, folder)[-1]["latent_dim"] == 16
