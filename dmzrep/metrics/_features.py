"""Features of images, and their mean and covariance."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from dmzrep._base._validation import as_array, as_numbers, short_repr
from dmzrep.errors import PersistenceError
from dmzrep.files._container import read_file, write_file
from dmzrep.metrics._results import FeatureSource

#: Features that are handed over as such have no extractor.
GIVEN = FeatureSource("given features")

#: Images -> features of shape (n, n_features). Attributes `name`, `sha256` and `resize`, where it has them,
#: are kept with every result.
Extractor = Callable[[Any], np.ndarray]

#: Features whose products, to the third power, stay within floats.
LARGEST_FEATURE = 1e45


@dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """Mean and covariance of features, all that a Frechet distance needs of a set of images.

    Parameters
    ----------
    mean : ndarray of shape (n_features,)
        Float64.
    covariance : ndarray of shape (n_features, n_features)
        Float64, with n - 1 in the denominator.
    n_samples : int
        Images.
    source : FeatureSource
        Where the features come from.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.metrics import extract_features
    >>> statistics = extract_features(np.array([[0.0, 1.0], [2.0, 3.0]])).statistics
    >>> statistics.mean.tolist(), statistics.covariance.tolist()
    ([1.0, 2.0], [[2.0, 2.0], [2.0, 2.0]])
    """

    mean: np.ndarray
    covariance: np.ndarray
    n_samples: int
    source: FeatureSource = GIVEN

    def save(self, path: str | os.PathLike) -> None:
        """Write the statistics to one file, for use as a reference later."""
        values = {"kind": "FeatureStatistics", "n_samples": self.n_samples, "source": asdict(self.source)}
        write_file(path, values, {"mean": self.mean, "covariance": self.covariance})

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        PersistenceError
            The file is damaged, or holds something else.
        """
        values, arrays = read_file(path)
        if values.get("kind") != "FeatureStatistics":
            raise PersistenceError(f"{path} does not hold FeatureStatistics; it was saved by something else.")
        source = FeatureSource(**values["source"])
        return cls(arrays["mean"], arrays["covariance"], values["n_samples"], source)


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features of a set of images, extracted once for several measures.

    Parameters
    ----------
    features : ndarray of shape (n, n_features)
        Float64, finite.
    source : FeatureSource
        Where they come from.
    """

    features: np.ndarray
    source: FeatureSource = GIVEN

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def statistics(self) -> FeatureStatistics:
        """Mean and covariance."""
        if len(self) < 2:
            raise ValueError(f"A covariance needs at least 2 samples, got {len(self)}.")
        covariance = np.atleast_2d(np.cov(self.features, rowvar=False))
        return FeatureStatistics(self.features.mean(axis=0), covariance, len(self), self.source)


def extract_features(
    images: Any, extractor: Extractor | None = None, *, argument: str = "images"
) -> FeatureSet:
    """Turn images into features, with a note of where they come from.

    Parameters
    ----------
    images : array-like or FeatureSet
        Images as the extractor takes them; features of shape (n, n_features) where there is none; or
        a `FeatureSet`, which is given back.
    extractor : callable or None, default=None
        Such as `InceptionFeatures` or `ClassifierFeatures`; or any function of images.
    argument : str, default="images"
        What to call the images in errors.

    Returns
    -------
    FeatureSet

    Raises
    ------
    ValueError
        Features are not of shape (n, n_features), or not finite.
    TypeError
        The extractor is no function.

    Examples
    --------
    >>> import numpy as np
    >>> from dmzrep.metrics import extract_features
    >>> def brightness(images):
    ...     return images.mean(axis=(1, 2))[:, None]
    >>> features = extract_features(np.ones((3, 8, 8)), brightness)
    >>> features.features.tolist(), features.source.name
    ([[1.0], [1.0], [1.0]], 'brightness')
    """
    if isinstance(images, FeatureSet):
        return images
    if extractor is None:
        source, features = GIVEN, as_numbers(images, argument)
        made_by = f"{argument}, without an extractor,"
    elif not callable(extractor):
        raise TypeError(f"extractor must be a function of images, or None, got {short_repr(extractor)}.")
    else:
        source = _source_of(extractor)
        features = as_array(extractor(images), f"what extractor {source.name!r} gives")
        made_by = f"The extractor {source.name!r}, of {argument},"
    if features.ndim != 2 or 0 in features.shape or features.dtype.kind not in "buif":
        raise ValueError(
            f"{made_by} must give numbers of shape (n, n_features), got shape {features.shape} and dtype "
            f"{features.dtype}. Flatten the features of an image"
            + (", or pass an extractor with images." if extractor is None else ".")
        )
    if extractor is not None and getattr(images, "shape", None) == ():
        raise ValueError(f"{argument} must be images, one a row, got a single value.")
    if extractor is not None and len(features) != len(images):
        raise ValueError(f"{made_by} must give a row for each of {len(images)} images, got {len(features)}.")
    features = features.astype(np.float64)
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{made_by} gave NaN or infinity for {int((~finite).sum())} of {len(features)} rows (first in "
            f"row {int(np.argmin(finite))}); a distance would mean nothing. Look at those images."
        )
    largest = np.abs(features).max()
    if largest > LARGEST_FEATURE:
        raise ValueError(
            f"{made_by} gave numbers as large as {largest:.3g}; products of such numbers are no floats. "
            f"Scale them to at most {LARGEST_FEATURE:g}."
        )
    return FeatureSet(features, source)


def _source_of(extractor: Any) -> FeatureSource:
    name = getattr(extractor, "name", None) or getattr(extractor, "__qualname__", type(extractor).__name__)
    return FeatureSource(
        str(name).rpartition("<locals>.")[2],
        getattr(extractor, "sha256", None),
        getattr(extractor, "resize", None),
    )


def check_comparable(
    reference: FeatureSet | FeatureStatistics, generated: FeatureSet | FeatureStatistics
) -> None:
    """Raise where two sets of features are not of one kind."""
    if reference.source != generated.source:
        raise ValueError(
            f"reference has features of {reference.source}, generated of {generated.source}; distances "
            "between different features mean nothing. Extract both with the same extractor."
        )
    widths = [
        x.features.shape[1] if isinstance(x, FeatureSet) else len(x.mean) for x in (reference, generated)
    ]
    if widths[0] != widths[1]:
        raise ValueError(
            f"reference has {widths[0]} features a row, generated {widths[1]}; extract both the same "
            "way, from images of the same size."
        )
