"""What bits look at, what they draw, and which attributes they go with."""

from dmzrep.attribution._effects import BitEffects, bit_effects
from dmzrep.attribution._pixels import Attributions, attribute_bits
from dmzrep.attribution._table import bit_table

__all__ = ["Attributions", "BitEffects", "attribute_bits", "bit_effects", "bit_table"]
