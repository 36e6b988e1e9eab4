"""Metrics do not depend on the global state of torch."""

import numpy as np
import pytest
import torch

from dmzrep.datasets import load_digits_images
from dmzrep.metrics import (
    ClassifierFeatures,
    code_cycle_accuracy,
    extract_features,
    inversion_error,
    mutual_information_over_time,
    reconstruction_report,
)
from tests.encoders import make_encoder

X, Y = load_digits_images(return_X_y=True)
X, Y = X[:120], Y[:120]


def classifier():
    return ClassifierFeatures(8, width=4, max_iter=1, batch_size=32, random_state=0).fit(X, Y)


METRICS = {
    "classifier": lambda e: classifier().predict(X),
    "features": lambda e: extract_features(X, classifier()).features,
    "information": lambda e: mutual_information_over_time(
        e, X, timesteps=[0, 9], width=4, training_steps=5, random_state=0
    ),
    "cycle": lambda e: code_cycle_accuracy(e, e.transform(X[:8]), n_steps=2, random_state=0),
    "inversion": lambda e: inversion_error(e, X[:8], n_steps=2),
    "report": lambda e: reconstruction_report(e, X[:8], n_steps=2, random_state=0).drop(columns="noise"),
}


@pytest.fixture(scope="module")
def encoder():
    small = {"width": (8,), "encoder_width": 8, "n_timesteps": 10, "max_iter": 1}
    with pytest.warns(UserWarning):
        return make_encoder(8, **small, random_state=0).fit(X)


@pytest.mark.parametrize("metric", METRICS)
def test_metrics_do_not_depend_on_global_state(encoder, metric):
    expected = METRICS[metric](encoder)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(), torch.device("meta"), torch.autocast("cpu"), np.errstate(all="raise"):
            found = METRICS[metric](encoder)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(found, expected)
