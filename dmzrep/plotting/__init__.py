"""Displays of encoders, codes and reports; Matplotlib is imported when one is drawn."""

from dmzrep.plotting._bit_table import BitTableDisplay
from dmzrep.plotting._bits import BitDisplay
from dmzrep.plotting._decoded import ReconstructionDisplay, SampleDisplay
from dmzrep.plotting._edited import EditDisplay, InterpolationDisplay
from dmzrep.plotting._history import HistoryDisplay
from dmzrep.plotting._image_grid import ImageGridDisplay
from dmzrep.plotting._latent_dims import LatentDimDisplay
from dmzrep.plotting._neighbors import NeighborsDisplay
from dmzrep.plotting._probes import LabelEfficiencyDisplay, ProbeDisplay

__all__ = [
    "BitDisplay",
    "BitTableDisplay",
    "EditDisplay",
    "HistoryDisplay",
    "ImageGridDisplay",
    "InterpolationDisplay",
    "LabelEfficiencyDisplay",
    "LatentDimDisplay",
    "NeighborsDisplay",
    "ProbeDisplay",
    "ReconstructionDisplay",
    "SampleDisplay",
]
