"""Displays: what an encoder does, as pictures. matplotlib is imported when one is drawn."""

from dmzrep.plotting.history import HistoryDisplay
from dmzrep.plotting.neighbors import NeighborsDisplay
from dmzrep.plotting.reconstruction import ReconstructionDisplay
from dmzrep.plotting.samples import SampleDisplay

__all__ = ["HistoryDisplay", "NeighborsDisplay", "ReconstructionDisplay", "SampleDisplay"]
