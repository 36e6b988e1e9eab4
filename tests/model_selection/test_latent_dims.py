"""Comparison of code lengths."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dmzrep import DMZEncoder
from dmzrep.datasets import make_sprites
from dmzrep.model_selection import latent_dim_report
from dmzrep.model_selection._latent_dims import _is_undominated
from tests.encoders import make_encoder


@pytest.fixture(scope="module")
def sprites():
    return make_sprites(150, side=8, random_state=0)


@pytest.fixture(scope="module")
def small():
    return make_encoder(width=(8,), encoder_width=8, n_timesteps=20, max_iter=1, prior="independent")


@pytest.fixture(scope="module")
def report(sprites, small):
    Y = sprites.attributes[["warm", "large"]]
    return latent_dim_report(sprites.images, Y, latent_dims=(4, 16), encoder=small, random_state=0)


def test_rows_are_measured_on_held_out_samples(report, sprites, small):
    assert report.columns.tolist() == [
        "latent_dim", "roc_auc", "bits_per_dim", "code_bits", "reconstruction_error", "seconds", "pareto",
    ]  # fmt: skip
    assert report["latent_dim"].tolist() == [4, 16]
    X = sprites.images
    train, test = train_test_split(np.arange(150), test_size=0.2, random_state=0)
    encoder = clone(small).set_params(latent_dim=16, random_state=0).fit(X[train])
    Z, row = encoder.transform(X) > 0.5, report.iloc[1]
    assert row["bits_per_dim"] == pytest.approx(-encoder.score(X[test]))
    assert row["code_bits"] == pytest.approx(encoder.code_report_["entropy"].sum())
    rebuilt = encoder.reconstruct(X[test], random_state=0).astype(float)
    assert row["reconstruction_error"] == pytest.approx(np.mean((rebuilt - X[test]) ** 2) * (2 / 255) ** 2)
    scores = []
    for name in ("warm", "large"):
        y = sprites.attributes[name]
        probe = make_pipeline(StandardScaler(), LogisticRegression()).fit(Z[train], y[train])
        scores.append(roc_auc_score(y[test], probe.decision_function(Z[test])))
    assert row["roc_auc"] == pytest.approx(np.mean(scores), abs=0.02)


def test_given_encoder_is_not_fitted(report, small):
    assert not small.__sklearn_is_fitted__() and small.latent_dim == 64


def test_finished_lengths_are_read_from_memory(sprites, small, tmp_path, monkeypatch):
    fits, fit = [], DMZEncoder.fit

    def counted(self, X, y=None):
        fits.append(self.latent_dim)
        return fit(self, X, y)

    monkeypatch.setattr(DMZEncoder, "fit", counted)
    options = {"encoder": small, "memory": str(tmp_path), "max_samples": 5, "random_state": 0}
    first = latent_dim_report(sprites.images, latent_dims=(4,), **options)
    both = latent_dim_report(sprites.images, latent_dims=(4, 6), **options)
    assert fits == [4, 6]
    pd.testing.assert_frame_equal(both.iloc[:1].drop(columns="pareto"), first.drop(columns="pareto"))
    latent_dim_report(sprites.images[1:], latent_dims=(4,), **options)
    assert fits == [4, 6, 4]  # Other data.
    assert "roc_auc" not in both


def test_classes_are_scored_by_accuracy_and_values_by_r2(sprites, small):
    options = {"latent_dims": [4], "encoder": small, "max_samples": 5, "random_state": 0}
    shapes = sprites.factors["shape"].cat.codes
    assert "accuracy" in latent_dim_report(sprites.images, shapes, **options)
    assert "r2" in latent_dim_report(sprites.images, sprites.factors[["x", "y"]], **options)


@pytest.mark.parametrize(
    ("objectives", "expected"),
    [
        (["roc_auc", "bits_per_dim"], [True, True, False, True, False]),
        (["latent_dim"], [True, False, False, False, False]),
        (["seconds"], [True] * 5),
    ],
)
def test_pareto_front_is_what_nothing_dominates(objectives, expected):
    scores = {"roc_auc": [0.7, 0.8, 0.8, 0.9, 0.6], "bits_per_dim": [1.0, 2.0, 3.0, 3.0, 1.0]}
    table = pd.DataFrame(scores | {"latent_dim": range(5), "seconds": 1.0})
    assert _is_undominated(table, objectives).tolist() == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent_dims": (8, 8)}, "latent_dims must be distinct"),
        ({"Y": np.zeros(3)}, "inconsistent numbers of samples: Y has 3"),
        ({"objectives": ["roc_auc"]}, "objectives must be one of .*got 'roc_auc'"),
    ],
)
def test_invalid_parameters_raise(sprites, options, message):
    with pytest.raises(ValueError, match=message):
        latent_dim_report(**{"X": sprites.images} | options)
