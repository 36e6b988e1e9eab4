"""Information over time where it is known: signs of numbers in Gaussian noise."""

import math

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator

from dmzrep import DMZEncoder, Network, Training
from dmzrep.data import VectorFormat
from dmzrep.datasets import load_digits_images
from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.metrics import mutual_information_over_time
from dmzrep.metrics._information import contrastive_bound


class Signs(BaseEstimator):
    """An encoder of vectors of -1 and +1 to a bit for each of some columns."""

    def __init__(self, columns, n_features):
        self.columns, self.n_features = columns, n_features
        self.data_format_ = VectorFormat(np.zeros(n_features), np.ones(n_features), "float64", 1.0)
        self.objective_ = Objective(NoiseSchedule.named("cosine", 100))

    def fit(self, X):
        return self

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


pytestmark = pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")

OPTIONS = {"width": 8, "training_steps": 300, "timesteps": [10, 40, 60, 75, 99]}


def test_bounds_of_independent_bits_are_near_the_information(signs):
    encoder = Signs([0, 1], 2)
    table = mutual_information_over_time(encoder, signs, **OPTIONS)
    true = 2.0 * np.array(
        [information_of_a_noisy_sign(encoder.objective_.schedule.alpha_bar[t]) for t in table["timestep"]]
    )
    assert true[0] > 1.99 and 0.5 < true[2] < 1.6 and true[-1] < 0.01
    for name in ("lower_bound", "sum_of_bits"):
        # Of 1,000 samples, whose mean has a deviation of about 0.03.
        assert (table[name] < true + 0.1).all() and (table[name] > true - 0.15).all()
    assert table["entropy_of_bits"].tolist() == pytest.approx([2.0] * 5, abs=0.01)
    assert table["signal"].tolist() == pytest.approx(
        np.sqrt(encoder.objective_.schedule.alpha_bar[OPTIONS["timesteps"]]).tolist()
    )
    assert table["limit"].unique().tolist() == [math.log2(1000)]


def test_equal_bits_are_counted_once_by_the_bound(signs):
    encoder = Signs([0, 0, 0], 2)
    table = mutual_information_over_time(encoder, signs, **OPTIONS)
    true = np.array(
        [information_of_a_noisy_sign(encoder.objective_.schedule.alpha_bar[t]) for t in table["timestep"]]
    )
    assert (table["lower_bound"] < true + 0.07).all() and (table["lower_bound"] > true - 0.12).all()
    assert table["sum_of_bits"].to_numpy()[:3] == pytest.approx(3.0 * true[:3], abs=0.25)


def test_the_contrastive_bound_is_that_of_a_loop():
    random = np.random.default_rng(0)
    logits, codes = random.normal(size=(300, 4)), random.integers(0, 2, (300, 4))
    p = 1.0 / (1.0 + np.exp(-logits))
    q = np.array([[np.prod(np.where(z == 1, row, 1 - row)) for z in codes] for row in p]) ** 0.5
    expected = np.mean(np.log2(np.diag(q) / q.mean(axis=1)))
    assert contrastive_bound(torch.tensor(logits), torch.tensor(codes), 0.5) == pytest.approx(expected)
    # Perfect likelihoods of codes that all differ reach the limit.
    codes = torch.tensor([[i >> k & 1 for k in range(6)] for i in range(64)])
    assert contrastive_bound(200.0 * (codes - 0.5), codes) == pytest.approx(6.0)


@pytest.fixture(scope="module")
def digits():
    return load_digits_images().images[:600]


@pytest.fixture(scope="module")
def encoder(digits):
    return DMZEncoder(
        8,
        network=Network(width=(8, 16), encoder_width=8),
        max_iter=1,
        training=Training(n_timesteps=50),
        random_state=0,
    ).fit(digits)


def test_one_seed_one_table_on_images(encoder, digits):
    options = {"timesteps": [0, 25, 49], "width": 8, "training_steps": 60}
    one, same = (mutual_information_over_time(encoder, digits, **options) for _ in range(2))
    assert one.equals(same)
    # Noise has no information about the code, within the error of 150 samples.
    assert one["lower_bound"][0] > 1.0 and abs(one["lower_bound"][2]) < 0.3
    assert (one["lower_bound"] <= one["limit"]).all() and (one["sum_of_bits"] <= one["entropy_of_bits"]).all()


def test_bad_arguments_are_refused(encoder, digits):
    with pytest.raises(ValueError, match="timesteps must be from 0 to 49"):
        mutual_information_over_time(encoder, digits, timesteps=[50])
    with pytest.raises(ValueError, match="timesteps must be whole numbers"):
        mutual_information_over_time(encoder, digits, timesteps=[0.5])
    with pytest.raises(ValueError, match="at least 10 samples on either side of the split, got 30"):
        mutual_information_over_time(encoder, digits[:30])
    with pytest.raises(ValueError, match="test_size must be a float in the range"):
        mutual_information_over_time(encoder, digits, test_size=2)
