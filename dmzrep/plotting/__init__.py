"""Displays: what an encoder does, as pictures. matplotlib is imported when one is drawn."""

from dmzrep.plotting._bit_table import BitTableDisplay
from dmzrep.plotting._bits import BitDisplay
from dmzrep.plotting._edits import EditDisplay
from dmzrep.plotting._history import HistoryDisplay
from dmzrep.plotting._interpolation import InterpolationDisplay
from dmzrep.plotting._label_efficiency import LabelEfficiencyDisplay
from dmzrep.plotting._latent_dims import LatentDimDisplay
from dmzrep.plotting._neighbors import NeighborsDisplay
from dmzrep.plotting._probes import ProbeDisplay
from dmzrep.plotting._reconstruction import ReconstructionDisplay
from dmzrep.plotting._samples import SampleDisplay

__all__ = [
    "BitDisplay",
    "BitTableDisplay",
    "EditDisplay",
    "HistoryDisplay",
    "InterpolationDisplay",
    "LabelEfficiencyDisplay",
    "LatentDimDisplay",
    "NeighborsDisplay",
    "ProbeDisplay",
    "ReconstructionDisplay",
    "SampleDisplay",
]
