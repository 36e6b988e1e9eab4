"""Information over time of signs in Gaussian noise, for which it is known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dmzrep import DMZEncoder
from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.metrics import mutual_information_over_time
from dmzrep.metrics._information import contrastive_bound
from tests.encoders import make_encoder

SCHEDULE = NoiseSchedule.named("cosine", 100)
OPTIONS = {"width": 8, "training_steps": 300, "timesteps": [10, 40, 60, 75, 99], "random_state": 0}


class Signs(DMZEncoder):
    """An encoder that returns the signs of some columns as bits."""

    decoder_ = SimpleNamespace(
        objective=Objective(SCHEDULE), model_units=lambda X: torch.tensor(X, dtype=torch.float32)
    )

    def __init__(self, columns=(0,)):
        self.columns = columns

    def __sklearn_is_fitted__(self):
        return True

    def transform(self, X):
        return (X[:, self.columns] > 0).astype(np.uint8)


def information_of_a_noisy_sign(alpha_bar):
    """I(s; a s + b e) in bits, s = -1 or +1 and e Gaussian, by quadrature."""
    a, b = math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar)
    y = np.linspace(-a - 9 * b, a + 9 * b, 20_001)
    density = [np.exp(-0.5 * ((y - s * a) / b) ** 2) / (b * math.sqrt(2 * math.pi)) for s in (-1, 1)]
    mixed = sum(density) / 2
    joint = sum(
        0.5 * d * np.log2(np.divide(d, mixed, out=np.ones_like(d), where=d > 1e-300)) for d in density
    )
    return float(joint.sum() * (y[1] - y[0]))


@pytest.fixture(scope="module")
def signs():
    return np.random.default_rng(0).choice([-1.0, 1.0], (4000, 2))


@pytest.fixture(scope="module")
def information():
    return np.array([information_of_a_noisy_sign(SCHEDULE.alpha_bar[t]) for t in OPTIONS["timesteps"]])


def test_bounds_of_independent_bits_are_tight(signs, information):
    table = mutual_information_over_time(Signs([0, 1]), signs, **OPTIONS)
    true = 2.0 * information
    assert true[0] > 1.99 and 0.5 < true[2] < 1.6 and true[-1] < 0.01
    for name in ("lower_bound", "sum_of_bits"):
        # The standard error over 1,000 held-out samples is about 0.03.
        assert (table[name] < true + 0.1).all() and (table[name] > true - 0.15).all()
    assert table["entropy_of_bits"].tolist() == pytest.approx([2.0] * 5, abs=0.01)
    signal = np.sqrt(SCHEDULE.alpha_bar[OPTIONS["timesteps"]]).tolist()
    assert table["signal"].tolist() == pytest.approx(signal)
    assert table["limit"].unique().tolist() == [math.log2(1000)]


def test_lower_bound_counts_equal_bits_once(signs, information):
    table = mutual_information_over_time(Signs([0, 0, 0]), signs, **OPTIONS)
    assert (table["lower_bound"] < information + 0.07).all()
    assert (table["lower_bound"] > information - 0.12).all()
    assert table["sum_of_bits"].to_numpy()[:3] == pytest.approx(3.0 * information[:3], abs=0.25)


def test_contrastive_bound_agrees_with_loops():
    rng = np.random.default_rng(0)
    logits, codes = rng.normal(size=(300, 4)), rng.integers(0, 2, (300, 4))
    p = 1.0 / (1.0 + np.exp(-logits))
    q = np.array([np.where(codes == 1, row, 1 - row).prod(axis=1) for row in p]) ** 0.5
    expected = np.mean(np.log2(np.diag(q) / q.mean(axis=1)))
    assert contrastive_bound(torch.tensor(logits), torch.tensor(codes), 0.5) == pytest.approx(expected)
    # Perfect likelihoods of distinct codes reach the limit.
    codes = torch.tensor([[i >> k & 1 for k in range(6)] for i in range(64)])
    assert contrastive_bound(200.0 * (codes - 0.5), codes) == pytest.approx(6.0)


@pytest.fixture(scope="module")
def encoder(digits):
    small = {"width": (8, 16), "encoder_width": 8, "max_iter": 1, "n_timesteps": 50}
    return make_encoder(8, **small, random_state=0).fit(digits)


def test_information_on_images_is_reproducible(encoder, digits):
    options = {"timesteps": [0, 25, 49], "width": 8, "training_steps": 60, "random_state": 0}
    one, same = (mutual_information_over_time(encoder, digits, **options) for _ in range(2))
    assert one.equals(same)
    # Noise has no information about the code, within the error of 150 samples.
    assert one["lower_bound"][0] > 1.0 and abs(one["lower_bound"][2]) < 0.3
    assert (one["lower_bound"] <= one["limit"]).all() and (one["sum_of_bits"] <= one["entropy_of_bits"]).all()


@pytest.mark.parametrize(
    ("n", "options", "message"),
    [
        (600, {"timesteps": [50]}, "timesteps must be one or more integers from 0 to 49"),
        (30, {}, "at least 10 samples on either side of the split, got 30"),
    ],
)
def test_invalid_arguments_raise(encoder, digits, n, options, message):
    with pytest.raises(ValueError, match=message):
        mutual_information_over_time(encoder, digits[:n], **options)
