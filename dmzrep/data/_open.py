"""Conversion of input data to sources of samples, and their formats."""

import contextlib
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any

import narwhals as nw
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from dmzrep._base._validation import as_array, without_graph
from dmzrep.data._hugging_face import is_hugging_face
from dmzrep.data._image_format import ImageFormat, learn_image_format
from dmzrep.data._paths import PathReader, is_paths, open_paths
from dmzrep.data._sources import CheckedSource, DatasetSource, Source, Subset, is_on_disk
from dmzrep.data._vector_format import VectorFormat, learn_vector_format

_VECTOR_DTYPES = (np.float64, np.float32)


def open_training_data(
    estimator: Any, X: Any, reader: PathReader | None = None
) -> tuple[Source, ImageFormat | VectorFormat, dict[str, Any]]:
    """Return training data as a source, their format, and the attributes that scikit-learn sets.

    The estimator provides `image_shape`, `channels` and `value_range`, and is not changed. Arrays are checked
    here, datasets when they are read; the `reader` turns paths into arrays.
    """
    if is_paths(X):
        X = open_paths(reader, X, repeatedly=True)
    source: Any = as_source(X)
    # Collects the attributes that scikit-learn sets, so that a failed fit leaves the estimator unchanged.
    stand_in = type(type(estimator).__name__, (BaseEstimator,), {})()
    if is_table(X):
        validate_data(stand_in, X, skip_check_array=True)
    attributes = vars(stand_in)
    if estimator.image_shape is None and source.ndim <= 2:
        vectors = _check_vectors(stand_in, X, source, ensure_min_samples=2)
        if np.ptp(vectors, axis=0).max() == 0.0:
            raise ValueError(
                "All samples of X are equal (every feature is constant); there is nothing to learn from them."
            )
        return vectors, learn_vector_format(vectors), attributes
    n_samples = len(source) if source.ndim else 0
    if n_samples < 2:
        raise ValueError(
            f"Found array with {n_samples} sample(s) (n_samples={n_samples}) while a minimum of 2 is "
            "required by DMZEncoder."
        )
    image_format = learn_image_format(
        source, _image_shape(estimator.image_shape), estimator.channels, estimator.value_range
    )
    if not isinstance(source, np.ndarray):
        source = CheckedSource(source, image_format)
    return source, image_format, attributes | {"n_features_in_": int(np.prod(image_format.shape))}


def open_like_fitted(estimator: Any, X: Any, *, repeatedly: bool = False) -> Source:
    """Return data in the fitted format as a source; the estimator is not changed.

    Arrays in memory are checked here, memory maps and datasets when they are read. Picture files are decoded
    when they are read, or, if they will be read `repeatedly`, once into an array file.
    """
    data_format = estimator.data_format_
    if is_paths(X):
        X = open_paths(estimator.image_reader_, X, repeatedly=repeatedly)
    if is_table(X):
        validate_data(estimator, X, reset=False, skip_check_array=True)
    source = as_source(X)
    if isinstance(data_format, VectorFormat):
        vectors = _check_vectors(estimator, X, source, reset=False)
        data_format.check_values(vectors)
        return vectors
    data_format.check_shape(source)
    if data_format.flat and not is_table(X):  # Warns if feature names were seen in fit.
        validate_data(estimator, source, reset=False, skip_check_array=True)
    if isinstance(source, np.ndarray) and not is_on_disk(source):
        data_format.check_values(source)
        return source
    return CheckedSource(source, data_format)


def _check_vectors(estimator: Any, X: Any, source: Any, *, reset: bool = True, **options: Any) -> np.ndarray:
    """Return vectors validated by scikit-learn; the columns of tables are checked elsewhere."""
    samples = source[:] if source.ndim else source
    if is_table(X):
        return check_array(samples, dtype=_VECTOR_DTYPES, estimator=estimator, input_name="X", **options)
    samples = without_graph(samples) if hasattr(samples, "requires_grad") else samples
    return validate_data(estimator, samples, dtype=_VECTOR_DTYPES, reset=reset, **options)


def read_all(X: Any, name: str = "X") -> np.ndarray:
    """Return all samples of an array, a table or a dataset as one array."""
    source = as_source(X, name)
    return source if isinstance(source, np.ndarray) else source[:]


def is_dataset(X: Any) -> bool:
    """Whether X is a map-style dataset, or a Hugging Face one, rather than an array or a table."""
    return is_hugging_face(X) or (
        hasattr(X, "__getitem__")
        and hasattr(X, "__len__")
        and not isinstance(X, (list, tuple, str, bytes, Mapping))
        and not any(hasattr(X, name) for name in ("__array__", "__dataframe__", "iloc", "toarray", "shape"))
    )


def is_table(X: Any) -> bool:
    """Whether X is a data frame of pandas, polars, pyarrow or another library that narwhals supports."""
    return nw.dependencies.is_into_dataframe(X)


def as_source(X: Any, name: str = "X") -> Source:
    """Return an array, or a source that reads samples of a dataset; raise for inputs without samples."""
    if isinstance(X, (CheckedSource, DatasetSource, Subset)):
        return X
    if is_dataset(X):
        return DatasetSource(X)
    if is_table(X):
        return _table_to_array(X, name)
    if isinstance(X, (list, tuple)) and len(X) and _is_item(X[0]):
        return DatasetSource(X)[:]
    _refuse(X, name)
    return as_array(X, name)


def _is_item(value: Any) -> bool:
    """Whether an entry of a list is an item of a dataset; scikit-learn's folds are lists of such items."""
    if isinstance(value, tuple) and len(value):
        shapes = [np.shape(part) if hasattr(part, "shape") else None for part in value]
        return _is_item(value[0]) and (len(np.shape(value[0])) > 1 or shapes != shapes[:1] * len(value))
    return (hasattr(value, "shape") and len(value.shape) > 0) or hasattr(value, "__array_interface__")


def _refuse(X: Any, name: str) -> None:
    """Raise for common mistakes, with a remedy."""
    kind = type(X).__name__
    if X is None:
        raise ValueError(f"{name} must be an array or a dataset, got None. Pass the samples.")
    if hasattr(X, "dataset") and hasattr(X, "batch_size"):
        raise ValueError(
            f"{name} must be an array or a dataset, got a {kind}. Pass its dataset: {name}.dataset."
        )
    if isinstance(X, Mapping):
        raise ValueError(
            f"{name} must be an array or a dataset, got a {kind} with the keys {list(X)}. Pass the "
            "entry that holds the samples."
        )
    if is_paths(X):
        raise ValueError(
            f"{name} must be an array or a dataset, got a path. Read pictures with "
            "dmzrep.datasets.load_images, an array with numpy.load(path, mmap_mode='r')."
        )
    if np.ma.is_masked(X):
        first = int(np.flatnonzero(np.ma.getmaskarray(X).reshape(len(X), -1).any(axis=1))[0])
        raise ValueError(
            f"{name} is a masked array with missing values (first in sample {first}). Drop or fill them "
            f"first, such as with {name}.filled(value)."
        )
    is_array = hasattr(X, "__array__") or hasattr(X, "shape")
    if isinstance(X, Iterable) and not is_array and not (hasattr(X, "__len__") and hasattr(X, "__getitem__")):
        raise ValueError(
            f"{name} must be an array or a dataset with a length, got a {kind}, which can only be iterated. "
            f"Stack its samples into an array, numpy.stack(list({name})), or pass chunks of it to "
            "partial_fit and transform."
        )


def _table_to_array(X: Any, name: str) -> np.ndarray:
    """Convert a table to an array; raise for missing values and text, with the name of the column."""
    arrays = []
    for column in nw.from_native(X, eager_only=True).iter_columns():
        n_missing = int(column.null_count())
        if n_missing:
            first = int(np.flatnonzero(column.is_null().to_numpy())[0])
            raise ValueError(
                f"Input {name} contains NaN or other missing values: column {column.name!r} has {n_missing} "
                f"(first in sample {first}). Drop or fill them first."
            )
        values = column.to_numpy()
        if values.dtype.kind == "O":
            with contextlib.suppress(TypeError, ValueError):
                values = values.astype(np.float64)
        if values.dtype.kind not in "buif":
            raise ValueError(
                f"{name} must be a table of numbers, but column {column.name!r} has dtype {column.dtype}. "
                "Drop or encode it first."
            )
        arrays.append(values)
    return np.column_stack(arrays) if arrays else np.empty((len(X), 0))


def _image_shape(image_shape: Any) -> tuple[int, ...] | None:
    if image_shape is None:
        return None
    if len(image_shape) not in (2, 3) or not all(isinstance(n, Integral) and int(n) > 0 for n in image_shape):
        raise ValueError(
            f"image_shape must be (H, W), (H, W, C) or (C, H, W) in integers, or None. Got {image_shape!r}."
        )
    return tuple(int(n) for n in image_shape)
