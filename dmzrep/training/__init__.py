"""Learning: the loop, its data, the average of weights, the encoder's start."""

from dmzrep.training.config import TrainingConfig
from dmzrep.training.data import TrainingData, split_indices
from dmzrep.training.encoder_start import set_linear_start
from dmzrep.training.hooks import HookList, Hooks, ProgressBar
from dmzrep.training.loop import Trainer

__all__ = [
    "HookList",
    "Hooks",
    "ProgressBar",
    "Trainer",
    "TrainingConfig",
    "TrainingData",
    "set_linear_start",
    "split_indices",
]
