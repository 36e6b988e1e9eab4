"""Small trainers, data and hooks for the tests of training."""

import numpy as np
import torch

from dmzrep.diffusion._objective import Objective
from dmzrep.diffusion._schedule import NoiseSchedule
from dmzrep.networks._model import DiffusionAutoencoder, NetworkConfig, memory_format
from dmzrep.training import Budget, Hooks, Processes, Trainer, TrainingData
from tests.encoders import make_config

IMAGES = NetworkConfig((1, 8, 8), 4, "unet", (8,), (1, 1), encoder_width=4)
VECTORS = NetworkConfig((6,), 3, "mlp", (32,), (2,), encoder_width=16)
SETTINGS = {"max_epochs": 2, "batch_size": 16, "learning_rate": 3e-3}
SETTINGS |= {"warmup_steps": 2, "ema_half_life": 100.0}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_trainer(network=VECTORS, seed=0, objective=None, budget=None, **settings):
    torch.manual_seed(seed)
    model = DiffusionAutoencoder(network).to(memory_format=memory_format(network))
    objective = objective or Objective(NoiseSchedule.named("cosine", 50))
    return Trainer(model, objective, make_config(**SETTINGS | settings), seed, budget)


def draw_samples(network=VECTORS, n=64, seed=0):
    """Return samples around one of two centres, in model units."""
    rng = np.random.default_rng(seed)
    centres = np.sign(rng.normal(size=(2, *network.data_shape)))
    X = centres[rng.integers(2, size=n)] * 0.8 + 0.1 * rng.normal(size=(n, *network.data_shape))
    return X.astype(np.float32)


def make_data(network=VECTORS, n=64, seed=0, X=None):
    X = draw_samples(network, n, seed) if X is None else X

    def prepare(raw):
        return raw.contiguous(memory_format=memory_format(network))

    return TrainingData(X, prepare, np.arange(len(X)), torch.device("cpu"))


def copy_weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_equal_weights(first, second):
    first, second = (m if isinstance(m, dict) else m.state_dict() for m in (first, second))
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


class At(Hooks):
    """Hook that calls a function of the trainer after a step, counted from 1."""

    def __init__(self, step, function):
        self.step, self.function = step, function

    def step_end(self, trainer, loss):
        if trainer.step == self.step:
            self.function(trainer)


class Clock(Hooks):
    """Clock that advances by one second per step only."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def budget(self, limit):
        return Budget(limit, Processes(clock=self))

    def step_end(self, trainer, loss):
        self.now += 1.0
