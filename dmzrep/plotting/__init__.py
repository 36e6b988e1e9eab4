"""Displays: what an encoder does, as pictures. matplotlib is imported when one is drawn."""

from dmzrep.plotting.bit_table import BitTableDisplay
from dmzrep.plotting.bits import BitDisplay
from dmzrep.plotting.edits import EditDisplay
from dmzrep.plotting.history import HistoryDisplay
from dmzrep.plotting.label_efficiency import LabelEfficiencyDisplay
from dmzrep.plotting.latent_dims import LatentDimDisplay
from dmzrep.plotting.neighbors import NeighborsDisplay
from dmzrep.plotting.probes import ProbeDisplay
from dmzrep.plotting.reconstruction import ReconstructionDisplay
from dmzrep.plotting.samples import SampleDisplay
from dmzrep.plotting.walks import InterpolationDisplay

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
