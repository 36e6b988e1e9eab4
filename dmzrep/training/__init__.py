"""Training: the loop, its data, its parameters, and the initialisation of the encoder."""

from dmzrep.training._augmentation import RandomAffine
from dmzrep.training._budget import Budget
from dmzrep.training._checkpoint import Checkpoints
from dmzrep.training._config import TrainingConfig
from dmzrep.training._data import TrainingData, split_indices
from dmzrep.training._hooks import HookList, Hooks, ProgressBar
from dmzrep.training._loop import REPORT_SAMPLES, Trainer
from dmzrep.training._options import Training
from dmzrep.training._validation import VALIDATION_SAMPLES
from dmzrep.training.distributed._join import find_processes
from dmzrep.training.distributed._processes import Processes
from dmzrep.training.init._alignment import are_aligned
from dmzrep.training.init._cca import set_invariant_start
from dmzrep.training.init._linear import set_layout_start, set_linear_start

__all__ = [
    "REPORT_SAMPLES",
    "VALIDATION_SAMPLES",
    "Budget",
    "Checkpoints",
    "HookList",
    "Hooks",
    "Processes",
    "ProgressBar",
    "RandomAffine",
    "Trainer",
    "Training",
    "TrainingConfig",
    "TrainingData",
    "are_aligned",
    "find_processes",
    "set_invariant_start",
    "set_layout_start",
    "set_linear_start",
    "split_indices",
]
