"""What is trained beside binary codes in the benchmarks: shapes, ranges, and that something is learned."""

import numpy as np
import pytest
import torch

from benchmarks.contenders import CONTENDERS, BinaryCode
from benchmarks.convolutional_vae import Autoencoder, evidence_loss

SMALL = {
    "real": {"width": (8,), "encoder_width": 8, "prior": "independent"},
    "convolutional": {"width": 8, "batch_size": 32},
}


@pytest.mark.parametrize("name", CONTENDERS)
def test_contenders_give_floats_bits_and_images_and_learn(digits, name):
    small = next(params for kind, params in SMALL.items() if name.startswith(kind))
    contender = CONTENDERS[name](16, 0, max_iter=6, **small).fit(digits.train)
    forms = contender.transform(digits.train)
    assert set(forms) == {"floats", "bits"}
    assert forms["floats"].shape == forms["bits"].shape == (500, 16)
    assert np.isfinite(forms["floats"]).all() and len(np.unique(forms["floats"])) > 500
    assert set(np.unique(forms["bits"])) == {0.0, 1.0}
    # Above the median of the train images: half of them.
    assert np.abs(forms["bits"].mean(axis=0) - 0.5).max() < 0.02
    history = contender.history_
    assert {"seconds", "images", "loss"} <= set(history)
    assert history["loss"].iloc[-1] < 0.9 * history["loss"].iloc[0] or history["loss"].iloc[-1] < 0.0
    if name.startswith("real"):
        last = history.iloc[-1]
        assert last["validation_loss"] != last["validation_loss_shuffled"]
    rebuilt = contender.reconstruct(digits.test[:5])
    assert rebuilt.shape == (5, 8, 8) and rebuilt.dtype == np.uint8
    assert contender.decoded_from == "floats"


def test_binary_codes_come_in_three_forms(digits):
    forms = BinaryCode(16, 0, max_iter=1, **SMALL["real"]).fit(digits.train).transform(digits.test)
    assert set(forms) == {"logits", "probabilities", "bits"}
    assert np.array_equal(forms["bits"] > 0.5, forms["logits"] > 0.0)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 9, 14)])
def test_the_autoencoder_gives_back_the_shape_of_the_images(shape):
    model = Autoencoder(shape, 6, 8)
    x = torch.rand(2, *shape) * 2.0 - 1.0
    assert model.decode(model.encode(x)[0]).shape == x.shape
    for likelihood in ("gaussian", "bernoulli"):
        assert torch.isfinite(evidence_loss(model, x, likelihood, torch.Generator().manual_seed(0)))
