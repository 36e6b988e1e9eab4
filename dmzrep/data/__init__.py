"""Data formats and sources: arrays, tables and map-style data sets to tensors and back."""

from dmzrep.data._hugging_face import ImageColumn

__all__ = ["ImageColumn"]
