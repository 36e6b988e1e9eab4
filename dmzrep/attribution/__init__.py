"""Attribution of bits: the pixels that set them, their effect on decoded images, and related attributes."""

from dmzrep.attribution._effects import BitEffects, bit_effects
from dmzrep.attribution._pixels import Attributions, attribute_bits
from dmzrep.attribution._table import bit_table

__all__ = ["Attributions", "BitEffects", "attribute_bits", "bit_effects", "bit_table"]
