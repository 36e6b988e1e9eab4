"""Data formats and sources: conversion of arrays, tables and map-style datasets to tensors and back."""

from dmzrep.data._hugging_face import ImageColumn
from dmzrep.data._image_format import ImageFormat, as_rgb, find_layout, find_range, learn_image_format
from dmzrep.data._open import is_dataset, open_like_fitted, open_training_data, read_all
from dmzrep.data._paths import is_paths
from dmzrep.data._pictures import convert_picture
from dmzrep.data._sources import DatasetSource, Source, Subset, is_on_disk, to_tensor
from dmzrep.data._vector_format import VectorFormat, learn_vector_format

__all__ = [
    "DatasetSource",
    "ImageColumn",
    "ImageFormat",
    "Source",
    "Subset",
    "VectorFormat",
    "as_rgb",
    "convert_picture",
    "find_layout",
    "find_range",
    "is_dataset",
    "is_on_disk",
    "is_paths",
    "learn_image_format",
    "learn_vector_format",
    "open_like_fitted",
    "open_training_data",
    "read_all",
    "to_tensor",
]
