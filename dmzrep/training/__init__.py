"""Learning: the loop, its data, the average of weights, the encoder's start."""

from dmzrep.training._augmentation import RandomAffine
from dmzrep.training._checkpoint import Checkpoints
from dmzrep.training._config import TrainingConfig
from dmzrep.training._data import TrainingData, split_indices
from dmzrep.training._hooks import HookList, Hooks, ProgressBar
from dmzrep.training._loop import Trainer
from dmzrep.training._validation import VALIDATION_ROWS
from dmzrep.training.distributed._processes import Processes, find_processes
from dmzrep.training.init._alignment import are_aligned
from dmzrep.training.init._cca import set_invariant_start
from dmzrep.training.init._linear import set_layout_start, set_linear_start

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
    "set_invariant_start",
    "set_layout_start",
    "set_linear_start",
    "split_indices",
]
