"""Checks of what users hand to the estimator."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import validate_data

from dmzrep._base._validation import as_array, check_choice
from dmzrep.data._formats import ImageFormat, VectorFormat, learn_image_format, learn_vector_format
from dmzrep.data._hugging_face import is_hugging_face
from dmzrep.data._sources import DatasetRows, Rows
from dmzrep.diffusion._grids import timesteps_from
from dmzrep.inference import CODE_DTYPES

#: What decoding may begin from.
NOISES = ("random", "inverted")


def is_dataset(X: Any) -> bool:
    """Whether X is a map-style dataset, or one of Hugging Face's, rather than an array or a table."""
    return is_hugging_face(X) or (
        hasattr(X, "__getitem__")
        and hasattr(X, "__len__")
        and not isinstance(X, (list, tuple, str, bytes, Mapping))
        and not any(hasattr(X, name) for name in ("__array__", "__dataframe__", "iloc", "toarray", "shape"))
    )


def _as_images(X: Any) -> Any:
    """Give images as an array or row source without copying what is one already."""
    if is_dataset(X):
        return DatasetRows(X)
    return as_array(X, "X")


def all_rows(X: Any, name: str = "X") -> np.ndarray:
    """Give all rows of an array, a table or a map-style dataset as one array."""
    return DatasetRows(X)[:] if is_dataset(X) else as_array(X, name)


def check_rows(
    estimator: Any, X: Any, *, first: bool = True
) -> tuple[Rows, ImageFormat | VectorFormat, dict[str, Any]]:
    """Check the training rows and learn their format; the estimator is left as it is.

    Parameters
    ----------
    estimator : DMZEncoder
        Gives `image_shape`, `channels`, `value_range`. With `first=False` its `data_format_` is kept
        and the rows must agree.
    X : array-like, table or dataset
        Images or vectors.
    first : bool, default=True
        Whether the format is learned anew.

    Returns
    -------
    rows : ndarray or DatasetRows
        Row access in the user's layout.
    data_format : ImageFormat or VectorFormat
    attributes : dict
        `n_features_in_` and, from tables with column names, `feature_names_in_`.
    """
    if not first:
        return check_rows_to_transform(estimator, X), estimator.data_format_, {}
    if _holds_vectors(estimator, X):
        X = DatasetRows(X)[:] if is_dataset(X) else X
        stand_in = clone(estimator)  # It takes what scikit-learn sets, in case training fails.
        rows = validate_data(stand_in, X, dtype=(np.float64, np.float32), ensure_min_samples=2)
        if np.ptp(rows, axis=0).max() == 0.0:
            raise ValueError(
                "All rows of X are equal (every feature is constant); there is nothing to learn from them."
            )
        names = ("n_features_in_", "feature_names_in_")
        attributes = {name: getattr(stand_in, name) for name in names if hasattr(stand_in, name)}
        return rows, learn_vector_format(rows), attributes
    rows = _as_images(X)
    n_rows = len(rows) if rows.ndim else 0
    if n_rows < 2:
        raise ValueError(
            f"Found array with {n_rows} sample(s) (n_samples={n_rows}) while a minimum of 2 is required "
            "by DMZEncoder."
        )
    data_format = learn_image_format(
        rows,
        _image_shape(estimator.image_shape),
        estimator.channels,
        estimator.value_range,
    )
    return rows, data_format, {"n_features_in_": int(np.prod(data_format.shape))}


def _image_shape(image_shape: Any) -> tuple[int, ...] | None:
    if image_shape is None:
        return None
    if len(image_shape) not in (2, 3) or not all(isinstance(n, Integral) and int(n) > 0 for n in image_shape):
        raise ValueError(
            "image_shape must be (H, W), (H, W, C) or (C, H, W) in whole numbers, or None. "
            f"Got {image_shape!r}."
        )
    return tuple(int(n) for n in image_shape)


def _holds_vectors(estimator: Any, X: Any) -> bool:
    if estimator.image_shape is not None:
        return False
    if is_dataset(X):
        return DatasetRows(X).ndim == 2
    ndim = getattr(X, "ndim", None)
    return (as_array(X, "X").ndim if ndim is None and isinstance(X, (list, tuple)) else ndim or 2) <= 2


def check_rows_to_transform(estimator: Any, X: Any) -> np.ndarray | DatasetRows:
    """Check rows against the fitted format; nothing of the estimator changes."""
    data_format = estimator.data_format_
    if isinstance(data_format, VectorFormat):
        if is_dataset(X):
            X = DatasetRows(X)[:]
        vectors = validate_data(estimator, X, dtype=(np.float64, np.float32), reset=False)
        data_format.check(vectors)
        return vectors
    rows = _as_images(X)
    data_format.check(rows)
    return rows


def check_out(out: Any, shape: tuple[int, int], output: str) -> None:
    """Raise unless an array can take codes of a shape as `output` says."""
    dtype = np.dtype(CODE_DTYPES[output])
    remedy = f"Make it with numpy.empty({shape}, numpy.{dtype}), or a memmap of that shape and dtype."
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array or memmap, got {type(out).__name__}. {remedy}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, (n, latent_dim), got {out.shape}. {remedy}")
    if out.dtype != dtype:
        raise ValueError(f"out must have dtype {dtype} for output={output!r}, got {out.dtype}. {remedy}")
    if not out.flags.writeable:
        raise ValueError("out is read-only. Open a memmap with mode='r+' or 'w+' to write codes into it.")


def check_start(
    estimator: Any, like: Any, n_codes: int, noise: str, start: float
) -> np.ndarray | DatasetRows | None:
    """Check what decoding begins from; give the rows of `like`, or None where none are needed."""
    check_choice("noise", noise, NOISES)
    timesteps_from(estimator.objective_.schedule.n_timesteps, start)
    needed = noise == "inverted" or start < 1.0
    if like is None:
        if needed:
            cause = "noise='inverted'" if noise == "inverted" else f"strength={start!r}"
            raise ValueError(
                f"{cause} needs `like`: the rows to begin from, one for each code. "
                "Pass the rows that the codes were made from, or use noise='random' and strength=1.0."
            )
        return None
    try:
        rows = check_rows_to_transform(estimator, like)
    except ValueError as error:
        error.add_note("This is about like.")
        raise
    if len(rows) != n_codes:
        raise ValueError(
            f"like must have one row for each code, {n_codes}, got {len(rows)}. "
            "Repeat a row to begin several codes from it."
        )
    return rows if needed else None
