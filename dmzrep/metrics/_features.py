"""Features of images with their origin, their statistics, and results of comparing them."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np

from dmzrep._base._isolation import isolated
from dmzrep._base._validation import is_int, short_repr
from dmzrep.codes._checks import check_codes
from dmzrep.files._state import read_state, require, restoring, take, write_state


@dataclass(frozen=True)
class FeatureSource:
    """Origin of features; distances between features of different sources are not comparable.

    Parameters
    ----------
    name : str
        Name of the extractor.
    sha256 : str or None, default=None
        Hash of its weights, if known.
    resize : str or None, default=None
        How images are resized for the extractor; None if they are not.
    """

    name: str
    sha256: str | None = None
    resize: str | None = None


#: Source of features that were passed in place of images.
GIVEN = FeatureSource("given features")

#: Maps images to features of shape (n, n_features). The attributes `name`, `sha256` and `resize`, where
#: present, are stored in every result.
Extractor = Callable[[Any], np.ndarray]


@dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """Mean and covariance of features, from which a Fréchet distance is computed.

    Parameters
    ----------
    mean : ndarray of shape (n_features,)
        Float64.
    covariance : ndarray of shape (n_features, n_features)
        Float64, with n - 1 in the denominator.
    n_samples : int
        Number of images.
    source : FeatureSource
        Origin of the features.

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
        """Save the statistics to one file, for use as a reference later.

        Parameters
        ----------
        path : path-like
            The file.
        """
        write_state(path, "FeatureStatistics", vars(self) | {"source": asdict(self.source)})

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Load statistics from a file.

        Parameters
        ----------
        path : path-like
            Written by `save`.

        Returns
        -------
        FeatureStatistics

        Raises
        ------
        PersistenceError
            The file is damaged, or holds something else.
        """
        state = read_state(path, "FeatureStatistics")
        with restoring(path, "FeatureStatistics"):
            mean, covariance, n_samples, source = take(state, "mean", "covariance", "n_samples", "source")
            for array, shape in ((mean, (len(mean),)), (covariance, (len(mean), len(mean)))):
                require(array.dtype == np.float64 and array.shape == shape, "arrays differ in shape or dtype")
                require(np.isfinite(array).all(), "arrays must be finite")
            require(len(mean) > 0 and (covariance.diagonal() >= 0).all(), "variances must be non-negative")
            require(is_int(n_samples) and n_samples >= 2, "n_samples must be at least 2")
            name, *others = take(source, "name", "sha256", "resize")
            require(isinstance(name, str), "the source must have a name")
            require(all(one is None or isinstance(one, str) for one in others), "the source must be text")
            return cls(mean, covariance, n_samples, FeatureSource(**source))


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features of a set of images, extracted once for several measures.

    Parameters
    ----------
    features : ndarray of shape (n, n_features)
        Float64, finite.
    source : FeatureSource
        Origin of the features.
    """

    features: np.ndarray
    source: FeatureSource = GIVEN

    def __post_init__(self) -> None:
        if getattr(self.features, "ndim", None) != 2:
            raise TypeError(
                "features must be an array of shape (n, n_features), got "
                f"{short_repr(self.features)}. Pass other values to extract_features, which converts them."
            )

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def statistics(self) -> FeatureStatistics:
        """Mean and covariance."""
        if len(self) < 2:
            raise ValueError(f"A Fréchet distance needs at least 2 images of each set, got {len(self)}.")
        covariance = np.atleast_2d(np.cov(self.features, rowvar=False))
        return FeatureStatistics(self.features.mean(axis=0), covariance, len(self), self.source)


@isolated
def extract_features(
    images: Any, extractor: Extractor | None = None, *, argument: str = "images"
) -> FeatureSet:
    """Return the features of images, with a record of their extractor.

    Parameters
    ----------
    images : array-like, table or FeatureSet
        Images in the layout of the extractor; without an extractor, features of shape (n, n_features). A
        `FeatureSet` is returned unchanged.
    extractor : callable or None, default=None
        `InceptionFeatures`, `ClassifierFeatures`, or any function of images.
    argument : str, default="images"
        Name of the images in error messages.

    Returns
    -------
    FeatureSet

    Raises
    ------
    ValueError
        Features are not of shape (n, n_features), or are not finite.
    TypeError
        The extractor is not callable.

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
    if isinstance(images, FeatureStatistics):
        raise TypeError(
            f"{argument} must be images, or features of shape (n, n_features), got FeatureStatistics, from "
            "which only frechet_distance is computed."
        )
    if not hasattr(images, "__len__"):
        raise TypeError(
            f"{argument} must be an array, a table or a list of images, got {short_repr(images)}."
        )
    if extractor is None:
        if getattr(images, "ndim", 2) > 2:
            raise ValueError(
                f"{argument} must be features of shape (n, n_features), got shape {tuple(images.shape)}. "
                "Pass an extractor for images, or flatten them with X.reshape(len(X), -1)."
            )
        return FeatureSet(check_codes(images, argument, "numbers").astype(np.float64), GIVEN)
    if not callable(extractor):
        raise TypeError(f"extractor must be a function of images, or None, got {short_repr(extractor)}.")
    if getattr(images, "ndim", 0) == 1 and getattr(images.dtype, "kind", "O") in "buif":
        raise ValueError(
            f"{argument} must be images, an array of shape (n, ...), got shape {tuple(images.shape)}. Pass a "
            f"single image as {argument}[None]."
        )
    name = getattr(extractor, "name", None) or getattr(extractor, "__qualname__", type(extractor).__name__)
    name = str(name).rpartition("<locals>.")[2]
    source = FeatureSource(name, getattr(extractor, "sha256", None), getattr(extractor, "resize", None))
    label = f"The result of extractor {name!r} for {argument}"
    features = check_codes(extractor(images), label, "numbers").astype(np.float64)
    if len(features) != len(images):
        raise ValueError(f"{label} must have one row for each of {len(images)} images, got {len(features)}.")
    return FeatureSet(features, source)


def check_comparable(
    reference: FeatureSet | FeatureStatistics, generated: FeatureSet | FeatureStatistics
) -> None:
    """Raise unless two sets of features have the same source and number of features."""
    if reference.source != generated.source:
        raise ValueError(
            f"reference has features of {reference.source}, generated of {generated.source}; distances "
            "between different features are meaningless. Extract both with the same extractor."
        )
    n_reference, n_generated = (
        x.features.shape[1] if isinstance(x, FeatureSet) else len(x.mean) for x in (reference, generated)
    )
    if n_reference != n_generated:
        raise ValueError(
            f"reference has {n_reference} features per image, generated {n_generated}; extract both the same "
            "way, from images of the same size."
        )


@dataclass(frozen=True)
class DistanceResult:
    """Scores of two sets of images, with the extractor and the settings that they depend on.

    Parameters
    ----------
    scores : dict of str to float
        Scores by name, the most important one first.
    source : FeatureSource
        Origin of the features that were compared.
    n_reference, n_generated : int
        Numbers of images. Compare scores only at equal numbers.
    settings : dict, default={}
        Settings of the measure, such as the number of neighbours.

    Examples
    --------
    >>> from dmzrep.metrics import DistanceResult, FeatureSource
    >>> result = DistanceResult({"frechet_distance": 1.5}, FeatureSource("pixels"), 100, 50)
    >>> float(result)
    1.5
    >>> row = result.to_dict() | {"seed": 0}
    >>> row["extractor"], row["n_generated"], row["seed"]
    ('pixels', 50, 0)
    """

    scores: dict[str, float]
    source: FeatureSource
    n_reference: int
    n_generated: int
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The first score."""
        return next(iter(self.scores.values()))

    def __float__(self) -> float:
        return self.value

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a flat dictionary, for a line of JSON or a row of a table.

        Returns
        -------
        dict
        """
        return {
            **self.scores,
            "extractor": self.source.name,
            "extractor_sha256": self.source.sha256,
            "resize": self.source.resize,
            "n_reference": self.n_reference,
            "n_generated": self.n_generated,
            **self.settings,
        }
