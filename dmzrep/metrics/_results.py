"""Results of comparing two sets of images, with the settings that make them comparable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dmzrep._base._validation import short_repr


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
        How images are resized for the extractor, if they are.
    """

    name: str
    sha256: str | None = None
    resize: str | None = None


@dataclass(frozen=True)
class DistanceResult:
    """Scores of two sets of images, with everything that they depend on.

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
    about : dict, default={}
        Other metadata, such as sampler, number of steps and seed.

    Examples
    --------
    >>> from dmzrep.metrics import DistanceResult, FeatureSource
    >>> source = FeatureSource("pixels")
    >>> result = DistanceResult({"frechet_distance": 1.5}, source, 100, 50, about={"seed": 0})
    >>> float(result)
    1.5
    >>> result.to_dict()["extractor"], result.to_dict()["seed"]
    ('pixels', 0)
    """

    scores: dict[str, float]
    source: FeatureSource
    n_reference: int
    n_generated: int
    settings: dict[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.about, Mapping):
            raise TypeError(f"about must be a dict of names and values, got {short_repr(self.about)}.")
        reserved = sorted(self._fields().keys() & self.about.keys())
        if reserved:
            raise ValueError(f"about must not use the names {reserved} of other fields; rename them.")

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
        return self._fields() | dict(self.about)

    def _fields(self) -> dict[str, Any]:
        return {
            **self.scores,
            "extractor": self.source.name,
            "extractor_sha256": self.source.sha256,
            "resize": self.source.resize,
            "n_reference": self.n_reference,
            "n_generated": self.n_generated,
            **self.settings,
        }
