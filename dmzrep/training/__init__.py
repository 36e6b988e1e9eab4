"""Training: the loop, its data, its parameters, and the initialisation of the encoder."""

from dmzrep.training._augmentation import RandomViews
from dmzrep.training._budget import Budget
from dmzrep.training._checkpoint import Checkpoints
from dmzrep.training._data import TrainingData, split_indices
from dmzrep.training._hooks import HookList, Hooks, ProgressBar
from dmzrep.training._loop import HISTORY_COLUMNS, REPORT_SAMPLES, Trainer
from dmzrep.training._options import Training, TrainingConfig
from dmzrep.training._processes import Processes, find_processes
from dmzrep.training._validation import VALIDATION_SAMPLES
from dmzrep.training.init._alignment import are_aligned
from dmzrep.training.init._cca import init_cca
from dmzrep.training.init._gaussian import GAUSSIAN_IMAGES, init_gaussian
from dmzrep.training.init._linear import init_linear
from dmzrep.training.init._neighbour_cca import init_neighbour_cca
from dmzrep.training.init._neighbours import init_neighbours

__all__ = [
    "GAUSSIAN_IMAGES",
    "HISTORY_COLUMNS",
    "REPORT_SAMPLES",
    "VALIDATION_SAMPLES",
    "Budget",
    "Checkpoints",
    "HookList",
    "Hooks",
    "Processes",
    "ProgressBar",
    "RandomViews",
    "Trainer",
    "Training",
    "TrainingConfig",
    "TrainingData",
    "are_aligned",
    "find_processes",
    "init_cca",
    "init_gaussian",
    "init_linear",
    "init_neighbour_cca",
    "init_neighbours",
    "split_indices",
]
