"""Learning: the loop, its data, the average of weights, the encoder's start."""

from dmzrep.training.alignment import are_aligned
from dmzrep.training.augmentation import RandomAffine
from dmzrep.training.checkpoint import Checkpoints
from dmzrep.training.config import TrainingConfig
from dmzrep.training.data import TrainingData, split_indices
from dmzrep.training.encoder_start import set_layout_start, set_linear_start
from dmzrep.training.hidden_bits import prefix_lengths
from dmzrep.training.hooks import HookList, Hooks, ProgressBar
from dmzrep.training.invariant_start import set_invariant_start
from dmzrep.training.loop import Trainer
from dmzrep.training.processes import Processes, find_processes
from dmzrep.training.validation import VALIDATION_ROWS

__all__ = [
    "VALIDATION_ROWS",
    "Checkpoints",
    "HookList",
    "Hooks",
    "Processes",
    "ProgressBar",
    "RandomAffine",
    "Trainer",
    "TrainingConfig",
    "TrainingData",
    "are_aligned",
    "find_processes",
    "prefix_lengths",
    "set_invariant_start",
    "set_layout_start",
    "set_linear_start",
    "split_indices",
]
