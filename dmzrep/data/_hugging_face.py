"""Columns of Hugging Face datasets as arrays."""

from typing import Any

import numpy as np

from dmzrep._base._validation import short_repr
from dmzrep.data._pictures import convert_picture, is_picture, plain_mode


class ImageColumn:
    """A column of a Hugging Face `datasets.Dataset` as a map-style dataset of arrays.

    `DMZEncoder` accepts such datasets directly where one column holds images; this chooses the column, or
    the mode of the pictures.

    Parameters
    ----------
    dataset : datasets.Dataset
        Pictures are read and decoded on access.
    column : str or None, default=None
        Column of pictures or arrays. None selects the only column of pictures, else of arrays with two or
        more axes, else of vectors.
    mode : str or None, default=None
        Pillow mode to which pictures are converted, such as "L" (grey) or "RGB": 16-bit pixels keep their
        upper 8 bits, and transparent pixels are composited on white. None takes the mode of the first
        picture; palettes become RGB.

    Raises
    ------
    ValueError
        The dataset is empty, no column or more than one is suitable, or the modes of pictures differ.
    KeyError
        There is no such column.
    TypeError
        `dataset` is not a Hugging Face dataset, or `column` or `mode` is not a string.

    See Also
    --------
    DMZEncoder.fit : Accepts image columns and datasets.

    Examples
    --------
    >>> from dmzrep.datasets import ImageColumn
    >>> faces = datasets.load_dataset("faces", split="train")  # doctest: +SKIP
    >>> encoder = DMZEncoder(64).fit(ImageColumn(faces, "portrait", mode="L"))  # doctest: +SKIP
    """

    def __init__(self, dataset: Any, column: str | None = None, *, mode: str | None = None):
        if not is_hugging_face(dataset):
            raise TypeError(
                f"dataset must be a Hugging Face datasets.Dataset, got {type(dataset).__name__}. Pass "
                "arrays and torch datasets to fit directly."
            )
        for name, value in (("column", column), ("mode", mode)):
            if not (value is None or isinstance(value, str)):
                raise TypeError(f"{name} must be a string or None, got {short_repr(value)}.")
        if len(dataset) == 0:
            raise ValueError("The dataset has 0 sample(s); at least 2 are needed to fit, 1 to transform.")
        first = dataset[0]
        self.column = _find_column(first) if column is None else column
        if self.column not in first:
            raise KeyError(f"There is no column {self.column!r}; there are {sorted(first)}.")
        value = first[self.column]
        self.dtype: str | None = None
        if dataset.format["type"] is None:  # Otherwise, the user has set the format of items.
            dataset = dataset.select_columns([self.column])
            if not is_picture(value):
                # Without its dtype, arrays and nested lists would be read in another one.
                feature = dataset.features[self.column]
                while hasattr(feature, "feature"):
                    feature = feature.feature
                self.dtype = feature.dtype
                dataset = dataset.with_format("numpy", dtype=np.dtype(self.dtype))
        self.dataset = dataset
        self.mode: Any = mode
        self._convert_all = mode is not None
        if mode is None and is_picture(value):
            self.mode = plain_mode(value.mode)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, i: int) -> np.ndarray:
        value = self.dataset[int(i)][self.column]
        if not is_picture(value):
            return np.asarray(value, dtype=self.dtype)
        if not self._convert_all and plain_mode(value.mode) != self.mode:
            raise ValueError(
                f"The first picture of column {self.column!r} has mode {self.mode!r}, but one has mode "
                f"{value.mode!r}. Convert all to one: ImageColumn(dataset, {self.column!r}, mode='RGB'), or "
                "mode='L' for grey."
            )
        return np.asarray(convert_picture(value, self.mode))


def is_hugging_face(X: Any) -> bool:
    """Whether X is a Hugging Face dataset or a dictionary of them, without importing `datasets`."""
    names = {f"{kind.__module__}.{kind.__name__}" for kind in type(X).__mro__}
    return not names.isdisjoint(_KINDS)


def map_style(X: Any) -> ImageColumn:
    """Return the images of a Hugging Face dataset; raise if it has no random access."""
    if len(getattr(X, "keys", list)()):
        raise ValueError(
            f"X holds {len(X)} datasets, {sorted(X)}. Choose one, such as X[{min(X)!r}], or join them with "
            "datasets.concatenate_datasets."
        )
    if not hasattr(X, "__len__"):
        raise ValueError(
            "X is a streamed dataset, which has no random access. Load it without streaming=True, "
            "or pass chunks of it to partial_fit and transform as arrays."
        )
    return ImageColumn(X)


_KINDS = {
    "datasets.arrow_dataset.Dataset",
    "datasets.dataset_dict.DatasetDict",
    "datasets.dataset_dict.IterableDatasetDict",
    "datasets.iterable_dataset.IterableDataset",
}


def _find_column(sample: dict[str, Any]) -> str:
    kinds = {name: _kind(value) for name, value in sample.items()}
    for kind in ("pictures", "arrays", "vectors"):
        found = [name for name, found_kind in kinds.items() if found_kind == kind]
        if len(found) > 1:
            raise ValueError(
                f"Several columns of the dataset hold {kind}: {found}. Name the one to use: "
                f"dmzrep.datasets.ImageColumn(dataset, {found[0]!r})."
            )
        if found:
            return found[0]
    raise ValueError(f"None of the dataset's columns, {sorted(sample)}, holds pictures or arrays of numbers.")


def _kind(value: Any) -> str | None:
    """Return "pictures", "arrays" (of two or more axes) or "vectors", or None for other values."""
    if is_picture(value):
        return "pictures"
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # Lists of different lengths.
        return None
    if array.ndim == 0 or array.dtype.kind not in "biuf":
        return None
    return "arrays" if array.ndim > 1 else "vectors"
